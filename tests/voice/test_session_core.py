import base64
import json
from typing import Any

from gateway.contracts import Agent, Tool, VoiceTraits
from gateway.voice import session_events as said
from gateway.voice.session_core import SessionCore, SessionState, TurnDetection

PCM_20_MS = bytes(960)
TRAITS = VoiceTraits(name="puppet")


def connected(agent: Agent | None = None) -> SessionCore:
    session = SessionCore(agent or Agent(name="a"), TRAITS)
    session.connect()
    session.opened()
    hear(session, type="session.created", session={"id": "sess_1"})
    hear(session, type="session.updated", session={"id": "sess_1"})
    done(responding(session, "greeting"), "greeting")
    session.events()
    session.outgoing()
    return session


def hear(core: SessionCore, **event: Any) -> None:
    core.receive(json.dumps({"event_id": "e1"} | event))


def responding(session: SessionCore, response: str = "r1") -> SessionCore:
    hear(session, type="response.created", response={"id": response, "status": "in_progress"})
    return session


def delta(session: SessionCore, response: str, pcm: bytes = PCM_20_MS) -> None:
    audio = base64.b64encode(pcm).decode()
    hear(session, type="response.output_audio.delta", response_id=response, item_id="i1", delta=audio)


def done(session: SessionCore, response: str = "r1", status: str = "completed", **fields: Any) -> None:
    hear(session, type="response.done", response={"id": response, "status": status} | fields)


def told(session: SessionCore) -> list[dict[str, Any]]:
    return [json.loads(event) for event, _ in session.outgoing()]


def kinds(session: SessionCore) -> list[str]:
    return [event["type"] for event in told(session)]


def test_the_configuration_is_the_first_thing_that_is_sent():
    session = SessionCore(
        Agent(name="a", instructions="Be brief.", voice="alloy"), TRAITS, tools=[Tool(name="end_call")]
    )

    session.connect()

    (event,) = told(session)
    assert event["type"] == "session.update"
    assert event["session"]["instructions"] == "Be brief."
    assert event["session"]["audio"]["output"]["voice"] == "alloy"
    assert [tool["name"] for tool in event["session"]["tools"]] == ["end_call"]


def test_the_voice_is_told_never_to_interrupt_by_itself():
    session = SessionCore(Agent(name="a"), TRAITS)
    session.connect()

    turn_detection = told(session)[0]["session"]["audio"]["input"]["turn_detection"]

    assert turn_detection["interrupt_response"] is False


def test_every_event_that_is_sent_has_an_id_of_its_own():
    session = connected()

    session.send_audio(PCM_20_MS)
    session.press("1")

    ids = [event["event_id"] for event in told(session)]
    assert len(set(ids)) == len(ids)


def test_audio_goes_out_with_its_duration_so_that_only_audio_is_ever_dropped():
    session = connected()

    session.send_audio(PCM_20_MS)
    session.press("1")

    assert [caller_ms for _, caller_ms in session.outgoing()] == [20, 0, 0]


def test_the_states_of_a_turn():
    session = connected()
    seen = [session.state]

    hear(session, type="input_audio_buffer.speech_started", audio_start_ms=0, item_id="u")
    seen.append(session.state)
    hear(session, type="input_audio_buffer.speech_stopped", audio_end_ms=0, item_id="u")
    seen.append(session.state)
    responding(session)
    delta(session, "r1")
    seen.append(session.state)
    done(session)
    seen.append(session.state)
    session.ended()
    seen.append(session.state)

    assert seen == [
        SessionState.CONNECTED,
        SessionState.LISTENING,
        SessionState.PROCESSING,
        SessionState.SPEAKING,
        SessionState.CONNECTED,
        SessionState.DISCONNECTED,
    ]


def test_a_cancelled_response_is_silent_from_then_on():
    session = responding(connected())
    delta(session, "r1")
    session.cancel()
    session.events()

    delta(session, "r1")
    hear(session, type="response.output_audio.done", response_id="r1", item_id="i1")

    assert session.events() == []


def test_a_response_is_cancelled_once():
    session = responding(connected())

    session.cancel()
    session.cancel()

    assert kinds(session) == ["response.cancel"]


def test_nothing_is_cancelled_when_nothing_runs():
    session = responding(connected())
    done(session)

    session.cancel()

    assert kinds(session) == []


def test_a_response_asked_for_while_another_runs_is_created_when_that_one_is_over():
    session = responding(connected())

    session.respond()
    assert kinds(session) == []
    done(session)

    assert kinds(session) == ["response.create"]


def test_a_cancelled_response_ends_as_cancelled_whatever_the_voice_says():
    session = responding(connected())
    session.cancel()
    session.events()

    done(session, status="completed")

    assert session.events() == [said.ResponseEnded("r1", "cancelled", None, None)]


def test_a_tool_is_called_when_its_response_is_complete():
    session = responding(connected())

    done(
        session, output=[{"type": "function_call", "id": "f", "name": "t", "call_id": "c", "arguments": "{}"}]
    )

    assert said.ToolCalled("c", "t", "{}") in session.events()


def test_a_tool_of_a_cancelled_response_is_not_called():
    session = responding(connected())
    session.cancel()

    done(
        session, output=[{"type": "function_call", "id": "f", "name": "t", "call_id": "c", "arguments": "{}"}]
    )

    assert not [event for event in session.events() if isinstance(event, said.ToolCalled)]


def test_what_the_turn_was_taken_for_is_reported():
    session = responding(connected())

    done(session, metadata={"matched": "opening_hours"})

    assert said.ResponseEnded("r1", "completed", "opening_hours", None) in session.events()


def test_when_the_caller_stopped_is_counted_back_from_the_audio_that_was_sent():
    session = SessionCore(Agent(name="a"), TRAITS, turns=TurnDetection(silence_duration_ms=400))
    session.connect()
    session.opened()
    for _ in range(100):
        session.send_audio(PCM_20_MS)

    hear(session, type="input_audio_buffer.speech_stopped", audio_end_ms=1900, item_id="u")

    assert session.events() == [said.SpeechStopped(0.5, 1200, 1900, "u")]


def test_an_error_of_the_voice_is_reported_and_the_session_goes_on():
    session = connected()

    hear(session, type="error", error={"type": "invalid_request_error", "code": "bad", "message": "no"})

    assert session.events() == [said.VoiceTrouble("bad", "no")]
    assert session.state is SessionState.CONNECTED


def test_what_the_agent_says_is_known_before_its_transcript_is_complete():
    session = responding(connected())

    for part in ("We are ", "open"):
        hear(
            session, type="response.output_audio_transcript.delta", response_id="r1", item_id="i1", delta=part
        )

    assert session.history.text("i1") == "We are open"
