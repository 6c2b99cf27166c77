"""What somebody heard, measured: tones, levels, gaps, delays and words. PCM16 mono at 8000 Hz throughout."""

import itertools
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.audio.clip import convert
from gateway.audio.g711 import CODECS
from gateway.audio.level import level_dbfs
from gateway.audio.tones import sine
from gateway.testing.phrases import find_phrase, spoken_words
from gateway.wire import rtp
from tests.peers.tap import Datagram
from tests.voice.offline import the_models

__all__ = [
    "Gap",
    "Heard",
    "Stream",
    "delay_ms",
    "gaps",
    "level_dbfs",
    "marked_tone",
    "play_out",
    "read_channels",
    "says",
    "streams",
    "tone_dbfs",
    "tone_hz",
    "tone_snr_db",
]

_RATE_HZ = 8000
_MS = _RATE_HZ // 1000
_FRAME_MS = 10
_QUIET_DBFS = -45.0
_CODECS = {0: CODECS["pcmu"], 8: CODECS["pcma"]}

# -- tones --------------------------------------------------------------------------------------------


def marked_tone(tone_hz: float, duration_ms: int, *, level_dbfs: float = -15.0) -> bytes:
    """A tone behind 300 ms of a rising one: the rise can be found again to the sample, the tone can be measured."""
    seconds = np.arange(300 * _MS) / _RATE_HZ
    phase = 2 * np.pi * (300 * seconds + (3000 - 300) / (2 * 0.3) * seconds**2)
    peak = 32768 * 2**0.5 * 10 ** (level_dbfs / 20)
    rise: bytes = (peak * np.sin(phase)).astype("<i2").tobytes()
    return rise + sine(tone_hz, duration_ms - 300, rate_hz=_RATE_HZ, level_dbfs=level_dbfs)


def tone_hz(pcm: bytes) -> float:
    """The frequency that has most of the power, to a fraction of a hertz."""
    samples = _samples(pcm)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 4 * len(samples)))
    at = int(spectrum[1:-1].argmax()) + 1
    low, mid, high = np.log(spectrum[at - 1 : at + 2] + 1e-9)
    return float((at + (low - high) / (2 * (low - 2 * mid + high))) * _RATE_HZ / (4 * len(samples)))


def tone_dbfs(pcm: bytes, hz: float) -> float:
    """The level of what is at this frequency (Goertzel), as `level_dbfs` would measure it alone.

    The median of pieces of 100 ms, here and below: a frame that is missing turns the phase, and a clock may drift.
    """
    return float(np.median([10 * np.log10(tone / 32768**2) for tone, _ in _powers(pcm, hz)]))


def tone_snr_db(pcm: bytes, hz: float) -> float:
    """How far a tone stands above all else."""
    return float(np.median([10 * np.log10(tone / rest) for tone, rest in _powers(pcm, hz)]))


def _powers(pcm: bytes, hz: float) -> list[tuple[float, float]]:
    """Of the tone, and of the rest, in each piece."""
    samples = _samples(pcm)
    piece = 100 * _MS
    turns = np.exp(-2j * np.pi * hz * np.arange(piece) / _RATE_HZ)
    found = []
    for at in range(0, len(samples) - piece + 1, piece):
        part = samples[at : at + piece]
        factor = 2 * np.dot(part, turns) / piece
        rest = part - (factor * turns.conj()).real
        found.append((abs(factor) ** 2 / 2 + 1e-9, float(np.mean(rest**2)) + 1e-9))
    return found


# -- gaps and delay -----------------------------------------------------------------------------------


class Gap(NamedTuple):
    at_ms: int
    length_ms: int


def gaps(pcm: bytes, *, longer_than_ms: int = 0, quiet_dbfs: float = _QUIET_DBFS) -> list[Gap]:
    """Silences between the first and the last sound, in steps of 10 ms."""
    sounds = [at for at, level in enumerate(_levels(pcm)) if level > quiet_dbfs]
    pauses = [
        Gap((before + 1) * _FRAME_MS, (after - before - 1) * _FRAME_MS)
        for before, after in itertools.pairwise(sounds)
    ]
    return [gap for gap in pauses if gap.length_ms > longer_than_ms]


