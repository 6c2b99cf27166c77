"""What resampling between 8, 16 and 24 kHz costs, and what it does to sound: ours beside audioop's and soxr's.

    PYTHONPATH=. python ops/bench/resampler.py

Times are the minimum of interleaved rounds, so only ratios within one run mean anything. Delay is all that is
added in a stream of 20 ms chunks: the filter's, found by cross-correlation, and the most audio held back.
The band is 300-3400 Hz where one rate is 8000 Hz, else 300-7000 Hz. Rejection is that of the worst that is added
to a tone in the band, or left of a tone that would fold into it.
"""

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from gateway.audio.resample import RATES_HZ, resampler

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # audioop's farewell, as in gateway/audio/g711.py
    import audioop

Feed = Callable[[bytes], bytes]
Floats = NDArray[np.float64]

AMPLITUDE = 12_000
ROUNDS, CALLS_A_ROUND = 40, 200


@dataclass(frozen=True)
class Pair:
    from_hz: int
    to_hz: int

    @property
    def band_hz(self) -> range:
        return range(300, 3401 if 8000 in {self.from_hz, self.to_hz} else 7001, 100)

    @property
    def folding_hz(self) -> range:
        """What `to_hz` cannot hold and would fold into the band; empty on the way up."""
        return range(self.to_hz - self.band_hz[-1], self.from_hz // 2, 200)

    def chunks(self, pcm: bytes, chunk_ms: int = 20) -> Iterator[bytes]:
        size = self.from_hz * chunk_ms // 1000 * 2
        return (pcm[at : at + size] for at in range(0, len(pcm), size))

    def tone(self, tone_hz: int) -> bytes:
        phase = 2 * np.pi * tone_hz * np.arange(2 * self.from_hz) / self.from_hz
        return pcm_of(AMPLITUDE * np.sin(phase + 0.3))


def pcm_of(samples: Floats) -> bytes:
    return bytes(np.rint(samples).clip(-32_768, 32_767).astype("<i2"))


# -- methods ------------------------------------------------------------------------------------------


def ours(pair: Pair) -> Feed:
    return resampler(pair.from_hz, pair.to_hz).feed


def ratecv(pair: Pair) -> Feed:
    state = None

    def feed(pcm: bytes) -> bytes:
        nonlocal state
        output: bytes
        output, state = audioop.ratecv(pcm, 2, 1, pair.from_hz, pair.to_hz, state)
        return output

    return feed


def soxr(quality: str) -> Callable[[Pair], Feed]:
    def make(pair: Pair) -> Feed:
        import soxr as library

        stream = library.ResampleStream(pair.from_hz, pair.to_hz, 1, dtype="int16", quality=quality)
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


def stream(feed: Feed, pair: Pair, pcm: bytes) -> Floats:
    output = b"".join(map(feed, pair.chunks(pcm)))
    return np.frombuffer(output, "<i2").astype(np.float64)


def bins_of(feed: Feed, pair: Pair, tone_hz: int) -> Floats:
    """Amplitudes over a settled second in units of the tone's, one bin a hertz."""
    output = stream(feed, pair, pair.tone(tone_hz))
    start = pair.to_hz // 2
    bins = np.abs(np.fft.rfft(output[start : start + pair.to_hz])) * 2 / pair.to_hz / AMPLITUDE
    bins[0] /= 2
    return np.maximum(bins, 1e-7)


def rejection_db(make: Callable[[Pair], Feed], pair: Pair) -> float:
    worst = 0.0
    for tone_hz in (*pair.band_hz, *pair.folding_hz):
        bins = bins_of(make(pair), pair, tone_hz)
        if tone_hz in pair.band_hz:
            bins[tone_hz] = 0
        worst = max(worst, float(bins.max()))
    return max(0.0, -20 * float(np.log10(worst)))


def ripple_db(make: Callable[[Pair], Feed], pair: Pair) -> float:
    gains = [bins_of(make(pair), pair, tone_hz)[tone_hz] for tone_hz in pair.band_hz]
    return 20 * float(np.log10(max(gains) / min(gains)))


def delay_ms(make: Callable[[Pair], Feed], pair: Pair) -> float:
    """The filter's delay, and how far the stream's output falls behind its input at worst."""
    feed, taken, given, behind_s = make(pair), 0, 0, 0.0
    for _ in range(200):
        taken += pair.from_hz // 50
        given += len(feed(bytes(pair.from_hz // 50 * 2))) // 2
        behind_s = max(behind_s, taken / pair.from_hz - given / pair.to_hz)
    source, wanted = same_noise(pair.from_hz), same_noise(pair.to_hz)
    output = stream(make(pair), pair, pcm_of(source))
    size, fine = 4 * pair.to_hz, 16
    product = np.fft.rfft(output, size) * np.conj(np.fft.rfft(wanted, size))
    lag = int(np.fft.irfft(product, size * fine).argmax())  # zeros above: an interpolated correlation
    lag -= size * fine if lag > size * fine // 2 else 0
    return lag / fine / pair.to_hz * 1000 + behind_s * 1000


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
    methods: dict[str, Callable[[Pair], Feed]] = {"ours": ours, "audioop.ratecv": ratecv}
    if find_spec("soxr"):
        methods |= {f"soxr {quality}": soxr(quality) for quality in ("QQ", "HQ", "VHQ")}
    else:
        print("soxr is not installed, its rows are missing: pip install soxr\n")
    print(f"Python {sys.version.split()[0]}, numpy {np.__version__}\n")
    titles = ("us/20 ms", "x ratecv", "us/100 ms", "x ratecv", "delay ms", "rejection dB", "ripple dB")
    for pair in (Pair(*rates_hz) for rates_hz in permutations(RATES_HZ, 2)):
        feeds = {name: make(pair) for name, make in methods.items()}
        noise = pcm_of(same_noise(pair.from_hz))
        short = cost_us(feeds, next(pair.chunks(noise)))
        long = cost_us(feeds, next(pair.chunks(noise, chunk_ms=100)))
        heading = f"{pair.from_hz} to {pair.to_hz} Hz"
        print(f"{heading:24}" + "".join(f"{title:>14}" for title in titles))
        for name, make in methods.items():
            figures = (
                short[name],
                short[name] / short["audioop.ratecv"],
                long[name],
                long[name] / long["audioop.ratecv"],
                delay_ms(make, pair),
                rejection_db(make, pair),
                ripple_db(make, pair),
            )
            print(f"{name:24}" + "".join(f"{figure:14.2f}" for figure in figures))
        print()


if __name__ == "__main__":
    main()
