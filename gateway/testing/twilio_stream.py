"""Twilio's end of one bidirectional Media Stream, `<Connect><Stream>`: a core without clock or socket.

It is written from what Twilio documents and from recorded sessions, and shares no code with the gateway's own
reading of the protocol. Whoever uses it sends what its methods return, in that order:

    start_messages()  caller_frame(payload)  digit(digit)  stop()      what the caller does
    receive(data, now)  advance(now)                                   what we send, and time
"""

import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.testing.twilio_playout import RATE_HZ, TwilioPlayout, Underrun

__all__ = ["FRAME_BYTES", "MediaFormat", "StreamWarning", "TwilioStream"]

FRAME_BYTES = 160
FRAME_MS = 20

# Timestamps are read off a clock: a recorded session began at 155 ms and gave its 73rd frame 1593, not 1595.
RECORDED_JITTER_MS = (0, 1, -2, 0, -1)

NOT_DECODABLE = 31950
INVALID_MESSAGE = 31951
QUEUE_FULL = 31931
CALLER_AUDIO_DISCARDED = 31930


class MediaFormat(msgspec.Struct, frozen=True, kw_only=True):
    """What `start` announces. The fake itself always speaks mu-law at 8 000 Hz."""

    encoding: str = "audio/x-mulaw"
    sample_rate: int = 8000
    channels: int = 1


class StreamWarning(msgspec.Struct, frozen=True):
    """An entry of Twilio's debugger. `code`: of https://www.twilio.com/docs/api/errors."""

    code: int
    detail: str
    at_s: float


class _Payload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    payload: bytes  # msgspec refuses what is not base64


