"""What a packet of a call's media costs on its way in and out again, beside the least that Python can do with it.

    PYTHONPATH=. python ops/bench/rtp_ports.py

Every packet that comes is sent back. First all at once: each of 100 calls has some packets waiting, and the CPU time
until all are sent back is compared with that of a bare loop of `recvfrom` and `sendto` over as many sockets. Then as it
is: another process sends 50 packets a second to each call, no two at one time, and is compared with a bare loop that
waits for each. Figures are the least of several rounds, taken in turns: others on the machine only ever add. Ends with
1 when a bound is broken.
"""

import random
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, NoReturn

import trio

from gateway.carriers.sip.leg_messages import Datagram, encode_datagram
from gateway.carriers.sip.media_ports import MediaPort, MediaPorts
from gateway.carriers.sip.srtp import SrtpSender
from gateway.media.latch import Address
from gateway.wire.sdp.agreement import Agreed, Srtp
from gateway.wire.sdp.crypto import SUITES, Crypto
from gateway.wire.sdp.media import Direction
from ops.bench.promises import Bound, verdict

HERE: Final = "127.0.0.1"
CALLS: Final = 100
BURST, BURSTS = 5, 10
PACED_S: Final = 1.5
ROUNDS: Final = 3
SUITE: Final = "AES_CM_128_HMAC_SHA1_80"
KEY: Final = Crypto(tag=1, suite=SUITE, key=random.Random(1).randbytes(SUITES[SUITE]))


def rtp(sequence: int) -> bytes:
    """20 ms of G.711."""
    timestamp = sequence * 160 % 2**32
    return b"\x80\x00" + (sequence % 2**16).to_bytes(2) + timestamp.to_bytes(4) + b"ssrc" + bytes(160)


def udp() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((HERE, 0))
    made.setblocking(False)
    return made


def port_of(sock: socket.socket) -> int:
    return int(sock.getsockname()[1])


def drain(sock: socket.socket) -> None:
    while True:
        try:
            sock.recv(2048)
        except BlockingIOError:
            return


class Far:
    """The far end of all calls, on one socket."""

    def __init__(self, *, secure: bool = False) -> None:
        self.socket = udp()
        self._senders = [SrtpSender(KEY) for _ in range(CALLS)] if secure else None
        self._sequence = 0

    def speak(self, ports: list[int]) -> None:
        """Some packets for each call."""
        drain(self.socket)
        for _ in range(BURST):
            self._sequence += 1
            packet = rtp(self._sequence)
            for call, port in enumerate(ports):
                data = self._senders[call].protect(packet) if self._senders else packet
                assert data is not None
                self.socket.sendto(data, (HERE, port))


class Echo:
    """Calls that send back what they hear."""

    def __init__(self, ports: MediaPorts) -> None:
        self.heard = 0
        self._enough = trio.Event()
        self._until = 0
        self._back = b""
        self._ports = [self._call(ports) for _ in range(CALLS)]

    @property
    def ports(self) -> list[int]:
        return [port.rtp_port for port in self._ports]

    def agree(self, far_port: int, *, secure: bool = False) -> None:
        self._back = encode_datagram(Datagram(Address(HERE, far_port), b""))
        agreed = Agreed(
            codec="pcmu",
            address=HERE,
            port=far_port,
            payload_type=0,
            event_payload_type=None,
            receives={0: "pcmu"},
            direction=Direction.SENDRECV,
            rtcp_address=HERE,
            rtcp_port=far_port,
            srtp=Srtp(ours=KEY, theirs=KEY) if secure else None,
        )
        for port in self._ports:
            port.agree(agreed)

    async def hears(self, packets: int) -> None:
        self._until, self._enough = self.heard + packets, trio.Event()
        await self._enough.wait()

    def _call(self, ports: MediaPorts) -> MediaPort:
        port = ports.open(lambda framed: self._hear(port, framed), print)
        return port

    def _hear(self, port: MediaPort, framed: bytes) -> None:
        port.send(self._back + framed[len(self._back) :])
        self.heard += 1
        if self.heard == self._until:
            self._enough.set()


@contextmanager
def bare_sockets() -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(udp()) for _ in range(CALLS)]


# -- all at once: microseconds a packet


