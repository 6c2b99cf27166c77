"""The agent falls silent when the caller speaks, and is cut or goes on."""

import base64
import json
from typing import Any

import pytest

from gateway.audio.g711 import CODECS
from gateway.calls.barge_in import BargeIn, BargeInSettings
from gateway.calls.interruptions import Interruptions
from gateway.calls.paths import Downlink
from gateway.contracts import Agent, AudioFormat, Cut, Fact, Heard, Output, VoiceTraits
from gateway.voice.session_core import SessionCore
from tests.calls.line import Line

PHONE = AudioFormat(encoding="pcmu", rate_hz=8000)
AUDIO = bytes(range(256)) * 25  # 800 ms, every millisecond of it another
WORDS = "We are open from nine to five every day"
AT_ONCE, LASTS, SPEAKS = (
    BargeInSettings(),
    BargeInSettings(min_speech_ms=400),
    BargeInSettings(min_speech_ms=400, min_words=2),
)


class Talk:
    """An agent that talks, on a line whose far end hears at once what it is sent."""

    def __init__(self, settings: BargeInSettings = AT_ONCE, *, interruptible: bool = True) -> None:
        self.out: list[Output] = []
        self.flushes = 0
        self.line = Line()
        self.downlink = Downlink(self.line, CODECS["pcmu"], None)
        self.session = SessionCore(Agent(name="a"), VoiceTraits(name="puppet", output=PHONE))
        self.session.connect()
        self.session.opened()
        self.interruptions = Interruptions(
            BargeIn(settings, 0.5),
            self.downlink,
            interruptible=interruptible,
            emit=self.out.append,
            settle_leg=self.settle,
            flush=self.flush,
        )
        self.told: list[dict[str, Any]] = []
        self.flush()
        self.told.clear()

    def settle(self, now: float) -> None:
        """The leg says what was heard: all that had time to be."""
        self.downlink.heard(Heard(now * 1000, now * 1000))

    def flush(self) -> None:
        self.flushes += 1
        self.told += [json.loads(event) for event, _ in self.session.outgoing()]

    def says(self, *, done: bool = True) -> "Talk":
        """The agent has said 800 ms, of which 200 are on the line."""
        self.hear("response.created", response={"id": "r1"})
        about = {"response_id": "r1", "item_id": "i1"}
        self.hear("response.output_audio.delta", delta=base64.b64encode(AUDIO).decode(), **about)
        self.hear("response.output_audio_transcript.done", transcript=WORDS, **about)
        self.downlink.add("i1", AUDIO, PHONE)
        if done:
            self.hear("response.output_audio.done", **about)
            self.hear("response.done", response={"id": "r1", "status": "completed"})
            self.downlink.finish("i1")
        self.downlink.pump(0.0)
        return self

    def hear(self, kind: str, **event: Any) -> None:
        self.session.receive(json.dumps({"type": kind, "event_id": "e"} | event))
        self.session.events()

    @property
    def kinds(self) -> list[str]:
        """What the voice was told."""
        self.flush()
        return [event["type"] for event in self.told]

    @property
    def facts(self) -> list[str]:
        return [output.name for output in self.out if isinstance(output, Fact)]

    def began(self, now: float = 0.1, item: str = "u1") -> None:
        self.interruptions.began(self.session, item, now)

    def stopped(self, lasted_ms: int, now: float = 1.0) -> bool:
        return self.interruptions.stopped(self.session, lasted_ms, now)

    def written_down(self, text: str, now: float = 1.5, item: str = "u1") -> bool:
        return self.interruptions.written_down(self.session, item, text, now)

    def turn_taken(self, item: str = "u1") -> None:
        self.interruptions.turn_taken(self.session, item)

    def goes_on(self) -> bytes:
        """What the line is sent from now on."""
        known = len(self.line.audio)
        self.downlink.pump(10.0)
        return self.line.audio[known:]


# -- any sound interrupts


def test_the_agent_is_cleared_at_the_far_end_and_says_no_more():
    talk = Talk().says()

    talk.began(0.1)

    assert talk.line.clears == [0.1]
    assert talk.goes_on() == b""


def test_the_voice_is_told_to_stop_and_how_much_was_heard():
    talk = Talk().says(done=False)

    talk.began(0.1)

    assert talk.kinds == ["response.cancel", "conversation.item.truncate"]
    assert talk.told[-1] | {"event_id": ""} == {
        "type": "conversation.item.truncate",
        "event_id": "",
        "item_id": "i1",
        "content_index": 0,
        "audio_end_ms": 98,
    }


def test_the_history_keeps_the_words_that_were_heard():
    talk = Talk().says()

    talk.began(0.2)

    assert talk.session.history.text("i1") == "We are"


