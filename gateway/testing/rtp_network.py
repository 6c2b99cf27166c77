"""RTP through a network that loses, delays, doubles and overtakes, in made-up time, the same for the same seed.

sent = talk(pcmu, seconds=60, packet_ms=20, drift_ppm=200)
network = RtpNetwork(random.Random(1), loss=0.05, jitter_s=0.04)
heard = b"".join(listen(JitterBuffer(CODECS["pcmu"]), network.carry(sent), seconds=60))
"""

import heapq
from collections.abc import Iterable, Iterator
from random import Random
from typing import NamedTuple

from gateway.media.jitter import JitterBuffer
from gateway.wire.rtp import RtpPacket

__all__ = ["Passing", "RtpNetwork", "listen", "talk"]

_TICK_S = 0.02


class Passing(NamedTuple):
    """A packet at an instant: when it is sent, or when it arrives."""

    at_s: float
    packet: RtpPacket


def talk(
    audio: bytes,
    *,
    seconds: float,
    packet_ms: int = 20,
    drift_ppm: float = 0.0,
    sequence: int = 65_000,
    timestamp: int = 0xFFFF_F000,
    ssrc: int = 0x5EED,
    start_s: float = 0.0,
) -> Iterator[Passing]:
    """What a phone sends: G.711 over and over, by a clock that is fast by `drift_ppm`. Its numbers wrap soon."""
    size = packet_ms * 8
    for index in range(round(seconds * 1000 / packet_ms)):
        at = index * size % len(audio)
        packet = RtpPacket(
            payload_type=0,
            sequence=sequence + index & 0xFFFF,
            timestamp=timestamp + index * size & 0xFFFF_FFFF,
            ssrc=ssrc,
            payload=(audio + audio[:size])[at : at + size]
            if at + size > len(audio)
            else audio[at : at + size],
            marker=index == 0,
        )
        yield Passing(start_s + index * packet_ms / 1000 / (1 + drift_ppm * 1e-6), packet)


class RtpNetwork:
    """Delays each packet by `delay_s` and up to `jitter_s` more, each on its own, so that they overtake each other.

    `loss` and `duplicates`: of the packets, 0 to 1.
    """

    def __init__(
        self,
        rng: Random,
        *,
        delay_s: float = 0.02,
        jitter_s: float = 0.0,
        loss: float = 0.0,
        duplicates: float = 0.0,
    ) -> None:
        self._rng = rng
        self._delay_s = delay_s
        self._jitter_s = jitter_s
        self._loss = loss
        self._duplicates = duplicates

    def carry(self, sent: Iterable[Passing]) -> Iterator[Passing]:
        """What arrives, in the order in which it does. `sent`: in its order."""
        under_way: list[tuple[float, int, RtpPacket]] = []
        for number, (at_s, packet) in enumerate(sent):
            while under_way and under_way[0][0] <= at_s:
                yield _arrived(under_way)
            for copy, arrives_s in enumerate(self.arrivals(at_s)):
                heapq.heappush(under_way, (arrives_s, 2 * number + copy, packet))
        while under_way:
            yield _arrived(under_way)

    def arrivals(self, at_s: float) -> list[float]:
        """When each copy arrives of a packet that is sent at an instant; none does of one that is lost."""
        copies = (self._rng.random() >= self._loss) * (1 + (self._rng.random() < self._duplicates))
        return [at_s + self._delay_s + self._rng.random() * self._jitter_s for _ in range(copies)]


def _arrived(under_way: list[tuple[float, int, RtpPacket]]) -> Passing:
    at_s, _, packet = heapq.heappop(under_way)
    return Passing(at_s, packet)


def listen(
    buffer: JitterBuffer, arrivals: Iterable[Passing], *, seconds: float, tick_s: float = 0.0
) -> Iterator[bytes]:
    """The frames of a jitter buffer that is ticked every 20 ms, from `tick_s` on."""
    coming = iter(arrivals)
    next_one = next(coming, None)
    for tick in range(round(seconds / _TICK_S)):
        now = tick_s + tick * _TICK_S
        while next_one is not None and next_one.at_s <= now:
            buffer.receive(next_one.packet, next_one.at_s)
            next_one = next(coming, None)
        yield from buffer.take(now)
