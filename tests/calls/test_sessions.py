"""The sessions of one conversation: made, lost, renewed, refused."""

import base64
import itertools
import json
import random
from typing import Any, TypeVar

from gateway.audio.g711 import CODECS
from gateway.calls.sessions import Sessions
from gateway.contracts import (
    Agent,
    AudioFormat,
    CloseVoice,
    Fact,
    OpenVoice,
    Output,
    VoiceMessage,
    VoiceTraits,
)
from gateway.voice.session_core import SessionCore, SessionState

PHONE = AudioFormat(encoding="pcmu", rate_hz=8000)
HOSTED = VoiceTraits(name="hosted", input=PHONE, output=PHONE)
EMBEDDED = VoiceTraits(name="embedded")
FRAME = b"\x7e" * 160
RENEW_S = 60.0
O = TypeVar("O", bound=Output)  # noqa: E741 - an output


class Talk:
    """`Sessions`, and all that they put out."""

    def __init__(self, *voices: VoiceTraits) -> None:
        self.out: list[Output] = []
        numbers = itertools.count(1)
        self.sessions = Sessions(
            voices or (HOSTED, EMBEDDED),
            lambda traits, history: SessionCore(Agent(name="a"), traits, history=history),
            CODECS["pcmu"],
            numbers=lambda: next(numbers),
            emit=self.out.append,
            renew_s=RENEW_S,
            rng=random.Random(0),
        )

    def all(self, kind: type[O]) -> list[O]:
        return [output for output in self.out if isinstance(output, kind)]

    @property
    def opened(self) -> list[tuple[int, str]]:
        return [(request.session, request.backend) for request in self.all(OpenVoice)]

    @property
    def closed(self) -> list[int]:
        return [request.session for request in self.all(CloseVoice)]

    def told(self, number: int) -> list[dict[str, Any]]:
        """What a session was told, in order."""
        self.sessions.flush()
        messages = [message for message in self.all(VoiceMessage) if message.session == number]
        return [json.loads(message.data) for message in messages]

    def kinds(self, number: int) -> list[str]:
        return [event["type"] for event in self.told(number)]

    def audio(self, number: int) -> bytes:
        return b"".join(base64.b64decode(event["audio"]) for event in self.told(number) if "audio" in event)

    def opens(self, now: float = 0.0) -> "Talk":
        """The session that was asked for last stands, and has our configuration."""
        number, _ = self.opened[-1]
        self.sessions.opened(number, now)
        if self.sessions.is_talking(number):
            self.sessions.ready(asked=False)
        else:
            self.sessions.standby_said(number, json.dumps({"type": "session.updated", "session": {}}))
        return self

    def standing_by(self) -> "Talk":
        """A minute later another session is asked for."""
        self.opens(0.0)
        self.sessions.advance(RENEW_S, gap=False)
        assert self.opened[-1][0] == 2
        return self


# -- the first session


def test_the_first_voice_of_the_list_is_asked_for_at_once():
    talk = Talk()

    assert talk.opened == [(1, "hosted")]
    assert talk.sessions.is_talking(1)


def test_a_session_is_told_nothing_before_its_connection_stands():
    talk = Talk()

    talk.sessions.carry(FRAME)

    assert talk.told(1) == []


def test_a_session_is_configured_and_then_hears_what_the_caller_said_meanwhile():
    talk = Talk()
    talk.sessions.carry(FRAME)

    talk.opens()

    assert talk.kinds(1) == ["session.update", "input_audio_buffer.append"]
    assert talk.audio(1) == FRAME


def test_a_key_that_was_pressed_before_the_connection_stood_is_told_once():
    talk = Talk()
    talk.sessions.talking.session.press("1")

    talk.opens()

    assert talk.kinds(1) == ["session.update", "conversation.item.create"]


def test_a_tool_that_answered_before_the_connection_stood_is_told_once_behind_its_call():
    talk = Talk()
    talk.sessions.history.called("c1", "hours", "{}")
    talk.sessions.talking.session.tool_answered("c1", "nine")

    talk.opens()

    items = [event["item"]["type"] for event in talk.told(1) if "item" in event]
    assert items == ["function_call", "function_call_output"]


