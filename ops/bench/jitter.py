"""What the jitter buffer costs, and what a caller sounds like behind it: all in made-up time.

    PYTHONPATH=. python ops/bench/jitter.py

Cost is that of the buffer for a second of a call, by a network with 40 ms of jitter, beside reading and decoding the same
packets as they come, which is the least that anybody has to do; both are the minimum of rounds in turn. A tone's SNR is
over windows of 40 ms, each against the sine that fits it best, so it counts what a listener hears and not the delay.
"""

import random
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.audio.g711 import CODECS
from gateway.audio.tones import sine
from gateway.media.jitter import JitterBuffer
from gateway.media.mos import burst_ratio, mean_opinion_score, rating
from gateway.testing.rtp_network import Passing, RtpNetwork, listen, talk
from gateway.wire.rtp import decode, encode
from ops.bench.promises import Bound, verdict

PCMU = CODECS["pcmu"]
TONE_HZ = 440
TONE = PCMU.encode(sine(TONE_HZ, 1000))
ROUNDS, COST_S = 7, 60
TWO_HOURS_S = 7200
SETTLED_FRAMES = 1500
NETWORK_MS = 20
WINDOW = 320


class Run(NamedTuple):
    buffer: JitterBuffer
    heard: bytes
    depths_ms: list[float]


def run(network: RtpNetwork, *, seconds: float, drift_ppm: float = 0.0, packet_ms: int = 20) -> Run:
    buffer = JitterBuffer(PCMU)
    arrivals = network.carry(talk(TONE, seconds=seconds, drift_ppm=drift_ppm, packet_ms=packet_ms))
    frames, depths_ms = [], []
    for frame in listen(buffer, arrivals, seconds=seconds):
        frames.append(frame)
        depths_ms.append(buffer.depth_ms)
    return Run(buffer, b"".join(frames[SETTLED_FRAMES:-50]), depths_ms[SETTLED_FRAMES:])


# -- cost ---------------------------------------------------------------------------------------------


def cost() -> Iterator[Bound]:
    network = RtpNetwork(random.Random(1), jitter_s=0.04)
    arrivals = [Passing(at_s, packet) for at_s, packet in network.carry(talk(TONE, seconds=COST_S))]
    datagrams = [encode(packet) for _, packet in arrivals]
    decoding_s = buffering_s = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for datagram in datagrams:
            PCMU.decode(decode(datagram).payload)
        decoded = time.perf_counter()
        for _ in listen(JitterBuffer(PCMU), arrivals, seconds=COST_S):
            pass
        decoding_s = min(decoding_s, decoded - began)
        buffering_s = min(buffering_s, time.perf_counter() - decoded)
    yield Bound("reading and decoding, for a second of a call", decoding_s / COST_S * 1e6, unit="us")
    yield Bound("the jitter buffer, for a second of a call", buffering_s / COST_S * 1e6, unit="us")
    yield Bound("the jitter buffer beside reading and decoding", buffering_s / decoding_s, most=20, unit="x")


# -- drift --------------------------------------------------------------------------------------------


def drift(ppm: int) -> Iterator[Bound]:
    ended = run(RtpNetwork(random.Random(2), jitter_s=0.01), seconds=TWO_HOURS_S, drift_ppm=ppm)
    middle_ms = sum(ended.depths_ms) / len(ended.depths_ms)
    astray_ms = max(max(ended.depths_ms) - middle_ms, middle_ms - min(ended.depths_ms))
    counts = ended.buffer.counts
    name = f"two hours at {ppm:+} ppm: "
    yield Bound(name + "depth on average", middle_ms)
    yield Bound(name + "depth away from it", astray_ms, most=40)
    yield Bound(name + "longest silence in a tone", silence_ms(ended.heard), most=5)
    yield Bound(name + "made up", counts.concealed_ms)
    yield Bound(name + "left out", counts.shortened_ms)
    yield Bound(name + "played twice", counts.stretched_ms)
    yield Bound(name + "noise beside a tone", -snr_db(ended.heard), most=-30, unit="dB")


def silence_ms(heard: bytes) -> float:
    """The longest stretch in which nothing is louder than a hundredth of full scale."""
    loud = np.flatnonzero(np.abs(samples(heard)) > 328)
    return float(np.diff(loud).max()) / 8


# -- quality ------------------------------------------------------------------------------------------


def quality(loss: float, packet_ms: int) -> Iterator[Bound]:
    network = RtpNetwork(random.Random(3), delay_s=NETWORK_MS / 1000, loss=loss, jitter_s=0.04)
    ended = run(network, seconds=600, packet_ms=packet_ms)
    counts = ended.buffer.counts
    missing, expected = counts.lost + counts.late, counts.received + counts.lost
    delay_ms = NETWORK_MS + packet_ms + sum(ended.depths_ms) / len(ended.depths_ms)
    burst = burst_ratio(lost=missing, gaps=counts.gaps, expected=expected)
    mos = mean_opinion_score(rating(delay_ms=delay_ms, loss_share=missing / expected, burst=burst))
    name = f"{100 * loss:g} % loss, 40 ms jitter, {packet_ms} ms packets: "
    yield Bound(name + "missing or late", 100 * missing / expected, unit="%")
    yield Bound(name + "from mouth to ear", delay_ms)
    yield Bound(name + "noise beside a tone", -snr_db(ended.heard), unit="dB")
    yield Bound(name + "MOS", mos, unit="")
    yield Bound(name + "MOS short of 3.7", max(3.7 - mos, 0.0), most=0, unit="")


def snr_db(heard: bytes) -> float:
    """How far what is no tone lies below it."""
    windows = samples(heard[: len(heard) // WINDOW * WINDOW]).reshape(-1, WINDOW)
    phase = 2 * np.pi * TONE_HZ * np.arange(WINDOW) / 8000
    basis = np.stack([np.sin(phase), np.cos(phase)])
    fitted = windows @ np.linalg.pinv(basis) @ basis
    return float(10 * np.log10((fitted**2).sum() / ((windows - fitted) ** 2).sum()))


def samples(heard: bytes) -> NDArray[np.float64]:
    return np.frombuffer(PCMU.decode(heard), "<i2").astype(np.float64)


def main() -> int:
    bounds = list(cost())
    for ppm in (200, -200):
        bounds += drift(ppm)
    for packet_ms in (20, 60):
        bounds += quality(0.05, packet_ms)
    bounds += quality(0.03, 20)
    return verdict(bounds)


if __name__ == "__main__":
    sys.exit(main())
