"""How we want a session: what the protocol allows, with what the agent and the voice are."""

import json
from typing import Any

import pytest

from gateway.contracts import Agent, AudioFormat, Tool, VoiceTraits
from gateway.testing.realtime_schema import check_client_event
from gateway.voice.configuration import TurnDetection, configuration

TRAITS = VoiceTraits(name="puppet")
PHONE = AudioFormat(encoding="pcmu", rate_hz=8000)
PHONE_A = AudioFormat(encoding="pcma", rate_hz=8000)
HOURS = Tool(name="hours", description="When we are open.", parameters={"type": "object", "properties": {}})


def configured(
    agent: Agent | None = None,
    traits: VoiceTraits = TRAITS,
    turns: TurnDetection | None = None,
    tools: tuple[Tool, ...] = (),
) -> dict[str, Any]:
    return configuration(agent or Agent(name="a"), traits, turns or TurnDetection(), tools)


@pytest.mark.parametrize(
    "session",
    [
        configured(),
        configured(Agent(name="a", instructions="Be brief.", voice="alloy", language="de")),
        configured(traits=VoiceTraits(name="puppet", input=PHONE, output=PHONE)),
        configured(traits=VoiceTraits(name="puppet", input=PHONE_A, output=PHONE_A)),
        configured(traits=VoiceTraits(name="puppet", input=PHONE, output=AudioFormat())),
        configured(traits=VoiceTraits(name="puppet", transcription_model=None)),
        configured(turns=TurnDetection(threshold=0.9, prefix_padding_ms=0, create_response=False)),
        configured(tools=(HOURS, Tool(name="end_call"))),
    ],
    ids=["least", "agent", "pcmu", "pcma", "mixed", "nobody writes", "turns", "tools"],
)
def test_every_configuration_is_one_that_the_protocol_knows(session: dict[str, Any]):
    check_client_event(json.dumps({"type": "session.update", "event_id": "c1", "session": session}))


def test_the_voice_writes_down_what_the_caller_says_in_his_language():
    session = configured(Agent(name="a", language="de"))

    transcription = session["audio"]["input"]["transcription"]
    assert transcription == {"model": "gpt-4o-mini-transcribe", "language": "de"}


def test_a_voice_that_writes_nothing_down_is_not_asked_to():
    session = configured(traits=VoiceTraits(name="puppet", transcription_model=None))

    assert session["audio"]["input"]["transcription"] is None


def test_linear_audio_is_asked_for_with_its_rate():
    session = configured(traits=VoiceTraits(name="puppet", input=AudioFormat(rate_hz=16_000)))

    assert session["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 16_000}
    assert session["audio"]["output"]["format"] == {"type": "audio/pcm", "rate": 24_000}


def test_a_codec_of_the_telephone_has_no_rate():
    session = configured(traits=VoiceTraits(name="puppet", input=PHONE, output=PHONE_A))

    assert session["audio"]["input"]["format"] == {"type": "audio/pcmu"}
    assert session["audio"]["output"]["format"] == {"type": "audio/pcma"}


def test_an_agent_without_a_voice_of_its_own_has_the_backends():
    assert "voice" not in configured()["audio"]["output"]


def test_the_voice_is_the_agents():
    session = configured(Agent(name="a", voice="alloy"))

    assert session["audio"]["output"]["voice"] == "alloy"


def test_turns_are_found_by_the_voice_as_we_set_it():
    turns = TurnDetection(
        threshold=0.7, prefix_padding_ms=100, silence_duration_ms=800, create_response=False
    )

    assert configured(turns=turns)["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.7,
        "prefix_padding_ms": 100,
        "silence_duration_ms": 800,
        "create_response": False,
        "interrupt_response": False,
    }


def test_a_tool_is_described_to_the_model():
    assert configured(tools=(HOURS,))["tools"] == [
        {
            "type": "function",
            "name": "hours",
            "description": "When we are open.",
            "parameters": {"type": "object", "properties": {}},
        }
    ]