def test_what_the_caller_said_before_is_not_dropped_as_live_audio_may_be():
    talk = Talk()
    talk.sessions.carry(FRAME)

    talk.opens()
    talk.sessions.carry(FRAME)
    talk.sessions.flush()

    assert [message.caller_ms for message in talk.all(VoiceMessage)] == [0, 0, 20]


def test_a_gap_that_was_filled_goes_to_the_voice_a_second_at_a_time():
    talk = Talk().opens()

    talk.sessions.carry(b"\xff" * 20_000)

    assert [len(base64.b64decode(event["audio"])) for event in talk.told(1)[1:]] == [8000, 8000, 4000]


def test_a_voice_is_told_the_caller_as_much_at_a_time_as_it_wants():
    talk = Talk(VoiceTraits(name="patient", input=PHONE, chunk_ms=40)).opens()

    for number in range(5):
        talk.sessions.carry(bytes([number]) * 160)

    said = [base64.b64decode(event["audio"]) for event in talk.told(1) if "audio" in event]
    assert said == [b"\0" * 160 + b"\1" * 160, b"\2" * 160 + b"\3" * 160]


def test_every_voice_gets_the_audio_in_its_own_format():
    talk = Talk(EMBEDDED).opens()

    talk.sessions.carry(FRAME)

    assert len(talk.audio(1)) == 48 * 20


# -- losses


def test_a_lost_session_is_closed_and_followed_by_another_at_the_next_tick():
    talk = Talk().opens()

    assert talk.sessions.fail("lost", 5.0)
    talk.sessions.advance(5.02, gap=False)

    assert talk.closed == [1]
    assert talk.opened == [(1, "hosted"), (2, "hosted")]


def test_an_outage_lasts_from_the_first_loss_until_the_voice_is_heard():
    talk = Talk().opens()
    talk.sessions.fail("lost", 5.0)
    talk.sessions.advance(5.02, gap=False)
    talk.sessions.fail("lost", 6.0)

    assert talk.sessions.lost_since == 5.0
    talk.sessions.proved()
    assert talk.sessions.lost_since is None


def test_an_outage_in_which_nothing_was_owed_is_over_when_the_voice_is_back():
    talk = Talk().opens()
    talk.sessions.fail("lost", 5.0)
    talk.sessions.advance(5.02, gap=False)

    talk.opens(5.3)

    assert talk.sessions.lost_since is None


def test_an_outage_in_which_an_answer_is_owed_goes_on_until_it_comes():
    talk = Talk().opens()
    talk.sessions.fail("lost", 5.0)

    talk.sessions.ready(asked=True)

    assert talk.sessions.lost_since == 5.0


def test_the_next_session_hears_what_the_caller_said_while_there_was_none():
    talk = Talk().opens()
    talk.sessions.backlog.release()
    talk.sessions.fail("lost", 5.0)
    for _ in range(100):
        talk.sessions.carry(FRAME)
    talk.sessions.advance(7.0, gap=False)

    talk.opens(7.0)

    assert talk.audio(2) == FRAME * 100


def test_the_next_session_is_told_what_was_said():
    talk = Talk().opens()
    talk.sessions.history.turn("u1", "When do you open?")
    talk.sessions.fail("lost", 5.0)
    talk.sessions.advance(5.02, gap=False)

    talk.opens(5.3)

    assert talk.kinds(2) == ["session.update", "conversation.item.create"]


def test_a_loss_while_the_connection_is_being_made_leads_to_the_next_try():
    talk = Talk()

    for now in (1.0, 2.0, 3.0):
        assert talk.sessions.fail("lost", now)
        talk.sessions.advance(now + 0.9, gap=False)

    assert talk.opened == [(1, "hosted"), (2, "hosted"), (3, "hosted"), (4, "hosted")]
    assert talk.closed == [1, 2, 3]


def test_a_session_is_closed_once_however_often_it_is_lost():
    talk = Talk().opens()

    talk.sessions.fail("lost", 5.0)
    talk.sessions.fail("lost", 5.0)

    assert talk.closed == [1]


def test_what_is_lost_does_not_talk_any_more():
    talk = Talk().opens()

    talk.sessions.fail("lost", 5.0)

    assert not talk.sessions.is_talking(1)
    assert not talk.sessions.talking.ready
    assert talk.sessions.talking.session.state is SessionState.DISCONNECTED