async def ours_at_once_us(*, secure: bool) -> float:
    far, ports = Far(secure=secure), MediaPorts(HERE, range(0))
    echo = Echo(ports)
    echo.agree(port_of(far.socket), secure=secure)
    took_s = []
    with far.socket:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ports.run)
            for _ in range(BURSTS):
                far.speak(echo.ports)
                began_s = time.thread_time()
                await echo.hears(CALLS * BURST)
                took_s.append(time.thread_time() - began_s)
            nursery.cancel_scope.cancel()
    return min(took_s) / (CALLS * BURST) * 1e6


def bare_at_once_us() -> float:
    far = Far()
    took_s = []
    with far.socket, bare_sockets() as sockets:
        for _ in range(BURSTS):
            far.speak([port_of(each) for each in sockets])
            began_s = time.thread_time()
            for _ in range(BURST):
                for each in sockets:
                    data, source = each.recvfrom(2048)
                    each.sendto(data, source)
            took_s.append(time.thread_time() - began_s)
    return min(took_s) / (CALLS * BURST) * 1e6


# -- as it is: microseconds a packet, waiting included


@contextmanager
def caller(ports: list[int]) -> Iterator[int]:
    """Another process that speaks to these ports; its own."""
    command = [sys.executable, __file__, "speak", *map(str, ports)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def speak(ports: list[int]) -> NoReturn:
    """To one after the other, to each every 20 ms; until killed."""
    far = udp()
    print(port_of(far), flush=True)
    began_s, sent = time.monotonic(), 0
    while True:
        if sent <= (time.monotonic() - began_s) * 50 * len(ports):
            far.sendto(rtp(sent // len(ports)), (HERE, ports[sent % len(ports)]))
            sent += 1
        else:
            drain(far)
            time.sleep(0.0001)


async def ours_paced_us() -> float:
    ports = MediaPorts(HERE, range(0))
    echo = Echo(ports)
    with caller(echo.ports) as far_port:
        echo.agree(far_port)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ports.run)
            await echo.hears(CALLS)
            began_s, heard = time.thread_time(), echo.heard
            await trio.sleep(PACED_S)
            took_s, heard = time.thread_time() - began_s, echo.heard - heard
            nursery.cancel_scope.cancel()
    return took_s / heard * 1e6


def bare_paced_us() -> float:
    with bare_sockets() as sockets, select.epoll() as waiting:
        known = {each.fileno(): each for each in sockets}
        for each in known:
            waiting.register(each, select.EPOLLIN)
        with caller([port_of(each) for each in sockets]):
            waiting.poll()
            began_s, heard, until_s = time.thread_time(), 0, time.monotonic() + PACED_S
            while time.monotonic() < until_s:
                for number, _ in waiting.poll():
                    data, source = known[number].recvfrom(2048)
                    known[number].sendto(data, source)
                    heard += 1
            return (time.thread_time() - began_s) / heard * 1e6


def main() -> int:
    bare_us = plain_us = secure_us = waiting_us = paced_us = float("inf")
    for _ in range(ROUNDS):
        bare_us = min(bare_us, bare_at_once_us())
        plain_us = min(plain_us, trio.run(lambda: ours_at_once_us(secure=False)))
        secure_us = min(secure_us, trio.run(lambda: ours_at_once_us(secure=True)))
        waiting_us = min(waiting_us, bare_paced_us())
        paced_us = min(paced_us, trio.run(ours_paced_us))
    return verdict(
        [
            Bound("recvfrom and sendto, all at once", bare_us, unit="us"),
            Bound("a packet in and out, all at once", plain_us, unit="us"),
            Bound("SRTP in and out, all at once", secure_us, unit="us"),
            Bound("a packet beside recvfrom and sendto", plain_us / bare_us, 4.0, "x"),
            Bound("SRTP beside recvfrom and sendto", secure_us / bare_us, 8.0, "x"),
            Bound("epoll, recvfrom and sendto, 5000 a second", waiting_us, unit="us"),
            Bound("a packet in and out, 5000 a second", paced_us, unit="us"),
            Bound("a packet beside a loop that waits for each", paced_us / waiting_us, 3.0, "x"),
            Bound("of one core, for 100 calls", paced_us * 50 * CALLS / 1e6 * 100, unit="%"),
        ]
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["speak"]:
        speak(list(map(int, sys.argv[2:])))
    sys.exit(main())
