"""What callers say, with its true beginning and end, the noise around it, and sounds that are no speech."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.audio.clip import convert, read_wav
from gateway.audio.g711 import CODECS
from gateway.audio.resample import Downsampler, Upsampler

__all__ = [
    "LINES",
    "NO_SPEECH",
    "RATE_HZ",
    "Spoken",
    "disturbances",
    "noise",
    "on_the_phone",
    "spoken",
    "voices",
]

RATE_HZ = 24_000
SPEECH_DBOV = -26.0  # what telephone networks are built for: ITU-T P.56, P.830
# Speech begins with the first of three frames of 10 ms in a row that are at most so far below the loudest one of the
# utterance, and ends behind the last three. That is measured on what a telephone carries of it (of an "s" hardly
# anything) before there is any noise. All that is softer drowns in the hiss of many a line.
AUDIBLE_DB = 30.0
FRAME_MS = 10
FRAMES = 3
FRAME_BYTES = 960  # of the line: 20 ms
FLITE_VOICES = ("slt", "rms", "awb")  # kal16 is not understood by the recognizer either

LINES = (
    "What time do you close?",
    "I would like to book a table for two.",
    "On Friday.",
    "At eight o'clock.",
    "Yes, that is right.",
    "Where are you located?",
    "Hello, is anybody there?",
    "My name is John Miller.",
    "Can I speak to the manager?",
    "Thank you, goodbye.",
    "Five people.",
    "Sorry, I meant Thursday.",
    "How much is the fish?",
    "No.",
    "Do you have anything vegetarian?",
    "Four.",
)

Samples = NDArray[np.float64]


class Spoken(NamedTuple):
    """One utterance at the level of a call, and where it is audible, in ms."""

    voice: str
    samples: Samples
    starts_ms: int
    ends_ms: int


def voices(synthesize: Callable[[str], bytes]) -> Mapping[str, Callable[[str], bytes]]:
    """The voices of this machine: text to PCM16 at 24 000 Hz. `synthesize`: the embedded one."""
    flite = FLITE_VOICES if shutil.which("flite") is not None else ()
    return {"heart": synthesize} | {voice: _flite(voice) for voice in flite}


def spoken(voice: str, pcm: bytes) -> Spoken:
    """Put an utterance to the level of a call and find its ends."""
    samples = np.frombuffer(pcm + bytes(-len(pcm) % FRAME_BYTES), "<i2").astype(np.float64)
    levels_db = _levels_db(np.frombuffer(on_the_phone(samples), "<i2").astype(np.float64))
    audible = levels_db > levels_db.max() - AUDIBLE_DB
    power = 10 ** (levels_db[audible] / 10)
    (starts,) = np.nonzero(np.convolve(audible, np.ones(FRAMES), "valid") == FRAMES)
    return Spoken(
        voice,
        samples * (_amplitude(SPEECH_DBOV) / np.sqrt(power.mean())),
        int(starts[0]) * FRAME_MS,
        int(starts[-1] + FRAMES) * FRAME_MS,
    )


def noise(size: int, dbov: float, rng: np.random.Generator) -> Samples:
    """Pink noise, as rooms and streets have it."""
    spectrum = np.fft.rfft(rng.standard_normal(size))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), size * 50 / RATE_HZ))
    pink = np.fft.irfft(spectrum, size)
    scaled: Samples = pink * (_amplitude(dbov) / pink.std())
    return scaled


def on_the_phone(samples: Samples) -> bytes:
    """As it arrives through a telephone: 8 kHz, mu-law, back at 24 000 Hz, in whole frames of 20 ms."""
    pcm = samples.clip(-32768, 32767).astype("<i2").tobytes()
    codec = CODECS["pcmu"]
    narrow = codec.decode(codec.encode(Downsampler().feed(pcm[: len(pcm) // FRAME_BYTES * FRAME_BYTES])))
    return Upsampler().feed(narrow)


def _levels_db(samples: Samples) -> Samples:
    size = FRAME_MS * RATE_HZ // 1000
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    levels: Samples = 10 * np.log10((frames**2).mean(axis=1) + 1e-9)
    return levels


def _amplitude(dbov: float) -> float:
    return float(32768 * 10 ** (dbov / 20))


def _flite(voice: str) -> Callable[[str], bytes]:
    def say(text: str) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "said.wav"
            subprocess.run(["flite", "-voice", voice, "-t", text, "-o", path], check=True)
            clip = read_wav(path)
        return convert(clip.pcm, clip.rate_hz, RATE_HZ)

    return say


# -- no speech


def _click(rng: np.random.Generator) -> Samples:
    return _burst(rng.standard_normal(RATE_HZ // 50), 0.0003, rng.uniform(0.0005, 0.003))


def _typing(rng: np.random.Generator) -> Samples:
    """A key of a keyboard goes down and comes up."""
    samples = np.zeros(RATE_HZ * 3 // 20)
    for at_s, gain in ((0.0, 1.0), (rng.uniform(0.05, 0.1), 0.6)):
        burst = _burst(_band(rng.standard_normal(RATE_HZ // 33), 800, 4000), 0.001, rng.uniform(0.003, 0.01))
        at = int(RATE_HZ * at_s)
        samples[at : at + len(burst)] += gain * burst
    return samples


def _knock(rng: np.random.Generator) -> Samples:
    wood = _burst(_tone(RATE_HZ // 5, rng.uniform(80, 250)), 0.001, rng.uniform(0.02, 0.05))
    return wood + 0.3 * _burst(rng.standard_normal(len(wood)), 0.0005, 0.005)


def _cough(rng: np.random.Generator) -> Samples:
    """A burst of air that dies away; in every second one the voice comes in."""
    size = int(RATE_HZ * rng.uniform(0.25, 0.45))
    samples = _burst(_band(rng.standard_normal(size), 300, 3800), 0.01, rng.uniform(0.05, 0.12))
    if rng.random() < 0.5:
        pitch_hz = rng.uniform(120, 260)
        tail = sum((_tone(size, pitch_hz * k) / k for k in range(1, 12)), np.zeros(size))
        samples[size // 2 :] += 0.3 * tail[size // 2 :] * np.hanning(size - size // 2)
    return samples


def _breath(rng: np.random.Generator) -> Samples:
    size = int(RATE_HZ * rng.uniform(0.4, 0.9))
    return _band(rng.standard_normal(size), 300, 3000) * np.hanning(size)


def _dial_key(rng: np.random.Generator) -> Samples:
    size = int(RATE_HZ * rng.uniform(0.06, 0.25))
    return _tone(size, rng.choice([697, 770, 852, 941])) + _tone(size, rng.choice([1209, 1336, 1477]))


NO_SPEECH: Mapping[str, Callable[[np.random.Generator], Samples]] = {
    "clicks": _click,
    "keyboard keys": _typing,
    "knocks": _knock,
    "coughs": _cough,
    "breaths": _breath,
    "telephone keys": _dial_key,
}


def disturbances(kind: str, count: int, rng: np.random.Generator) -> Iterator[bytes]:
    """Sounds that are no speech, loud and soft, on quiet and on noisy lines: each with a second of the line before."""
    for number in range(count):
        peak_dbov, line_dbov = ((-30, -20, -12, -6)[number % 4], (-70, -50)[number // 4 % 2])
        sound = NO_SPEECH[kind](rng)
        sound *= _amplitude(peak_dbov) / np.abs(sound).max()
        before = RATE_HZ + int(rng.integers(RATE_HZ // 30))  # any place within a hop
        samples = np.concatenate([np.zeros(before), sound, np.zeros(2 * RATE_HZ - before - len(sound))])
        yield on_the_phone(samples + noise(len(samples), line_dbov, rng))


def _burst(samples: Samples, rise_s: float, decay_s: float) -> Samples:
    t = np.arange(len(samples)) / RATE_HZ
    shaped: Samples = samples * np.minimum(t / rise_s, 1) * np.exp(-np.maximum(t - rise_s, 0) / decay_s)
    return shaped


def _band(samples: Samples, low_hz: float, high_hz: float) -> Samples:
    spectrum = np.fft.rfft(samples)
    frequency = np.fft.rfftfreq(len(samples), 1 / RATE_HZ)
    spectrum[(frequency < low_hz) | (frequency > high_hz)] = 0
    return np.fft.irfft(spectrum, len(samples))


def _tone(size: int, hz: float) -> Samples:
    tone: Samples = np.sin(2 * np.pi * hz * np.arange(size) / RATE_HZ)
    return tone