def test_when_no_voice_is_left_there_is_nothing_to_wait_for():
    talk = Talk(HOSTED).opens()

    assert not talk.sessions.fail("refused", 5.0)
    talk.sessions.advance(60.0, gap=True)

    assert talk.opened == [(1, "hosted")]
    assert talk.closed == [1]


def test_a_session_that_opens_after_it_was_lost_is_not_taken():
    talk = Talk()
    talk.sessions.fail("lost", 5.0)

    talk.sessions.opened(1, 5.01)

    assert talk.sessions.talking.open_since is None
    assert talk.told(1) == []


# -- no room, and no


def test_a_busy_voice_is_asked_for_again_when_it_said_and_not_before():
    talk = Talk()

    talk.sessions.fail("busy", 1.0, 2.0)
    talk.sessions.advance(2.98, gap=False)
    assert talk.opened == [(1, "hosted")]
    talk.sessions.advance(3.0, gap=False)

    assert talk.opened == [(1, "hosted"), (2, "hosted")]


def test_a_voice_that_refuses_is_followed_by_the_next_of_the_list():
    talk = Talk()

    talk.sessions.fail("refused", 1.0)
    talk.sessions.advance(1.02, gap=False)

    assert talk.opened == [(1, "hosted"), (2, "embedded")]


def test_the_next_voice_of_the_list_is_spoken_to_in_its_own_format():
    talk = Talk()
    talk.sessions.fail("refused", 1.0)
    talk.sessions.advance(1.02, gap=False)
    talk.opens(1.3)

    talk.sessions.carry(FRAME)

    assert len(talk.audio(2)) == 48 * 20


# -- the hour


def test_another_session_is_made_ready_when_the_first_is_old():
    talk = Talk().opens(10.0)

    talk.sessions.advance(10.0 + RENEW_S - 0.02, gap=True)
    assert talk.opened == [(1, "hosted")]
    talk.sessions.advance(10.0 + RENEW_S, gap=True)

    assert talk.opened == [(1, "hosted"), (2, "hosted")]
    assert talk.closed == []


def test_the_age_of_a_session_counts_from_its_connection():
    talk = Talk()

    talk.sessions.advance(1000.0, gap=True)

    assert talk.opened == [(1, "hosted")]


def test_only_one_standby_is_asked_for():
    talk = Talk().standing_by()

    for tick in range(500):
        talk.sessions.advance(RENEW_S + tick / 50, gap=False)

    assert len(talk.opened) == 2


def test_a_standby_is_configured_and_told_nothing_else_until_it_talks():
    talk = Talk().standing_by().opens(61.0)
    talk.sessions.history.turn("u1", "When do you open?")
    talk.sessions.carry(FRAME)

    assert talk.kinds(2) == ["session.update"]


def test_a_standby_waits_for_a_gap():
    talk = Talk().standing_by().opens(61.0)

    assert not talk.sessions.advance(62.0, gap=False)
    assert talk.sessions.is_talking(1)
    assert talk.sessions.advance(63.0, gap=True)
    assert talk.sessions.is_talking(2)


def test_a_gap_does_not_make_a_standby_talk_that_is_not_ready():
    talk = Talk().standing_by()
    talk.sessions.opened(2, 61.0)
    talk.sessions.standby_said(2, json.dumps({"type": "session.created", "session": {"id": "s"}}))

    assert not talk.sessions.advance(62.0, gap=True)
    assert talk.sessions.is_talking(1)


def test_the_old_session_gets_all_that_was_meant_for_it_before_it_is_closed():
    talk = Talk().standing_by().opens(61.0)
    talk.sessions.carry(FRAME)

    talk.sessions.advance(62.0, gap=True)

    last = max(at for at, each in enumerate(talk.out) if isinstance(each, VoiceMessage) and each.session == 1)
    assert talk.audio(1) == FRAME
    assert last < talk.out.index(CloseVoice(session=1))


def test_the_session_that_follows_is_told_what_was_said():
    talk = Talk().standing_by().opens(61.0)
    talk.sessions.history.turn("u1", "When do you open?")

    talk.sessions.advance(62.0, gap=True)

    assert talk.kinds(2) == ["session.update", "conversation.item.create"]


