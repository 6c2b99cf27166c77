"""The states of a conversation."""

import pytest

from gateway.voice.states import SessionState as S
from gateway.voice.states import after

WHAT = ("connect", "opened", "speech", "silence", "asked", "audio", "answered", "ended")


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
def test_nothing_leads_out_of_the_end(what: str):
    assert after(S.DISCONNECTED, what) is S.DISCONNECTED


@pytest.mark.parametrize("what", [what for what in WHAT if what not in ("opened", "ended")])
def test_a_connection_that_is_made_only_opens_or_ends(what: str):
    assert after(S.CONNECTING, what) is S.CONNECTING


def test_the_values_are_the_words_that_are_shown():
    assert [str(state) for state in S] == [
        "idle",
        "connecting",
        "connected",
        "listening",
        "processing",
        "speaking",
        "disconnected",
    ]