class _Name(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class _Media(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="event", tag="media"):
    stream_sid: str = msgspec.field(name="streamSid")
    media: _Payload


class _Mark(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="event", tag="mark"):
    stream_sid: str = msgspec.field(name="streamSid")
    mark: _Name


class _Clear(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="event", tag="clear"):
    stream_sid: str = msgspec.field(name="streamSid")


# Nothing but these three, and nothing more in them: "Missing or extra field in message" is a cause of 31951.
_DECODER: msgspec.json.Decoder[_Media | _Mark | _Clear] = msgspec.json.Decoder(_Media | _Mark | _Clear)


def _json(message: dict[str, Any]) -> str:
    return msgspec.json.encode(message).decode()


class TwilioStream:
    """One stream: what Twilio says on it, what it takes, and the record of what the caller heard.

    `now` is in seconds on any axis that the caller of this class likes; the record uses the same axis.
    `first_timestamp_ms`: the media clock at the first frame; recorded calls had 102, 155 and 171. Each later frame
    is 20 ms on, give or take `timestamp_jitter_ms`, repeated. `custom_parameters` of None: `start` has no such key,
    which has been seen; normally it is at least an empty object.
    """

    def __init__(
        self,
        *,
        account_sid: str,
        call_sid: str,
        stream_sid: str,
        first_timestamp_ms: int = 155,
        timestamp_jitter_ms: Sequence[int] = RECORDED_JITTER_MS,
        custom_parameters: Mapping[str, str] | None = None,
        media_format: MediaFormat = MediaFormat(),  # noqa: B008 -- frozen, so one for all is safe
    ) -> None:
        self.account_sid = account_sid
        self.call_sid = call_sid
        self.stream_sid = stream_sid
        self.first_timestamp_ms = first_timestamp_ms
        self.warnings: list[StreamWarning] = []
        self.discarded_bytes = 0  # refused with 31931
        self._jitter_ms = timestamp_jitter_ms
        self._parameters = custom_parameters
        self._format = media_format
        self._sequence = 0
        self._chunk = 0
        self._playout = TwilioPlayout()

    # -- what Twilio sends ----------------------------------------------------------------------------

    def start_messages(self) -> list[str]:
        """`connected`, which carries neither a stream nor a sequence number, and `start`, which is number 1."""
        start: dict[str, Any] = {
            "accountSid": self.account_sid,
            "streamSid": self.stream_sid,
            "callSid": self.call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {
                "encoding": self._format.encoding,
                "sampleRate": self._format.sample_rate,
                "channels": self._format.channels,
            },
        }
        if self._parameters is not None:
            start["customParameters"] = dict(self._parameters)
        return [
            _json({"event": "connected", "protocol": "Call", "version": "1.0.0"}),
            _json(
                {
                    "event": "start",
                    "sequenceNumber": self._next_number(),
                    "start": start,
                    "streamSid": self.stream_sid,
                }
            ),
        ]

    def caller_frame(self, payload: bytes) -> str:
        """The next 20 ms of the caller. `payload`: 160 bytes of mu-law."""
        if len(payload) != FRAME_BYTES:
            raise ValueError(f"a frame is {FRAME_BYTES} bytes, not {len(payload)}")
        index = self._chunk
        self._chunk += 1
        timestamp_ms = (
            self.first_timestamp_ms + FRAME_MS * index + self._jitter_ms[index % len(self._jitter_ms)]
        )
        media = {
            "track": "inbound",
            "chunk": str(self._chunk),
            "timestamp": str(timestamp_ms),
            "payload": binascii.b2a_base64(payload, newline=False).decode(),
        }
        return _json(
            {
                "event": "media",
                "sequenceNumber": self._next_number(),
                "media": media,
                "streamSid": self.stream_sid,
            }
        )

    def discard_caller_frame(self, now: float) -> None:
        """Twilio drops 20 ms of the caller because we read too slowly: a hole in `chunk` and in time."""
        self._chunk += 1
        self._warn_once(CALLER_AUDIO_DISCARDED, "caller audio discarded: the server reads too slowly", now)

    def digit(self, digit: str) -> str:
        """The caller pressed a key. The track really is called `inbound_track` here."""
        return _json(
            {
                "event": "dtmf",
                "streamSid": self.stream_sid,
                "sequenceNumber": self._next_number(),
                "dtmf": {"track": "inbound_track", "digit": digit},
            }
        )

    def stop(self) -> str:
        """The call ended, or new TwiML took it from this stream. Nothing comes after it."""
        return _json(
            {
                "event": "stop",
                "sequenceNumber": self._next_number(),
                "streamSid": self.stream_sid,
                "stop": {"accountSid": self.account_sid, "callSid": self.call_sid},
            }
        )

    # -- what Twilio takes ----------------------------------------------------------------------------

    def receive(self, data: str | bytes, now: float) -> list[str]:
        """Take one message of the server. Returns what Twilio sends because of it, or because of the time."""
        answers = self.advance(now)
        if isinstance(data, bytes):
            self._warn_once(NOT_DECODABLE, "a binary frame", now)
            return answers
        try:
            message = _DECODER.decode(data)
        except msgspec.DecodeError as error:
            self._warn_once(INVALID_MESSAGE, str(error), now)
            return answers
        if message.stream_sid != self.stream_sid:
            self._warn_once(INVALID_MESSAGE, f"wrong streamSid {message.stream_sid}", now)
            return answers
        match message:
            case _Media(media=media):
                self._queue(media.payload, now)
            case _Mark(mark=mark):
                self._playout.mark(mark.name)
                answers += self.advance(now)  # at once when nothing waits before it
            case _Clear():
                answers += map(self._mark, self._playout.clear())
        return answers

    def advance(self, now: float) -> list[str]:
        """Play up to `now`. Returns the marks before which all was played."""
        return [self._mark(name) for name in self._playout.advance(now)]

    # -- the record -----------------------------------------------------------------------------------

    @property
    def played(self) -> list[tuple[float, bytes]]:
        """The G.711 that the caller heard: runs without a hole, each with the time at which it began."""
        return self._playout.played

    @property
    def underruns(self) -> list[Underrun]:
        return self._playout.underruns

    @property
    def last_audible_s(self) -> float | None:
        """When the caller last heard something louder than a whisper."""
        return self._playout.last_audible_s

    @property
    def queued_ms(self) -> float:
        return self._playout.queued_bytes * 1000 / RATE_HZ

    @property
    def max_queued_ms(self) -> float:
        return self._playout.max_queued_bytes * 1000 / RATE_HZ

    @property
    def cleared_ms(self) -> float:
        """Audio that `clear` threw away before it was played."""
        return self._playout.cleared_bytes * 1000 / RATE_HZ

    def _queue(self, payload: bytes, now: float) -> None:
        if not self._playout.add(payload, now):
            self.discarded_bytes += len(payload)
            self._warn_once(QUEUE_FULL, "more than 10 minutes of audio to play", now)

    def _mark(self, name: str) -> str:
        return _json(
            {
                "event": "mark",
                "sequenceNumber": self._next_number(),
                "streamSid": self.stream_sid,
                "mark": {"name": name},
            }
        )

    def _next_number(self) -> str:
        self._sequence += 1
        return str(self._sequence)

    def _warn_once(self, code: int, detail: str, now: float) -> None:
        if all(warning.code != code for warning in self.warnings):
            self.warnings.append(StreamWarning(code, detail, now))
