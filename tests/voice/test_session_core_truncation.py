"""The session core: what was heard, what a session is told of an earlier one, and what it is asked for."""

import base64
import json
from typing import Any

import pytest

from gateway.contracts import Agent, AudioFormat, VoiceTraits
from gateway.testing.realtime_schema import check_client_event
from gateway.voice import session_events as said
from gateway.voice.history import History
from gateway.voice.session_core import SessionCore
from gateway.wire.realtime import UNUSED

PHONE = AudioFormat(encoding="pcmu", rate_hz=8000)
TRAITS = VoiceTraits(name="puppet")


def opened(
    history: History | None = None, *, agent: Agent | None = None, traits: VoiceTraits = TRAITS
) -> SessionCore:
    """A session that stands and has been asked for nothing."""
    session = SessionCore(agent or Agent(name="a"), traits, history=history)
    session.connect()
    session.opened()
    told(session)
    return session


def hear(session: SessionCore, kind: str, **event: Any) -> None:
    session.receive(json.dumps({"type": kind, "event_id": "e"} | event))


def audio(
    session: SessionCore, item: str = "i1", response: str = "r1", size_bytes: int = 960, **fields: int
) -> None:
    delta = base64.b64encode(bytes(size_bytes)).decode()
    hear(session, "response.output_audio.delta", response_id=response, item_id=item, delta=delta, **fields)


def words(session: SessionCore, text: str, item: str = "i1", response: str = "r1") -> None:
    kind = "response.output_audio_transcript.done"
    hear(session, kind, response_id=response, item_id=item, transcript=text)


def answering(session: SessionCore, response: str = "r1") -> SessionCore:
    hear(session, "response.created", response={"id": response})
    return session


def done(session: SessionCore, response: str = "r1", status: str = "completed") -> None:
    hear(session, "response.done", response={"id": response, "status": status})


def told(session: SessionCore) -> list[dict[str, Any]]:
    """What the voice is sent, all of it as the protocol wants it; without the ids of the events."""
    events = []
    for text, _ in session.outgoing():
        check_client_event(text)
        events.append({k: v for k, v in json.loads(text).items() if k != "event_id"})
    return events


def kinds(session: SessionCore) -> list[str]:
    return [event["type"] for event in told(session)]


# -- what was heard of an answer


def test_the_voice_is_told_how_much_of_an_item_was_heard():
    session = answering(opened())
    audio(session)

    session.truncate("i1", 15, "")

    assert told(session) == [
        {"type": "conversation.item.truncate", "item_id": "i1", "content_index": 0, "audio_end_ms": 15}
    ]


def test_a_truncation_names_the_part_that_has_the_audio():
    session = answering(opened())
    audio(session, content_index=1)

    session.truncate("i1", 15, "")

    assert told(session)[0]["content_index"] == 1


def test_the_history_keeps_the_words_that_were_heard():
    session = answering(opened())
    audio(session)
    words(session, "We open at nine.")

    session.truncate("i1", 15, "We open")

    assert session.history.text("i1") == "We open"


def test_words_that_come_after_the_cut_do_not_undo_it():
    session = answering(opened())
    audio(session)
    words(session, "We open at nine.")
    session.cancel()
    session.truncate("i1", 15, "We open")
    session.events()

    hear(
        session, "response.output_audio_transcript.delta", response_id="r1", item_id="i1", delta=" every day."
    )
    words(session, "We open at nine every day.")

    assert session.history.text("i1") == "We open"
    assert session.events() == []


@pytest.mark.parametrize("item", ["filler7", "clip3", "digits2"])
def test_what_was_no_item_of_the_conversation_is_not_truncated(item: str):
    session = opened()

    session.truncate(item, 15, "")

    assert told(session) == []


def test_an_item_can_be_cut_twice():
    session = answering(opened())
    audio(session)

    session.truncate("i1", 15, "We open")
    session.truncate("i1", 10, "We")

    assert [event["audio_end_ms"] for event in told(session)] == [15, 10]


# -- what comes late of an answer that was cut


def cut_short() -> SessionCore:
    """An answer whose first item was cut."""
    session = answering(opened())
    audio(session)
    session.cancel()
    session.truncate("i1", 15, "")
    session.events()
    told(session)
    return session


def test_more_audio_of_the_item_that_was_cut_is_not_for_the_caller():
    session = cut_short()

    audio(session)

    assert session.events() == []
    assert told(session) == []


def test_an_item_that_begins_after_the_cut_was_not_heard_at_all():
    session = cut_short()

    audio(session, "i2")
    audio(session, "i2")

    assert session.events() == []
    assert told(session) == [
        {"type": "conversation.item.truncate", "item_id": "i2", "content_index": 0, "audio_end_ms": 0}
    ]


def test_an_answer_that_was_cut_before_it_began_is_truncated_to_nothing():
    session = opened()
    session.respond()
    session.cancel()
    answering(session)
    told(session)

    audio(session)

    assert [(event["type"], event["audio_end_ms"]) for event in told(session)] == [
        ("conversation.item.truncate", 0)
    ]


