"""What resampling between 8 and 24 kHz costs, and what it does to sound: ours beside audioop's and soxr's.

    PYTHONPATH=. python ops/bench/resampler.py

Times are the minimum of interleaved rounds, so only ratios within one run mean anything. Delay is all that is
added in a stream of 20 ms chunks: the filter's, found by cross-correlation, and the most audio held back.
Rejection is that of the worst image of a tone of 300-3400 Hz (up), or alias of a tone from 4600 Hz on (down).
"""

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from gateway.audio.resample import DELAY_MS, Downsampler, Upsampler

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # audioop's farewell, as in gateway/audio/g711.py
    import audioop

Feed = Callable[[bytes], bytes]
Floats = NDArray[np.float64]

AMPLITUDE = 12_000
ROUNDS, CALLS_A_ROUND = 40, 200


@dataclass(frozen=True)
class Direction:
    name: str
    from_hz: int
    to_hz: int
    unwanted_hz: range  # tones whose images or aliases are looked for

    def chunks(self, pcm: bytes, chunk_ms: int = 20) -> Iterator[bytes]:
        size = self.from_hz * chunk_ms // 1000 * 2
        return (pcm[at : at + size] for at in range(0, len(pcm), size))

    def tone(self, tone_hz: int) -> bytes:
        phase = 2 * np.pi * tone_hz * np.arange(2 * self.from_hz) / self.from_hz
        return pcm_of(AMPLITUDE * np.sin(phase + 0.3))


UP = Direction("up", 8_000, 24_000, range(300, 3401, 100))
DOWN = Direction("down", 24_000, 8_000, range(4600, 12_000, 200))


def pcm_of(samples: Floats) -> bytes:
    return bytes(np.rint(samples).clip(-32_768, 32_767).astype("<i2"))


# -- methods ------------------------------------------------------------------------------------------


def ours(direction: Direction) -> Feed:
    return (Upsampler() if direction is UP else Downsampler()).feed


def ratecv(direction: Direction) -> Feed:
    state = None

    def feed(pcm: bytes) -> bytes:
        nonlocal state
        output: bytes
        output, state = audioop.ratecv(pcm, 2, 1, direction.from_hz, direction.to_hz, state)
        return output

    return feed


def soxr(quality: str) -> Callable[[Direction], Feed]:
    def make(direction: Direction) -> Feed:
        import soxr as library

        stream = library.ResampleStream(direction.from_hz, direction.to_hz, 1, dtype="int16", quality=quality)
        return lambda pcm: stream.resample_chunk(np.frombuffer(pcm, np.int16)).tobytes()

    return make


# -- measurements -------------------------------------------------------------------------------------


def cost_us(feeds: dict[str, Feed], pcm: bytes) -> dict[str, float]:
    """Microseconds a chunk, the methods taking turns."""
    best = dict.fromkeys(feeds, float("inf"))
    for _ in range(ROUNDS):
        for name, feed in feeds.items():
            began = time.perf_counter()
            for _ in range(CALLS_A_ROUND):
                feed(pcm)
            best[name] = min(best[name], (time.perf_counter() - began) / CALLS_A_ROUND * 1e6)
    return best


def stream(feed: Feed, direction: Direction, pcm: bytes) -> Floats:
    output = b"".join(map(feed, direction.chunks(pcm)))
    return np.frombuffer(output, "<i2").astype(np.float64)


def bins_of(feed: Feed, direction: Direction, tone_hz: int) -> Floats:
    """Amplitudes over a settled second in units of the tone's, one bin a hertz."""
    output = stream(feed, direction, direction.tone(tone_hz))
    start = direction.to_hz // 2
    bins = np.abs(np.fft.rfft(output[start : start + direction.to_hz])) * 2 / direction.to_hz / AMPLITUDE
    bins[0] /= 2
    return np.maximum(bins, 1e-7)


def rejection_db(make: Callable[[Direction], Feed], direction: Direction) -> float:
    worst = 0.0
    for tone_hz in direction.unwanted_hz:
        bins = bins_of(make(direction), direction, tone_hz)
        if direction is UP:
            places = [8000 - tone_hz, 8000 + tone_hz]
        else:
            places = [abs((tone_hz + 4000) % 8000 - 4000)]
        worst = max(worst, *(float(bins[place]) for place in places))
    return max(0.0, -20 * float(np.log10(worst)))


def ripple_db(make: Callable[[Direction], Feed], direction: Direction) -> float:
    gains = [bins_of(make(direction), direction, tone_hz)[tone_hz] for tone_hz in range(300, 3401, 100)]
    return 20 * float(np.log10(max(gains) / min(gains)))


def delay_ms(make: Callable[[Direction], Feed], direction: Direction) -> float:
    """The filter's delay, and how far the stream's output falls behind its input at worst."""
    feed, taken, given, behind_s = make(direction), 0, 0, 0.0
    for _ in range(200):
        taken += direction.from_hz // 50
        given += len(feed(bytes(direction.from_hz // 50 * 2))) // 2
        behind_s = max(behind_s, taken / direction.from_hz - given / direction.to_hz)
    source, wanted = same_noise(direction.from_hz), same_noise(direction.to_hz)
    output = stream(make(direction), direction, pcm_of(source))
    size, fine = 4 * direction.to_hz, 16
    product = np.fft.rfft(output, size) * np.conj(np.fft.rfft(wanted, size))
    lag = int(np.fft.irfft(product, size * fine).argmax())  # zeros above: an interpolated correlation
    lag -= size * fine if lag > size * fine // 2 else 0
    return lag / fine / direction.to_hz * 1000 + behind_s * 1000


def same_noise(rate_hz: int) -> Floats:
    """Two seconds of one noise of 300-3000 Hz, at any rate."""
    bins = np.zeros(rate_hz + 1, np.complex128)
    angles = np.random.default_rng(3).uniform(0, 2 * np.pi, 5400)
    bins[600:6000] = np.exp(1j * angles)
    noise = np.fft.irfft(bins, 2 * rate_hz)
    scaled: Floats = noise / noise.std() * 6000
    return scaled


# -- the table ----------------------------------------------------------------------------------------


def main() -> None:
    methods: dict[str, Callable[[Direction], Feed]] = {"ours": ours, "audioop.ratecv": ratecv}
    if find_spec("soxr"):
        methods |= {f"soxr {quality}": soxr(quality) for quality in ("QQ", "HQ", "VHQ")}
    else:
        print("soxr is not installed, its rows are missing: pip install soxr\n")
    print(f"Python {sys.version.split()[0]}, numpy {np.__version__}; ours says {DELAY_MS} ms a direction\n")
    titles = ("us/20 ms", "x ratecv", "us/100 ms", "x ratecv", "delay ms", "rejection dB", "ripple dB")
    for direction in (UP, DOWN):
        feeds = {name: make(direction) for name, make in methods.items()}
        noise = pcm_of(same_noise(direction.from_hz))
        short = cost_us(feeds, next(direction.chunks(noise)))
        long = cost_us(feeds, next(direction.chunks(noise, chunk_ms=100)))
        heading = f"{direction.name}, {direction.from_hz} to {direction.to_hz} Hz"
        print(f"{heading:24}" + "".join(f"{title:>14}" for title in titles))
        for name, make in methods.items():
            figures = (
                short[name],
                short[name] / short["audioop.ratecv"],
                long[name],
                long[name] / long["audioop.ratecv"],
                delay_ms(make, direction),
                rejection_db(make, direction),
                ripple_db(make, direction),
            )
            print(f"{name:24}" + "".join(f"{figure:14.2f}" for figure in figures))
        print()


if __name__ == "__main__":
    main()
