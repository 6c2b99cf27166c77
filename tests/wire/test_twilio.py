"""Media Streams messages: what Twilio was recorded to send, and what it accepts."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire import twilio
from gateway.wire.errors import RemoteProtocolError

# Two recorded sessions, with the identifiers replaced.
STREAM = "MZ" + "0" * 32
CONNECTED = '{"event":"connected","protocol":"Call","version":"1.0.0"}'
START = (
    '{"event":"start","sequenceNumber":"1","start":{"accountSid":"AC'
    + "1" * 32
    + '","streamSid":"'
    + STREAM
    + '",'
    '"callSid":"CA'
    + "2"
    * 32
    + '","tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,'
    '"channels":1},"customParameters":{"k":"v"}},"streamSid":"' + STREAM + '"}'
)
START_WITHOUT_PARAMETERS = START.replace(',"customParameters":{"k":"v"}', "")
MEDIA = (
    '{"event":"media","sequenceNumber":"2","media":{"track":"inbound","chunk":"1","timestamp":"155","payload":"f39/"},'
    '"streamSid":"' + STREAM + '"}'
)
DTMF = (
    '{"event":"dtmf","streamSid":"'
    + STREAM
    + '","sequenceNumber":"5","dtmf":{"track":"inbound_track","digit":"1"}}'
)
MARK = '{"event":"mark","sequenceNumber":"4","streamSid":"' + STREAM + '","mark":{"name":"my label"}}'
STOP = (
    '{"event":"stop","sequenceNumber":"5","stop":{"accountSid":"AC'
    + "1" * 32
    + '","callSid":"CA'
    + "2" * 32
    + '"},'
    '"streamSid":"' + STREAM + '"}'
)
RECORDED = (CONNECTED, START, START_WITHOUT_PARAMETERS, MEDIA, DTMF, MARK, STOP)


def decoded(text: str) -> twilio.FromTwilio | twilio.Unknown | RemoteProtocolError:
    try:
        return twilio.decode(text)
    except RemoteProtocolError as error:
        return error


def test_the_recorded_connected_names_protocol_and_version() -> None:
    assert twilio.decode(CONNECTED) == twilio.Connected(protocol="Call", version="1.0.0")


def test_the_recorded_start_carries_call_stream_format_and_parameters() -> None:
    message = twilio.decode(START)

    assert isinstance(message, twilio.Start)
    assert message.start.call_sid == "CA" + "2" * 32
    assert message.start.stream_sid == STREAM
    assert message.start.media_format == twilio.MediaFormat("audio/x-mulaw", 8000, 1)
    assert message.start.custom_parameters == {"k": "v"}


def test_a_start_may_come_without_custom_parameters() -> None:
    message = twilio.decode(START_WITHOUT_PARAMETERS)

    assert isinstance(message, twilio.Start)
    assert message.start.custom_parameters == {}


def test_the_recorded_media_has_its_counters_as_numbers_and_its_payload_as_bytes() -> None:
    message = twilio.decode(MEDIA)

    assert message == twilio.Media(
        twilio.MediaBody(timestamp=155, payload=b"\x7f\x7f\x7f", chunk=1, track="inbound"), STREAM
    )


def test_the_recorded_dtmf_mark_and_stop_are_of_their_stream() -> None:
    assert twilio.decode(DTMF) == twilio.Dtmf(twilio.DtmfBody("1"), STREAM)
    assert twilio.decode(MARK) == twilio.Mark(twilio.MarkBody("my label"), STREAM)
    assert twilio.decode(STOP) == twilio.Stop(STREAM)


def test_an_event_of_tomorrow_is_unknown_and_no_error() -> None:
    assert twilio.decode('{"event":"hold","streamSid":"x","hold":{}}') == twilio.Unknown("hold")


def test_a_field_of_tomorrow_is_ignored() -> None:
    assert twilio.decode(MARK[:-1] + ',"new":{"a":[1,2]}}') == twilio.decode(MARK)


@pytest.mark.parametrize("payload", ["f39", "f3 9/", "f3-_", "f39/\\n", "é", "Zg=", "Zg==Zg=="])
def test_a_payload_that_is_no_padded_base64_is_an_error(payload: str) -> None:
    with pytest.raises(RemoteProtocolError):
        twilio.decode(MEDIA.replace("f39/", payload))


@pytest.mark.parametrize("timestamp", ["-1", "", " 155", "0x9b", "one", "9" * 30, "1.5"])
def test_a_counter_that_is_no_number_is_an_error(timestamp: str) -> None:
    with pytest.raises(RemoteProtocolError):
        twilio.decode(MEDIA.replace('"155"', json.dumps(timestamp)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        '"media"',
        "{}",
        '{"event":5}',
        '{"event":"media"}',
        MEDIA[:-1],
        MEDIA + MEDIA,
        '{"event":"stop","x":' + "[" * 30_000 + "]" * 30_000 + "}",
        "\ud800",
    ],
)
def test_what_is_no_message_is_a_remote_protocol_error(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        twilio.decode(text)


@given(
    st.text()
    | st.sampled_from(RECORDED).flatmap(lambda text: st.integers(0, len(text)).map(lambda n: text[:n]))
)
def test_any_text_is_a_message_or_a_remote_protocol_error(text: str) -> None:
    outcome = decoded(text)

    assert isinstance(outcome, twilio.FromTwilio | twilio.Unknown | RemoteProtocolError)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    event=st.sampled_from(["connected", "start", "media", "dtmf", "mark", "stop", "other"]),
    body=_json,
    stream_sid=_json,
)
def test_any_shape_of_a_known_event_is_a_message_or_a_remote_protocol_error(
    event: str, body: object, stream_sid: object
) -> None:
    text = json.dumps({"event": event, event: body, "streamSid": stream_sid})

    outcome = decoded(text)

    assert isinstance(outcome, twilio.FromTwilio | twilio.Unknown | RemoteProtocolError)


@given(st.binary(max_size=400))
def test_a_payload_survives_base64(payload: bytes) -> None:
    message = twilio.decode(MEDIA.replace("f39/", base64.b64encode(payload).decode()))

    assert isinstance(message, twilio.Media)
    assert message.media.payload == payload


def test_media_to_twilio_has_exactly_the_documented_fields() -> None:
    text = twilio.encode(twilio.Play(STREAM, twilio.PlayBody(b"\x7f\x7f\x7f")))

    assert json.loads(text) == {"event": "media", "streamSid": STREAM, "media": {"payload": "f39/"}}


def test_a_mark_to_twilio_has_exactly_the_documented_fields() -> None:
    text = twilio.encode(twilio.SendMark(STREAM, twilio.MarkBody("g1:200")))

    assert json.loads(text) == {"event": "mark", "streamSid": STREAM, "mark": {"name": "g1:200"}}


def test_clear_to_twilio_has_exactly_the_documented_fields() -> None:
    text = twilio.encode(twilio.Clear(STREAM))

    assert json.loads(text) == {"event": "clear", "streamSid": STREAM}


@given(st.text(st.characters(codec="utf-8")))
def test_a_stream_sid_cannot_break_out_of_its_field(stream_sid: str) -> None:
    text = twilio.encode(twilio.Clear(stream_sid))

    assert json.loads(text) == {"event": "clear", "streamSid": stream_sid}


@pytest.mark.parametrize(("encoding", "codec"), [("audio/x-mulaw", "pcmu"), ("audio/x-alaw", "pcma")])
def test_the_codec_follows_the_announced_format(encoding: str, codec: str) -> None:
    assert twilio.codec_of(twilio.MediaFormat(encoding, 8000, 1)) == codec


@pytest.mark.parametrize(
    "media_format",
    [
        twilio.MediaFormat("audio/l16", 16000, 1),
        twilio.MediaFormat("audio/x-mulaw", 16000, 1),
        twilio.MediaFormat("audio/x-mulaw", 8000, 2),
    ],
)
def test_another_format_is_refused_and_named(media_format: twilio.MediaFormat) -> None:
    with pytest.raises(RemoteProtocolError, match=media_format.encoding):
        twilio.codec_of(media_format)
