"""The server core: whatever comes in whatever order, it answers by the protocol."""

import base64
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.voice.embedded.dialogue import Dialogue
from gateway.voice.embedded.script_file import shipped_scripts
from tests.voice.core_client import HOP_MS, Client

SCRIPT = shipped_scripts()["reception"]
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "name": name, "description": "", "parameters": {}}
    for name in ("end_call", "book_table")
]
WORDS = (
    "Hello",
    "I want a table for two",
    "Friday",
    "At eight",
    "Yes",
    "No",
    "",
    "Goodbye",
    "what",
    "operator",
)


def created(text: str) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {
        "type": "conversation.item.create",
        "item": {"type": "message", "role": "user", "content": content},
    }


def session(**changes: Any) -> dict[str, Any]:
    return {"type": "session.update", "session": {"type": "realtime", **changes}}


RECORDING = {"type": "input_audio", "audio": base64.b64encode(bytes(9600)).decode()}

EVENTS = st.sampled_from(
    [
        {"type": "response.create"},
        {"type": "response.create", "response": {"metadata": {"say": "One. Two."}}},
        {"type": "response.create", "response": {"conversation": "none", "metadata": {"say": "One. Two."}}},
        {"type": "response.cancel"},
        {"type": "input_audio_buffer.clear"},
        {"type": "input_audio_buffer.commit"},
        {
            "type": "session.update",
            "session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}},
        },
        {
            "type": "session.update",
            "session": {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "server_vad"}}}},
        },
        {
            "type": "session.update",
            "session": {
                "type": "realtime",
                "tools": TOOLS,
                "audio": {"input": {"turn_detection": {"type": "server_vad", "interrupt_response": False}}},
            },
        },
        created("[DTMF] 3"),
        created("[DTMF] 1"),
        created("a table for two tomorrow at eight"),
        {
            "type": "conversation.item.create",
            "item": {"type": "message", "role": "user", "content": [RECORDING]},
        },
        {"type": "conversation.item.delete", "item_id": "missing"},
        session(output_modalities=["text"]),
        session(output_modalities=["audio"]),
        session(audio={"input": {"format": {"type": "audio/pcmu"}}}),
        session(audio={"input": {"format": {"type": "audio/pcm", "rate": 24000}}}),
        session(audio={"output": {"format": {"type": "audio/pcma"}}}),
        session(audio={"output": {"voice": "marin"}}),
        session(audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}}),
        session(audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000}}}),
    ]
)
# Of the newest item, whichever it is then.
OF_THE_LAST = st.sampled_from(
    [
        ("conversation.item.delete", {}),
        ("conversation.item.retrieve", {}),
        ("conversation.item.truncate", {"content_index": 0, "audio_end_ms": 20}),
    ]
)
STEPS = st.lists(
    st.one_of(
        EVENTS,
        st.lists(st.sampled_from([0.0, 0.4, 0.6, 1.0]), min_size=1, max_size=25),
        st.integers(1, 3),  # jobs that are finished
        st.floats(0.01, 20),  # time that passes
        st.booleans(),  # whether hops are judged at once, or when this comes again
        OF_THE_LAST,
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(steps=STEPS, words=st.lists(st.sampled_from(WORDS), max_size=5))
def test_every_answer_to_any_client_is_of_the_protocol_and_in_order(steps, words):
    client = Client(*words, *[""] * 200, brain=Dialogue(SCRIPT), sentence_ms=HOP_MS)
    client.working = False

    for step in steps:
        match step:
            case dict():
                client.send_text(json.dumps(step))
            case list():
                client.audio(*step)
            case bool():
                client.judging = step
                client.judge()
            case (str(event_type), dict(fields)):
                added = [event for event in client.events if event["type"] == "conversation.item.added"]
                item = added[-1]["item"]["id"] if added else "missing"
                client.send(event_type, item_id=item, **fields)
            case int():
                client.work(step)
            case float():
                client.wait(step)
    client.judging = True
    client.judge()
    client.work()

    assert client.events[0]["type"] == "session.created"
    assert client.jobs == []
