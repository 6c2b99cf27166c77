import base64
import json
from typing import Any, get_args

import openai.types.beta.realtime
import openai.types.realtime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire import realtime

PCM = bytes(range(200))
HEAD = {"event_id": "e1", "response_id": "r1", "item_id": "i1", "output_index": 0, "content_index": 0}
DELTA = base64.b64encode(PCM).decode()

# The event, its name in the beta, and what they say.
SPELLINGS: list[tuple[str, str, dict[str, Any], type]] = [
    ("response.output_audio.delta", "response.audio.delta", {"delta": DELTA}, realtime.AudioDelta),
    ("response.output_audio.done", "response.audio.done", {}, realtime.ItemDone),
    (
        "response.output_audio_transcript.delta",
        "response.audio_transcript.delta",
        {"delta": "Hel"},
        realtime.TranscriptDelta,
    ),
    (
        "response.output_audio_transcript.done",
        "response.audio_transcript.done",
        {"transcript": "Hello."},
        realtime.OutputTranscript,
    ),
]


def decoded(event_type: str, **fields: Any) -> Any:
    return realtime.decode(json.dumps({"type": event_type, **fields}))


def values(event: Any) -> list[object]:
    return [getattr(event, name) for name in event.__struct_fields__]


@pytest.mark.parametrize(("ga", "beta", "fields", "kind"), SPELLINGS)
def test_both_names_of_an_event_mean_the_same(ga: str, beta: str, fields: dict[str, Any], kind: type):
    new, old = decoded(ga, **HEAD, **fields), decoded(beta, **HEAD, **fields)

    assert type(new) is kind
    assert isinstance(old, kind)
    assert values(new) == values(old)


def test_audio_is_decoded_from_base64():
    event = decoded("response.output_audio.delta", **HEAD, delta=DELTA)

    assert event == realtime.AudioDelta(response_id="r1", item_id="i1", delta=PCM)


@pytest.mark.parametrize("event_type", [name for ga, beta, _, _ in SPELLINGS for name in (ga, beta)])
def test_a_known_event_of_the_wrong_shape_is_unknown_and_says_why(event_type: str):
    event = decoded(event_type, item_id=5)

    assert isinstance(event, realtime.Unknown)
    assert event.type == event_type
    assert event.problem


@pytest.mark.parametrize(
    "event_type",
    [
        "conversation.created",  # xAI's first
        "conversation.item.created",  # the beta's
        "conversation.item.added",
        "response.text.delta",
        "rate_limits.updated",
        "session.no_such",
    ],
)
def test_an_event_without_use_for_us_is_unknown_and_no_problem(event_type: str):
    assert decoded(event_type, event_id="e1") == realtime.Unknown(event_type)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"type":5}', '"\ud800"', '{"a":' * 100_000])
def test_what_is_no_event_is_unknown(text: str):
    event = realtime.decode(text)

    assert isinstance(event, realtime.Unknown)
    assert event.type == ""
    assert event.problem


def test_every_event_of_the_protocol_and_of_its_beta_is_read_or_known_to_be_without_use():
    tags = {
        get_args(member.model_fields["type"].annotation)[0]
        for package in (openai.types.realtime, openai.types.beta.realtime)
        for member in get_args(get_args(package.RealtimeServerEvent)[0])
    }
    read = {tag for tag in tags if decoded(tag) != realtime.Unknown(tag)}  # as it says what it misses

    assert tags - read - realtime.UNUSED == {"transcription_session.updated"}
    assert read & realtime.UNUSED == set()


@given(st.text() | st.dictionaries(st.text(), st.text()).map(json.dumps))
def test_no_text_breaks_it(text: str):
    assert isinstance(realtime.decode(text), realtime.Unknown)


def test_bytes_of_a_client_event_become_base64():
    text = realtime.encode({"type": "input_audio_buffer.append", "audio": PCM})

    assert json.loads(text)["audio"] == DELTA