def sounding(pcm: bytes, *, quiet_dbfs: float = _QUIET_DBFS) -> bytes:
    """From the first sound to the last."""
    sounds = [at for at, level in enumerate(_levels(pcm)) if level > quiet_dbfs]
    step = 2 * _FRAME_MS * _MS
    return pcm[sounds[0] * step : (sounds[-1] + 1) * step] if sounds else b""


def delay_ms(said: bytes, heard: bytes) -> float:
    """How much later the beginning of what was said is heard, by cross-correlation of 300 ms of it."""
    levels = _levels(said)
    first = next(at for at, level in enumerate(levels) if level > _QUIET_DBFS) * _FRAME_MS * _MS
    mark = _samples(said)[first : first + 300 * _MS]
    other = _samples(heard)
    length = len(mark) + len(other)
    product = np.fft.irfft(np.fft.rfft(other, length) * np.fft.rfft(mark, length).conj(), length)
    return float(int(product[: len(other)].argmax()) - first) / _MS


# -- RTP ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stream:
    """The packets of one SSRC, and when each came."""

    ssrc: int
    packets: list[tuple[float, rtp.RtpPacket]]

    @property
    def audio(self) -> list[tuple[float, rtp.RtpPacket]]:
        return [(at_s, packet) for at_s, packet in self.packets if packet.payload_type in _CODECS]


def streams(datagrams: Sequence[Datagram]) -> list[Stream]:
    """The RTP among these, by SSRC, in the order of their first packets. RTCP is left out (RFC 5761 §4)."""
    found: dict[int, Stream] = {}
    for datagram in datagrams:
        if len(datagram.payload) < 12 or datagram.payload[0] >> 6 != 2 or 200 <= datagram.payload[1] <= 204:
            continue
        packet = rtp.decode(datagram.payload)
        found.setdefault(packet.ssrc, Stream(packet.ssrc, [])).packets.append((datagram.at_s, packet))
    return list(found.values())


@dataclass(frozen=True)
class Heard:
    """Audio as it lay on the wire's clock. `start_s`: when its first sample came. `lost`: packets that never came."""

    pcm: bytes
    start_s: float
    lost: int


def play_out(stream: Stream) -> Heard:
    """A stream's audio by its timestamps: what did not come is silence."""
    audio = stream.audio
    start_s, first = audio[0]
    parts = {
        rtp.timestamp_step(packet.timestamp, first.timestamp): _CODECS[packet.payload_type].decode(
            packet.payload
        )
        for _, packet in audio
    }
    pcm = bytearray(2 * max(at + len(part) // 2 for at, part in parts.items()))
    for at, part in parts.items():
        if at >= 0:
            pcm[2 * at : 2 * at + len(part)] = part
    steps = [rtp.sequence_step(packet.sequence, first.sequence) for _, packet in stream.packets]
    return Heard(bytes(pcm), start_s, max(steps) - min(steps) + 1 - len(set(steps)))


# -- files and words ----------------------------------------------------------------------------------


def read_channels(path: Path) -> list[bytes]:
    """The channels of a WAV file, at 8000 Hz each."""
    with wave.open(str(path)) as file:
        frames, channels, rate_hz = (
            file.readframes(file.getnframes()),
            file.getnchannels(),
            file.getframerate(),
        )
    samples = np.frombuffer(frames, "<i2").reshape(-1, channels)
    return [convert(samples[:, channel].tobytes(), rate_hz, _RATE_HZ) for channel in range(channels)]


def says(pcm: bytes, phrase: str) -> bool:
    """Whether a phrase can be understood in it."""
    text = the_models().transcribe(convert(pcm, _RATE_HZ, 24_000))
    return find_phrase(phrase, spoken_words(text)) is not None


def _samples(pcm: bytes) -> NDArray[np.float64]:
    return np.frombuffer(pcm, "<i2").astype(np.float64)


def _levels(pcm: bytes) -> list[float]:
    step = 2 * _FRAME_MS * _MS
    return [level_dbfs(pcm[at : at + step]) for at in range(0, len(pcm) - step + 1, step)]
