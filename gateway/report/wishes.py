"""What a session was asked to be, as far as a report has to know it: the `session` of a `session.update`."""

from typing import Any, Literal

import msgspec

from gateway.audio.resample import RATES_HZ, resampler
from gateway.contracts import AudioFormat

__all__ = ["DEFAULT", "Wishes", "wishes"]

_PHONE_HZ = 8000


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """`prefix_ms`: how much before the speech belongs to it. `delay_ms`: of the resampler on the way to it."""

    input: AudioFormat = AudioFormat()
    output: AudioFormat = AudioFormat()
    prefix_ms: int = 300
    delay_ms: float = resampler(_PHONE_HZ, AudioFormat().rate_hz).delay_ms


DEFAULT = Wishes()


class _Format(msgspec.Struct, frozen=True):
    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"] = "audio/pcm"
    rate: int = DEFAULT.input.rate_hz

    @property
    def audio(self) -> AudioFormat:
        match self.type:
            case "audio/pcm":
                return AudioFormat(rate_hz=self.rate)
            case "audio/pcmu":
                return AudioFormat(encoding="pcmu", rate_hz=_PHONE_HZ)
            case "audio/pcma":
                return AudioFormat(encoding="pcma", rate_hz=_PHONE_HZ)


class _TurnDetection(msgspec.Struct, frozen=True):
    prefix_padding_ms: int = DEFAULT.prefix_ms


class _Input(msgspec.Struct, frozen=True):
    format: _Format = _Format()
    turn_detection: _TurnDetection | None = None


class _Output(msgspec.Struct, frozen=True):
    format: _Format = _Format()


class _Audio(msgspec.Struct, frozen=True):
    input: _Input = _Input()
    output: _Output = _Output()


class _Session(msgspec.Struct, frozen=True):
    audio: _Audio = _Audio()


def wishes(session: dict[str, Any]) -> Wishes:
    """Those of one session; the usual ones where they cannot be read."""
    try:
        audio = msgspec.convert(session, _Session).audio
    except msgspec.ValidationError:
        return DEFAULT
    heard, turns = audio.input.format.audio, audio.input.turn_detection
    if heard.bytes_per_ms == 0 or audio.output.format.audio.bytes_per_ms == 0:
        return DEFAULT
    resampled = heard.encoding == "pcm" and heard.rate_hz in RATES_HZ
    return Wishes(
        input=heard,
        output=audio.output.format.audio,
        prefix_ms=DEFAULT.prefix_ms if turns is None else turns.prefix_padding_ms,
        delay_ms=resampler(_PHONE_HZ, heard.rate_hz).delay_ms if resampled else 0.0,
    )
