import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contracts import Agent, AudioFormat, Tool, VoiceTraits
from gateway.voice.session_core import SessionCore
from gateway.wire.realtime_beta import to_beta
from tests.wire.beta_schema import check_beta_event

SESSION = {
    "type": "realtime",
    "output_modalities": ["audio"],
    "instructions": "Be brief.",
    "tools": [{"type": "function", "name": "end_call", "description": "", "parameters": {"type": "object"}}],
    "tool_choice": "auto",
    "max_output_tokens": 500,
    "audio": {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24000},
            "noise_reduction": {"type": "near_field"},
            "transcription": {"model": "whisper-1", "language": "en"},
            "turn_detection": {"type": "server_vad", "threshold": 0.5, "idle_timeout_ms": 6000},
        },
        "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin", "speed": 1.1},
    },
}
FLAT = {
    "instructions": "Be brief.",
    "modalities": ["audio", "text"],
    "voice": "marin",
    "speed": 1.1,
    "input_audio_format": "pcm16",
    "output_audio_format": "pcm16",
    "input_audio_transcription": {"model": "whisper-1", "language": "en"},
    "input_audio_noise_reduction": {"type": "near_field"},
    "turn_detection": {"type": "server_vad", "threshold": 0.5},
    "tools": [{"type": "function", "name": "end_call", "description": "", "parameters": {"type": "object"}}],
    "tool_choice": "auto",
    "max_response_output_tokens": 500,
}


def in_beta(event_type: str, **fields: Any) -> dict[str, Any]:
    told = to_beta(json.dumps({"type": event_type, "event_id": "c1", **fields}))
    decoded: dict[str, Any] = json.loads(told)
    assert (decoded.pop("type"), decoded.pop("event_id")) == (event_type, "c1")
    return decoded


def test_a_session_becomes_flat():
    assert in_beta("session.update", session=SESSION) == {"session": FLAT}


@pytest.mark.parametrize(
    ("ga", "beta"), [("audio/pcm", "pcm16"), ("audio/pcmu", "g711_ulaw"), ("audio/pcma", "g711_alaw")]
)
def test_each_format_has_its_old_name(ga: str, beta: str):
    audio = {"input": {"format": {"type": ga}}, "output": {"format": {"type": ga}}}

    session = in_beta("session.update", session={"type": "realtime", "audio": audio})["session"]

    assert session == {"input_audio_format": beta, "output_audio_format": beta}


def test_what_is_not_said_stays_unsaid_and_null_stays_null():
    audio = {"input": {"turn_detection": None, "transcription": None}}

    session = in_beta("session.update", session={"type": "realtime", "audio": audio, "tools": []})["session"]

    assert session == {"turn_detection": None, "input_audio_transcription": None, "tools": []}


def test_what_the_beta_has_no_word_for_is_left_out():
    session = {"type": "realtime", "reasoning": {"effort": "low"}, "truncation": "auto", "include": []}

    assert in_beta("session.update", session=session) == {"session": {}}


def test_text_alone_stays_alone():
    session = {"type": "realtime", "output_modalities": ["text"]}

    assert in_beta("session.update", session=session)["session"] == {"modalities": ["text"]}


def test_a_response_becomes_flat():
    item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}
    response = {
        "output_modalities": ["audio"],
        "instructions": "Greet.",
        "metadata": {"say": "Hello."},
        "conversation": "none",
        "audio": {"output": {"voice": "marin"}},
        "input": [item],
    }

    assert in_beta("response.create", response=response)["response"] == {
        "modalities": ["audio", "text"],
        "instructions": "Greet.",
        "metadata": {"say": "Hello."},
        "conversation": "none",
        "voice": "marin",
        "input": [item | {"content": [{"type": "text", "text": "Hi"}]}],
    }


def test_a_response_without_wishes_stays_so():
    assert in_beta("response.create") == {}


@pytest.mark.parametrize(
    ("ga", "beta"),
    [
        ({"type": "output_text", "text": "Hi"}, {"type": "text", "text": "Hi"}),
        ({"type": "output_audio", "transcript": "Hi"}, {"type": "audio", "transcript": "Hi"}),
        ({"type": "input_text", "text": "output_text"}, {"type": "input_text", "text": "output_text"}),
    ],
)
def test_what_the_agent_said_has_its_old_name(ga: dict[str, str], beta: dict[str, str]):
    item = {"type": "message", "role": "assistant"}

    told = in_beta("conversation.item.create", previous_item_id=None, item=item | {"content": [ga]})

    assert told == {"previous_item_id": None, "item": item | {"content": [beta]}}


@pytest.mark.parametrize(
    "content", [5, "text", {"type": "x"}, None, [5], [[]], [{}], [{"type": {}}], [{"type": 1}]]
)
def test_strange_content_stays_as_it_is(content: Any):
    item = {"type": "message", "role": "assistant", "content": content}

    assert in_beta("conversation.item.create", item=item) == {"item": item}


@pytest.mark.parametrize(
    "event",
    [
        '{"type":"input_audio_buffer.append","event_id":"c1","audio":"AAAA"}',
        '{"type": "response.cancel", "response_id": "r1"}',
        '{"type":"conversation.item.truncate","item_id":"i","content_index":0,"audio_end_ms":5}',
        '{"type":"session.update"}',
        '{"type":"session.update","session":5}',
        '{"type":"session.update","session":{"audio":{"output":{"format":{"type":"audio/opus"}}}}}',
        "{",
        "",
        "[]",
        '"\ud800"',
        '{"a":' * 100_000,
    ],
)
def test_what_is_the_same_in_both_or_is_no_event_comes_back_as_it_is(event: str):
    assert to_beta(event) is event


def test_what_a_session_says_is_of_the_beta():
    phone = AudioFormat(encoding="pcmu", rate_hz=8000)
    traits = VoiceTraits(name="realtime", input=phone, output=phone)
    session = SessionCore(Agent(name="a", voice="alloy", greeting="Hello."), traits, tools=[Tool(name="t")])
    session.connect()
    session.opened()
    session.receive('{"type":"session.updated","session":{"id":"s"}}')
    session.greet()
    session.send_audio(bytes(160))
    session.press("5")
    session.tool_answered("call_1", "done")

    told = [to_beta(event) for event, _ in session.outgoing()]

    assert len(told) >= 5
    for event in told:
        check_beta_event(event)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["output_text", "audio/pcm"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*SESSION, "input", "output", "format", "content", "type", "role"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(
    st.sampled_from(["session.update", "response.create", "conversation.item.create"]),
    st.dictionaries(st.sampled_from(["session", "response", "item", "event_id"]), JSON),
)
def test_nothing_that_is_said_breaks_it(event_type: str, fields: dict[str, Any]):
    told = json.loads(to_beta(json.dumps({"type": event_type, **fields})))

    assert told["type"] == event_type


@given(st.text())
def test_no_text_breaks_it(text: str):
    assert isinstance(to_beta(text), str)