def test_a_call_of_a_function_in_an_answer_that_was_cut_is_not_made():
    session = cut_short()
    call = {"id": "f", "type": "function_call", "name": "hours", "call_id": "c1", "arguments": "{}"}
    hear(session, "response.output_item.done", response_id="r1", item=call)

    done(session)

    assert session.events() == [said.ResponseEnded("r1", "cancelled", None, None)]
    assert list(session.history.items()) == []


def test_audio_that_comes_when_a_cut_answer_is_over_is_not_for_the_caller_either():
    session = cut_short()
    done(session, status="cancelled")
    session.events()

    audio(session)

    assert session.events() == []


def test_audio_that_comes_when_its_answer_is_over_does_not_keep_the_next_answer_waiting():
    session = answering(opened())
    done(session)

    audio(session)
    session.respond()

    assert kinds(session) == ["response.create"]


def test_audio_of_an_answer_that_is_over_stays_out_of_the_one_that_has_begun():
    session = cut_short()
    done(session, status="cancelled")
    answering(session, "r2")
    session.events()

    audio(session)
    done(session, "r2")

    assert session.events() == [said.ResponseEnded("r2", "completed", None, None)]
    assert not session.responding


def test_a_voice_that_names_all_its_answers_alike_is_heard():
    session = cut_short()
    done(session, status="cancelled")
    answering(session)
    session.events()

    audio(session, "i2")

    assert session.events() == [said.AgentAudio("i2", bytes(960))]


def test_a_voice_that_does_not_tell_when_an_answer_begins_is_heard():
    session = opened()

    audio(session)

    assert session.events() == [said.AgentAudio("i1", bytes(960))]
    assert session.responding


def test_the_answer_after_a_cut_one_is_heard():
    session = cut_short()
    done(session, status="cancelled")
    answering(session, "r2")
    session.events()

    audio(session, "i2", "r2")

    assert session.events() == [said.AgentAudio("i2", bytes(960))]


def test_items_that_are_being_said_are_known_until_they_are_over():
    session = answering(opened())
    audio(session)
    audio(session, "i2")
    assert session.unfinished == ["i1", "i2"]

    hear(session, "response.output_audio.done", response_id="r1", item_id="i1")
    assert session.unfinished == ["i2"]
    done(session)

    assert session.unfinished == []


def test_of_an_answer_that_was_cut_nothing_is_unfinished():
    assert cut_short().unfinished == []


def test_a_failed_answer_finishes_what_it_had_begun_to_say():
    session = answering(opened())
    audio(session)
    session.events()

    done(session, status="failed")

    assert session.events() == [
        said.AgentAudioDone("i1"),
        said.ResponseEnded("r1", "failed", None, None),
    ]


def test_half_a_sample_is_trouble_and_no_audio():
    session = answering(opened())
    session.events()

    audio(session, size_bytes=961)

    assert session.events() == [said.VoiceTrouble("malformed_event", "961 bytes of PCM16")]
    assert session.unfinished == []


# -- what a session is told of an earlier one


def talk() -> History:
    history = History()
    history.spoke("a1", "Good morning.")
    history.turn("u1", "When do you open?")
    history.called("c1", "hours", "{}")
    history.answered("c1", "nine")
    history.spoke("a2", "We open at nine.")
    return history


def test_a_session_is_told_what_was_said_and_done_in_its_order():
    session = opened(talk())

    session.seed()

    items = [event["item"] for event in told(session)]
    assert [item.get("role", item["type"]) for item in items] == [
        "assistant",
        "user",
        "function_call",
        "function_call_output",
        "assistant",
    ]
    assert len({item["id"] for item in items}) == 5


def test_a_session_is_told_nothing_when_nothing_was_said():
    session = opened()

    session.seed()

    assert told(session) == []


def test_what_an_earlier_session_said_is_told_anew_as_it_was_heard():
    session = opened(talk())
    session.seed()
    told_as = told(session)[-1]["item"]["id"]

    session.truncate("a2", 300, "We open")

    assert told(session) == [
        {
            "type": "conversation.item.create",
            "previous_item_id": told_as,
            "item": {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "We open"}],
            },
        },
        {"type": "conversation.item.delete", "item_id": told_as},
    ]


def test_what_an_earlier_session_said_and_nobody_heard_is_taken_back():
    session = opened(talk())
    session.seed()
    told(session)

    session.truncate("a2", 0, "")

    assert kinds(session) == ["conversation.item.delete"]


def test_what_an_earlier_session_said_is_corrected_once():
    session = opened(talk())
    session.seed()
    session.truncate("a2", 300, "We open")
    told(session)

    session.truncate("a2", 300, "We open")

    assert told(session) == []


# -- what it is asked for


def test_exact_words_reach_a_model_as_an_instruction_and_others_as_they_are():
    session = opened()

    session.say("Say exactly: Goodbye.", "Goodbye.")

    assert told(session) == [
        {
            "type": "response.create",
            "response": {"instructions": "Say exactly: Goodbye.", "metadata": {"say": "Goodbye."}},
        }
    ]