def test_the_session_that_follows_is_renewed_in_its_turn():
    talk = Talk().standing_by().opens(61.0)
    talk.sessions.advance(62.0, gap=True)

    talk.sessions.advance(61.0 + RENEW_S, gap=False)

    assert talk.opened == [(1, "hosted"), (2, "hosted"), (3, "hosted")]


def test_a_renewal_is_no_outage():
    talk = Talk().standing_by().opens(61.0)

    talk.sessions.advance(62.0, gap=True)

    assert talk.sessions.lost_since is None


def test_a_standby_that_is_lost_is_closed_and_asked_for_again_after_a_while():
    talk = Talk().standing_by()

    talk.sessions.standby_lost(2, 61.0, refused=False)
    talk.sessions.advance(75.9, gap=True)
    assert talk.closed == [2]
    assert len(talk.opened) == 2
    talk.sessions.advance(76.0, gap=True)

    assert talk.opened[-1] == (3, "hosted")
    assert talk.sessions.is_talking(1)


def test_what_a_lost_standby_still_says_means_nothing():
    talk = Talk().standing_by()
    talk.sessions.standby_lost(2, 61.0, refused=False)

    talk.sessions.opened(2, 61.5)
    talk.sessions.standby_said(2, json.dumps({"type": "session.updated", "session": {}}))

    assert not talk.sessions.advance(62.0, gap=True)
    assert talk.told(2) == []


# -- a loss while another session stands by


def test_a_standby_that_is_ready_talks_as_soon_as_the_first_is_lost():
    talk = Talk().standing_by().opens(61.0)

    assert talk.sessions.fail("lost", 62.0)

    assert talk.sessions.is_talking(2)
    assert talk.closed == [1]
    talk.sessions.advance(70.0, gap=True)
    assert len(talk.opened) == 2


def test_a_standby_that_talks_because_of_a_loss_hears_the_whole_turn():
    talk = Talk().standing_by().opens(61.0)
    talk.sessions.backlog.release()
    talk.sessions.backlog.keep()
    for _ in range(100):
        talk.sessions.carry(FRAME)

    talk.sessions.fail("lost", 63.0)

    assert talk.audio(2) == FRAME * 100


def test_a_standby_that_is_not_ready_goes_with_the_one_that_is_lost():
    talk = Talk().standing_by()

    talk.sessions.fail("lost", 62.0)
    talk.sessions.advance(62.02, gap=False)

    assert talk.closed == [1, 2]
    assert talk.opened[-1] == (3, "hosted")
    assert talk.sessions.is_talking(3)


def test_a_standby_of_a_voice_that_refuses_goes_with_it():
    talk = Talk().standing_by().opens(61.0)

    talk.sessions.fail("refused", 62.0)
    talk.sessions.advance(62.02, gap=False)

    assert talk.closed == [1, 2]
    assert talk.opened[-1] == (3, "embedded")


def test_a_standby_is_the_last_hope_where_there_is_no_other_voice():
    talk = Talk(HOSTED).standing_by().opens(61.0)

    assert talk.sessions.fail("refused", 62.0)

    assert talk.sessions.is_talking(2)


# -- the end


def test_at_the_end_every_session_is_closed_once():
    talk = Talk().standing_by().opens(61.0)

    talk.sessions.close()
    talk.sessions.close()

    assert talk.closed == [1, 2]


def test_after_the_end_nothing_is_asked_for():
    talk = Talk()
    talk.sessions.fail("lost", 1.0)

    talk.sessions.close()
    talk.sessions.advance(60.0, gap=True)

    assert len(talk.opened) == 1


def test_what_is_known_of_the_caller_costs_no_more_after_hours():
    talk = Talk().opens()
    talk.sessions.backlog.release()

    for _ in range(50 * 3600):
        talk.sessions.carry(FRAME)
        talk.sessions.talking.session.outgoing()

    assert len(talk.sessions.backlog.everything()) == 500 * 8


def test_a_session_that_opens_says_which_voice_it_is():
    talk = Talk().opens()

    assert talk.all(Fact) == [Fact("session.opened", {"voice": "hosted"})]
