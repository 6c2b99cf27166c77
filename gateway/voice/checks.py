"""What people may give a session, and what is said about the rest."""

from gateway.contracts import AudioFormat
from gateway.voice.configuration import TurnDetection

__all__ = ["audio_format", "checked_audio", "checked_turns"]

_PCM16_BYTES = 2
_PCM16_HZ = (8000, 16_000, 24_000)
_G711_HZ = 8000
_WORKS = "pcm16 at 8000, 16000 or 24000 Hz, pcmu or pcma at 8000 Hz, with one channel"
_LONGEST_MS = 10_000


def audio_format(sample_rate: int, channels: int, name: str) -> AudioFormat:
    """The format that is meant. Raises `ValueError`, which lists what works."""
    if channels == 1 and name == "pcm16" and sample_rate in _PCM16_HZ:
        return AudioFormat(rate_hz=int(sample_rate))
    if channels == 1 and sample_rate == _G711_HZ:
        if name == "pcmu":
            return AudioFormat(encoding="pcmu", rate_hz=_G711_HZ)
        if name == "pcma":
            return AudioFormat(encoding="pcma", rate_hz=_G711_HZ)
    raise ValueError(
        f"sample_rate={sample_rate!r}, channels={channels!r}, format={name!r}: what works is {_WORKS}"
    )


def checked_audio(data: bytes | bytearray | memoryview, form: AudioFormat) -> bytes:
    """The audio. Raises `TypeError` for what is no bytes, `ValueError` for half a sample."""
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"audio of type {type(data).__name__}: expected bytes")
    audio = bytes(data)
    if form.encoding == "pcm" and len(audio) % _PCM16_BYTES:
        raise ValueError(
            f"{len(audio)} bytes of audio: PCM16 has two bytes a sample, so expected an even number"
        )
    return audio


def checked_turns(
    *, enabled: bool, threshold: float = 0.5, prefix_padding_ms: int = 300, silence_duration_ms: int = 800
) -> TurnDetection:
    """The turn detection that is meant; the voice answers when it is asked. Raises `ValueError`."""
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold={threshold!r}: expected a number from 0 to 1")
    for name, value_ms in (("prefix_padding", prefix_padding_ms), ("silence_duration", silence_duration_ms)):
        if not (0 <= value_ms <= _LONGEST_MS and value_ms == int(value_ms)):
            raise ValueError(f"{name}={value_ms!r}: expected whole milliseconds from 0 to {_LONGEST_MS}")
    return TurnDetection(
        enabled=bool(enabled),
        threshold=float(threshold),
        prefix_padding_ms=int(prefix_padding_ms),
        silence_duration_ms=int(silence_duration_ms),
        create_response=False,
    )