def test_a_plain_answer_overrides_nothing():
    session = opened()

    session.respond()

    assert told(session) == [{"type": "response.create"}]


def test_what_is_asked_of_an_answer_waits_with_it_for_the_one_that_is_being_made():
    session = answering(opened())

    session.respond({"metadata": {"idle": "yes"}})
    assert told(session) == []
    done(session)

    assert told(session) == [{"type": "response.create", "response": {"metadata": {"idle": "yes"}}}]


def test_an_answer_that_was_asked_for_and_refused_makes_room_for_the_next():
    session = opened()
    session.respond()
    ((event, _),) = session.outgoing()
    session.respond({"metadata": {"idle": "yes"}})

    error = {"type": "invalid_request_error", "message": "no", "event_id": json.loads(event)["event_id"]}
    hear(session, "error", error=error)

    assert kinds(session) == ["response.create"]


def test_a_cancelled_wish_is_no_wish():
    session = answering(opened())
    session.respond()
    session.cancel()
    told(session)

    done(session, status="cancelled")

    assert told(session) == []
    assert not session.responding


# -- a session that is not open


def connecting() -> SessionCore:
    session = SessionCore(Agent(name="a"), TRAITS)
    session.connect()
    told(session)
    return session


def closed() -> SessionCore:
    session = opened()
    session.ended()
    return session


@pytest.mark.parametrize("away", [connecting, closed])
def test_a_session_that_is_not_open_is_asked_for_nothing(away: Any):
    session = away()

    session.respond()
    session.greet()

    assert told(session) == []
    assert not session.responding


@pytest.mark.parametrize("away", [connecting, closed])
def test_what_happens_while_a_session_is_not_open_is_for_the_next_seed(away: Any):
    session = away()
    session.history.called("c1", "hours", "{}")

    session.press("5")
    session.tool_answered("c1", "nine")

    assert told(session) == []
    assert [item["type"] for _, item in session.history.items()] == [
        "function_call",
        "function_call_output",
        "message",
    ]


def test_a_key_is_told_and_answered():
    session = opened()

    session.press("5")

    item, wish = told(session)
    assert item["item"]["content"] == [{"type": "input_text", "text": "[DTMF] 5"}]
    assert wish == {"type": "response.create"}


# -- events that nobody expected


def test_an_event_that_is_new_to_us_is_counted():
    session = opened()

    hear(session, "response.telepathy.delta", thought="?")

    assert session.events() == [said.UnknownEvent("response.telepathy.delta")]


@pytest.mark.parametrize("kind", sorted(UNUSED))
def test_an_event_that_we_know_and_have_no_use_for_is_not(kind: str):
    session = opened()

    hear(session, kind)

    assert session.events() == []


def test_a_known_event_of_the_wrong_shape_is_trouble():
    session = opened()

    hear(session, "response.output_audio.delta", response_id=7)

    (trouble,) = session.events()
    assert isinstance(trouble, said.VoiceTrouble)
    assert trouble.code == "malformed_event"


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "null", "{}", '{"type": 5}', "[" * 100_000])
def test_what_is_no_event_is_trouble(text: str):
    session = opened()

    session.receive(text)

    (trouble,) = session.events()
    assert isinstance(trouble, said.VoiceTrouble)


# -- a session in the telephone's codec


def test_a_session_in_pcmu_counts_the_callers_milliseconds_by_its_bytes():
    session = opened(traits=VoiceTraits(name="puppet", input=PHONE, output=PHONE))

    session.send_audio(bytes(160))
    session.send_audio_again(bytes(160))

    assert [caller_ms for _, caller_ms in session.outgoing()] == [20, 0]


def test_a_session_in_pcmu_takes_audio_of_any_length():
    session = answering(opened(traits=VoiceTraits(name="puppet", input=PHONE, output=PHONE)))
    session.events()

    audio(session, size_bytes=161)

    assert session.events() == [said.AgentAudio("i1", bytes(161))]


def test_in_pcmu_too_when_the_caller_stopped_is_counted_back_from_what_was_sent():
    session = opened(traits=VoiceTraits(name="puppet", input=PHONE, output=PHONE))
    for _ in range(100):
        session.send_audio(bytes(160))
    hear(session, "input_audio_buffer.speech_started", audio_start_ms=0, item_id="u1")

    hear(session, "input_audio_buffer.speech_stopped", audio_end_ms=1900, item_id="u1")

    assert session.events()[-1] == said.SpeechStopped(0.6, 1100, 1900, "u1")


def test_audio_that_is_sent_again_counts_as_sent():
    session = opened(traits=VoiceTraits(name="puppet", input=PHONE, output=PHONE))
    session.send_audio_again(bytes(8 * 2000))

    hear(session, "input_audio_buffer.speech_stopped", audio_end_ms=1900, item_id="u1")

    assert session.events()[-1] == said.SpeechStopped(0.6, 1100, 1900, "u1")