def test_the_log_is_told_between_which_bounds_it_was_heard():
    talk = Talk().says()

    talk.began(0.2)

    (fact,) = [output for output in talk.out if isinstance(output, Fact)]
    assert fact.name == "agent.interrupted"
    assert fact.fields == {
        "item": "i1",
        "heard_low_ms": 200,
        "heard_high_ms": 200,
        "text": "We are",
        "estimated": True,
    }


def test_a_cut_follows_all_that_carries_it_out():
    talk = Talk().says()

    talk.began(0.1)

    assert isinstance(talk.out[-1], Cut)
    assert talk.out.count(Cut()) == 1
    assert [event["type"] for event in talk.told] == ["conversation.item.truncate"]


def test_a_caller_who_speaks_into_silence_interrupts_nobody():
    talk = Talk()

    talk.began()

    assert (talk.out, talk.line.clears, talk.kinds) == ([], [], [])


def test_an_answer_that_is_only_asked_for_is_not_said():
    talk = Talk()
    talk.session.respond()

    talk.began()
    talk.hear("response.created", response={"id": "r1"})

    assert talk.kinds == ["response.create", "response.cancel"]
    assert Cut() in talk.out
    assert talk.line.clears == []


def test_an_answer_that_was_heard_to_its_end_is_not_truncated():
    talk = Talk().says()
    talk.downlink.pump(0.2)
    talk.downlink.pump(0.4)
    talk.downlink.pump(0.6)
    talk.settle(0.8)

    talk.began(0.9)

    assert (talk.out, talk.kinds) == ([], [])


def test_an_agent_that_may_not_be_interrupted_is_not():
    talk = Talk(interruptible=False).says()

    talk.began()
    talk.interruptions.pressed(talk.session, 0.2)

    assert (talk.out, talk.line.clears, talk.kinds) == ([], [], [])
    assert talk.goes_on() == AUDIO[200 * 8 : 400 * 8]


def test_a_second_sound_cuts_nothing_more():
    talk = Talk().says(done=False)
    talk.began(0.1)
    told, out = talk.kinds, len(talk.out)

    talk.began(0.2, "u2")

    assert talk.kinds == told
    assert len(talk.out) == out


# -- a sound may be nothing


def test_a_suspected_sound_silences_the_agent_and_cancels_nothing():
    talk = Talk(LASTS).says(done=False)

    talk.began(0.1)

    assert talk.line.clears == [0.1]
    assert talk.goes_on() == b""
    assert talk.kinds == []
    assert talk.out == [Cut()]


def test_after_a_cough_the_agent_goes_on_where_it_was_silenced():
    talk = Talk(LASTS).says()
    talk.began(0.1)

    assert talk.stopped(200)

    assert talk.goes_on() == AUDIO[100 * 8 : 300 * 8]
    assert talk.facts == ["caller.ignored"]
    assert talk.kinds == []


def test_a_sound_that_lasted_is_an_interruption():
    talk = Talk(LASTS).says()
    talk.began(0.1)

    assert not talk.stopped(500)

    assert talk.facts == ["agent.interrupted"]
    assert talk.kinds == ["conversation.item.truncate"]


def test_a_sound_that_goes_on_is_an_interruption_before_it_ends():
    talk = Talk(LASTS).says()
    talk.began(0.1)

    talk.interruptions.advance(talk.session, 0.98)
    assert talk.facts == []
    talk.interruptions.advance(talk.session, 1.0)

    assert talk.facts == ["agent.interrupted"]


def test_what_was_heard_is_counted_to_the_moment_the_agent_fell_silent():
    talk = Talk(LASTS).says()
    talk.began(0.1)

    talk.stopped(500, 2.0)

    assert talk.told[-1]["audio_end_ms"] == 98


def test_audio_that_comes_while_it_is_not_sure_is_played_after_a_cough():
    talk = Talk(LASTS).says(done=False)
    talk.began(0.1)
    talk.downlink.add("i1", AUDIO, PHONE)

    talk.stopped(200)

    assert talk.goes_on() == AUDIO[100 * 8 : 300 * 8]
    assert talk.downlink.speaking(10.0)


def test_a_cough_before_the_agent_has_said_anything_costs_nothing():
    talk = Talk(LASTS)
    talk.session.respond()
    talk.began(0.1)

    talk.stopped(200)
    talk.downlink.add("i1", AUDIO, PHONE)

    assert talk.goes_on() == AUDIO[: 200 * 8]
    assert talk.line.clears == []


