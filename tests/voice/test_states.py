"""The states of a conversation."""

import pytest

from gateway.voice.states import IllegalMove, after
from gateway.voice.states import SessionState as S

PEER = ("speech", "silence", "turn", "asked", "audio", "answered")
WHAT = ("connect", "opened", *PEER, "ended")
OPEN = (S.CONNECTED, S.LISTENING, S.PROCESSING, S.SPEAKING)


def walked(*what: str) -> list[S]:
    """The states that follow each other from the beginning."""
    states = [S.IDLE]
    for each in what:
        states.append(after(states[-1], each))
    return states[1:]


def test_a_turn_leads_from_listening_to_speaking_and_back():
    states = walked("connect", "opened", "speech", "silence", "audio", "answered", "ended")

    assert states == [
        S.CONNECTING,
        S.CONNECTED,
        S.LISTENING,
        S.PROCESSING,
        S.SPEAKING,
        S.CONNECTED,
        S.DISCONNECTED,
    ]


def test_an_agent_that_is_asked_to_speak_first_processes_then_speaks():
    assert walked("connect", "opened", "asked", "audio")[2:] == [S.PROCESSING, S.SPEAKING]


@pytest.mark.parametrize("state", [S.CONNECTED, S.PROCESSING, S.SPEAKING])
def test_a_caller_who_speaks_is_listened_to(state: S):
    assert after(state, "speech") is S.LISTENING


@pytest.mark.parametrize("late", ["audio", "answered", "asked"])
def test_what_comes_late_of_the_last_answer_does_not_end_the_listening(late: str):
    assert after(S.LISTENING, late) is S.LISTENING


def test_an_answer_without_audio_ends_the_processing():
    assert after(S.PROCESSING, "answered") is S.CONNECTED


@pytest.mark.parametrize("state", [state for state in S if state is not S.DISCONNECTED])
def test_every_state_can_end(state: S):
    assert after(state, "ended") is S.DISCONNECTED


@pytest.mark.parametrize("what", WHAT)
def test_nothing_happens_after_the_end(what: str):
    with pytest.raises(IllegalMove, match=f"'{what}' while the session is disconnected"):
        after(S.DISCONNECTED, what)


@pytest.mark.parametrize("state", OPEN)
@pytest.mark.parametrize("what", PEER)
def test_whatever_the_peer_says_is_legal_while_the_connection_stands(state: S, what: str):
    assert after(state, what) in OPEN


@pytest.mark.parametrize("state", [S.IDLE, S.CONNECTING])
@pytest.mark.parametrize("what", PEER)
def test_nobody_says_anything_before_the_connection_stands(state: S, what: str):
    with pytest.raises(IllegalMove):
        after(state, what)


@pytest.mark.parametrize("state", [state for state in S if state is not S.IDLE])
def test_a_session_connects_once(state: S):
    with pytest.raises(IllegalMove):
        after(state, "connect")


@pytest.mark.parametrize("state", [S.CONNECTED, S.LISTENING])
def test_a_turn_that_is_committed_by_hand_is_processed(state: S):
    assert after(state, "turn") is S.PROCESSING
