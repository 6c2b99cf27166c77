"""Twilio Media Streams: JSON text <-> messages. Twilio docs, "Media Streams - WebSocket Messages".

Fields that we do not use are not declared: msgspec skips them, so that Twilio may add more. Twilio writes
its counters as strings ("timestamp": "155"); numbers are taken as well.
"""

from typing import Annotated

import msgspec

from gateway.wire.errors import RemoteProtocolError

__all__ = [
    "Clear",
    "Connected",
    "Dtmf",
    "FromTwilio",
    "Mark",
    "Media",
    "MediaFormat",
    "Play",
    "SendMark",
    "Start",
    "Stop",
    "ToTwilio",
    "Unknown",
    "codec_of",
    "decode",
    "encode",
]

Counter = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


# -- from Twilio --------------------------------------------------------------------------------------


class _Message(msgspec.Struct, frozen=True, tag_field="event", rename="camel"):
    """Any message, either way."""


class Connected(_Message, frozen=True, tag="connected"):
    """The first message: it names no stream."""

    protocol: str = ""
    version: str = ""


class MediaFormat(msgspec.Struct, frozen=True, rename="camel"):
    encoding: str
    sample_rate: int
    channels: int = 1


class StartBody(msgspec.Struct, frozen=True, rename="camel"):
    """`custom_parameters`: the `<Parameter>`s of the TwiML; Twilio may leave the key out."""

    account_sid: str
    stream_sid: str
    call_sid: str
    media_format: MediaFormat
    custom_parameters: dict[str, str] = {}


class Start(_Message, frozen=True, tag="start"):
    """The second message, once a stream."""

    start: StartBody


class MediaBody(msgspec.Struct, frozen=True):
    """`timestamp`: ms on the stream's clock, not from 0. `chunk` counts media messages, from 1."""

    timestamp: Counter
    payload: bytes
    chunk: Counter | None = None
    track: str = "inbound"


class Media(_Message, frozen=True, tag="media"):
    """Audio of the caller, 20 ms as a rule."""

    media: MediaBody
    stream_sid: str = ""


class DtmfBody(msgspec.Struct, frozen=True):
    digit: str


class Dtmf(_Message, frozen=True, tag="dtmf"):
    dtmf: DtmfBody
    stream_sid: str = ""


class MarkBody(msgspec.Struct, frozen=True):
    name: str


class Mark(_Message, frozen=True, tag="mark"):
    """All that was queued before this mark of ours has been played, or was thrown away by a `Clear`."""

    mark: MarkBody
    stream_sid: str = ""


class Stop(_Message, frozen=True, tag="stop"):
    """The stream is over: the caller hung up, or the call was given other TwiML."""

    stream_sid: str = ""


class Unknown(msgspec.Struct, frozen=True):
    """An event that we do not know. `event`: its name."""

    event: str


FromTwilio = Connected | Start | Media | Dtmf | Mark | Stop
_EVENTS = frozenset({"connected", "start", "media", "dtmf", "mark", "stop"})


# -- to Twilio: any field more than these, and Twilio warns 31951 and ignores the message --------------


class PlayBody(msgspec.Struct, frozen=True):
    payload: bytes


class Play(_Message, frozen=True, tag="media"):
    """Audio to be queued behind what is queued. `payload`: G.711 without any header."""

    stream_sid: str
    media: PlayBody


class SendMark(_Message, frozen=True, tag="mark"):
    """Comes back as a `Mark` when all that was queued before it is played or thrown away."""

    stream_sid: str
    mark: MarkBody


class Clear(_Message, frozen=True, tag="clear"):
    """Have the queue thrown away; every mark in it comes back at once."""

    stream_sid: str


ToTwilio = Play | SendMark | Clear


# -- both ways ----------------------------------------------------------------------------------------


class _AnyEvent(msgspec.Struct, frozen=True):
    event: str


# Not strict: a counter may be a string of digits. Base64 and everything else stay strict.
_decoder: msgspec.json.Decoder[FromTwilio] = msgspec.json.Decoder(FromTwilio, strict=False)
_event_decoder = msgspec.json.Decoder(_AnyEvent)
_encoder = msgspec.json.Encoder()


def decode(text: str) -> FromTwilio | Unknown:
    """One message of Twilio.

    Raises `RemoteProtocolError` on what is no JSON, lacks a field or has one of another shape, and on a
    payload that is no padded base64.
    """
    try:
        return _decoder.decode(text)
    # Half a surrogate pair cannot be UTF-8; JSON nested a thousand deep ends msgspec's recursion.
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        event = _unknown_event(text)
        if event is None:
            raise RemoteProtocolError(f"not a Media Streams message: {error}") from None
        return Unknown(event)


def _unknown_event(text: str) -> str | None:
    try:
        event = _event_decoder.decode(text).event
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    return None if event in _EVENTS else event


def encode(message: ToTwilio) -> str:
    """The text frame for one message: Twilio takes no binary frames (warning 31950)."""
    return _encoder.encode(message).decode()


_CODECS = {"audio/x-mulaw": "pcmu", "audio/x-alaw": "pcma"}


def codec_of(media_format: MediaFormat) -> str:
    """The codec of a stream, "pcmu" or "pcma". Raises `RemoteProtocolError` on a format that we cannot take."""
    codec = _CODECS.get(media_format.encoding)
    if codec is None or media_format.sample_rate != 8000 or media_format.channels != 1:
        raise RemoteProtocolError(
            f"the stream carries {media_format.encoding} at {media_format.sample_rate} Hz with"
            f" {media_format.channels} channels; 8000 Hz mono audio/x-mulaw or audio/x-alaw is needed"
        )
    return codec