@pytest.mark.parametrize(
    ("text", "nothing", "facts"),
    [
        ("Mhm.", True, ["caller.ignored"]),
        ("", True, ["caller.ignored"]),
        ("Hold on", False, ["agent.interrupted"]),
    ],
)
def test_words_decide_where_they_are_asked_for(text: str, nothing: bool, facts: list[str]):
    talk = Talk(SPEAKS).says()
    talk.began(0.1)
    assert not talk.stopped(600)

    assert talk.written_down(text) is nothing

    assert talk.facts == facts


# -- who asks for the answer


def test_a_voice_that_answers_by_itself_is_not_asked():
    talk = Talk()

    talk.turn_taken()

    assert talk.kinds == []


def test_a_voice_that_does_not_answer_by_itself_is_asked_at_the_end_of_each_turn():
    talk = Talk(LASTS)
    talk.began(0.1)
    talk.stopped(500)

    talk.turn_taken()

    assert talk.kinds == ["response.create"]


def test_a_cough_is_not_answered():
    talk = Talk(LASTS).says()
    talk.began(0.1)
    talk.stopped(200)

    talk.turn_taken()

    assert talk.kinds == []


def test_the_turn_after_a_cough_is_answered():
    talk = Talk(LASTS).says()
    talk.began(0.1)
    talk.stopped(200)
    talk.turn_taken()
    talk.began(2.0, "u2")
    talk.stopped(500, 3.0)

    talk.turn_taken("u2")

    assert talk.kinds[-1] == "response.create"


def test_a_turn_that_waits_for_its_words_is_answered_when_they_are_enough():
    talk = Talk(SPEAKS).says()
    talk.began(0.1)
    talk.stopped(600)
    talk.turn_taken()
    assert talk.kinds == []

    talk.written_down("Hold on")

    assert talk.kinds == ["conversation.item.truncate", "response.create"]


def test_a_turn_whose_words_are_too_few_is_not_answered_later_either():
    talk = Talk(SPEAKS).says()
    talk.began(0.1)
    talk.stopped(600)
    talk.turn_taken()
    talk.written_down("Mhm.")

    talk.began(2.0, "u2")
    talk.stopped(600, 3.0)
    talk.written_down("Hold on", 3.5, "u2")

    assert "response.create" not in talk.kinds


def test_a_turn_whose_words_never_come_is_answered_after_two_seconds():
    talk = Talk(SPEAKS).says()
    talk.began(0.1)
    talk.stopped(600, 1.0)
    talk.turn_taken()

    talk.interruptions.advance(talk.session, 3.0)

    assert talk.kinds[-1] == "response.create"


def test_words_are_answered_although_a_cough_came_behind_them():
    talk = Talk(SPEAKS).says()
    talk.began(0.1)
    talk.stopped(600)
    talk.turn_taken()
    talk.began(1.1, "u2")
    talk.stopped(100, 1.3)
    talk.turn_taken("u2")

    talk.written_down("Hold on")

    assert talk.facts == ["agent.interrupted"]
    assert talk.kinds.count("response.create") == 1


# -- keys, and losses


def test_a_key_interrupts_at_once_whatever_is_set():
    talk = Talk(SPEAKS).says(done=False)

    talk.interruptions.pressed(talk.session, 0.1)

    assert talk.line.clears == [0.1]
    assert talk.kinds == ["response.cancel", "conversation.item.truncate"]


def test_a_key_settles_a_sound_that_was_suspected():
    talk = Talk(SPEAKS).says()
    talk.began(0.1)

    talk.interruptions.pressed(talk.session, 0.3)

    assert talk.facts == ["agent.interrupted"]
    assert talk.line.clears == [0.1]
    assert not talk.written_down("Mhm.")


def test_a_key_into_silence_cuts_nothing_and_leaves_the_line_free():
    talk = Talk(LASTS)

    talk.interruptions.pressed(talk.session, 0.1)
    talk.downlink.add("i1", AUDIO, PHONE)

    assert talk.facts == []
    assert talk.goes_on() == AUDIO[: 200 * 8]


def test_when_the_session_is_lost_what_it_had_said_is_played_on():
    talk = Talk(SPEAKS).says()
    talk.began(0.1)

    talk.interruptions.lost()

    assert talk.goes_on() == AUDIO[100 * 8 : 300 * 8]
    assert not talk.written_down("Hold on")
    assert talk.facts == []


def test_a_turn_that_waited_is_not_answered_by_the_next_session_unasked():
    talk = Talk(SPEAKS).says()
    talk.began(0.1)
    talk.stopped(600)
    talk.turn_taken()
    talk.interruptions.lost()

    talk.began(2.0, "u2")
    talk.stopped(600, 3.0)
    talk.written_down("Hold on", 3.5, "u2")

    assert "response.create" not in talk.kinds
