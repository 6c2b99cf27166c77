"""The sockets of calls' media, on loopback."""

import logging
import math
import random
import resource
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any, Self

import msgspec
import pytest
import trio
import trio.testing

from gateway.carriers.sip.leg_messages import Datagram, decode_datagram, encode_datagram
from gateway.carriers.sip.media_gate import MediaCounts
from gateway.carriers.sip.media_ports import MediaPort, MediaPorts, NoPorts
from gateway.carriers.sip.srtp import SrtpReceiver, SrtpSender
from gateway.media.latch import Address
from gateway.wire import rtcp, rtp
from gateway.wire.sdp.agreement import Agreed, Srtp
from gateway.wire.sdp.crypto import SUITES, Crypto
from gateway.wire.sdp.media import Direction

LOCAL = "127.0.0.1"
REPORT = rtcp.encode((rtcp.ReceiverReport(ssrc=1),))
SUITE = "AES_CM_128_HMAC_SHA1_80"
OURS, THEIRS = (
    Crypto(tag=1, suite=SUITE, key=random.Random(seed).randbytes(SUITES[SUITE])) for seed in range(2)
)


def packet(sequence: int = 1, payload: bytes = b"\x55" * 160, ssrc: int = 1) -> bytes:
    return rtp.encode(
        rtp.RtpPacket(payload_type=0, sequence=sequence, timestamp=sequence * 160, ssrc=ssrc, payload=payload)
    )


def agreed(address: Address, **changes: Any) -> Agreed:
    terms = Agreed(
        codec="pcmu",
        address=address.host,
        port=address.port,
        payload_type=0,
        event_payload_type=101,
        receives={0: "pcmu", 101: "telephone-event"},
        direction=Direction.SENDRECV,
        rtcp_address=address.host,
        rtcp_port=address.port + 1,
    )
    return msgspec.structs.replace(terms, **changes)


def refuse(why: str) -> None:
    raise AssertionError(why)


class Phone:
    """A far end with one socket."""

    def __init__(self, host: str = LOCAL) -> None:
        self.socket = trio.socket.socket(
            trio.socket.AF_INET6 if ":" in host else trio.socket.AF_INET, trio.socket.SOCK_DGRAM
        )
        self.host = host

    async def __aenter__(self) -> Self:
        await self.socket.bind((self.host, 0))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.socket.close()

    @property
    def address(self) -> Address:
        return Address(*self.socket.getsockname()[:2])

    async def says(self, data: bytes, port: int) -> None:
        await self.socket.sendto(data, (self.host, port))

    async def hears(self) -> tuple[bytes, int]:
        """A datagram, and the port that it came from."""
        data, source = await self.socket.recvfrom(70_000)
        return data, source[1]


class Call:
    """A port, and all that it heard."""

    def __init__(self, ports: MediaPorts) -> None:
        self._send, self._heard = trio.open_memory_channel[Datagram](math.inf)
        self.failures: list[str] = []
        self.port = ports.open(self._hear, self.failures.append)

    def _hear(self, framed: bytes) -> None:
        self._send.send_nowait(decode_datagram(framed))

    @property
    def waiting(self) -> int:
        return self._heard.statistics().current_buffer_used

    async def hears(self) -> Datagram:
        return await self._heard.receive()


@asynccontextmanager
async def media_ports(
    host: str = LOCAL, ports: range = range(0), **options: float
) -> AsyncIterator[MediaPorts]:
    made = MediaPorts(host, ports, **options)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.run)
            yield made
            nursery.cancel_scope.cancel()


@contextmanager
def held(*ports: int) -> Iterator[None]:
    """Another program has these ports."""
    with ExitStack() as stack:
        for port in ports:
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind((LOCAL, port))
        yield


def free_pairs(count: int) -> range:
    """Ports in a row that nobody has."""
    for first in range(20_000, 32_000, 2 * count):
        try:
            with held(*range(first, first + 2 * count)):
                return range(first, first + 2 * count)
        except OSError:
            continue
    raise AssertionError("no ports")


# -- in and out


@pytest.mark.parametrize("host", [LOCAL, "::1"])
async def test_media_goes_both_ways(host: str):
    async with media_ports(host) as ports, Phone(host) as phone:
        call = Call(ports)
        call.port.agree(agreed(phone.address))

        await phone.says(packet(1), call.port.rtp_port)
        heard = await call.hears()
        call.port.send(encode_datagram(Datagram(phone.address, packet(2))))

        assert heard == Datagram(phone.address, packet(1), rtcp=False, authentic=True)
        assert await phone.hears() == (packet(2), call.port.rtp_port)
        assert call.port.rtp_port % 2 == 0
        assert call.port.counts == MediaCounts()


async def test_reports_go_by_the_next_port():
    async with media_ports() as ports, Phone() as phone:
        call = Call(ports)
        call.port.agree(agreed(phone.address))

        await phone.says(REPORT, call.port.rtp_port + 1)
        heard = await call.hears()
        call.port.send(encode_datagram(Datagram(phone.address, REPORT, rtcp=True)))

        assert heard == Datagram(phone.address, REPORT, rtcp=True, authentic=True)
        assert await phone.hears() == (REPORT, call.port.rtp_port + 1)


async def test_reports_go_by_the_port_of_rtp_where_they_share_it():
    async with media_ports() as ports, Phone() as phone:
        call = Call(ports)
        call.port.agree(agreed(phone.address, rtcp_mux=True))

        await phone.says(REPORT, call.port.rtp_port)
        heard = await call.hears()
        call.port.send(encode_datagram(Datagram(phone.address, REPORT, rtcp=True)))

        assert heard.rtcp
        assert await phone.hears() == (REPORT, call.port.rtp_port)


async def test_srtp_goes_both_ways():
    async with media_ports() as ports, Phone() as phone:
        call, sender, receiver = Call(ports), SrtpSender(THEIRS), SrtpReceiver(OURS)
        call.port.agree(agreed(phone.address, srtp=Srtp(ours=OURS, theirs=THEIRS)))

        await phone.says(sender.protect(packet(1)) or b"", call.port.rtp_port)
        heard = await call.hears()
        call.port.send(encode_datagram(Datagram(phone.address, packet(2))))
        said, _ = await phone.hears()

        assert heard.data == packet(1)
        assert (said != packet(2), receiver.unprotect(said)) == (True, packet(2))


async def test_each_call_hears_its_own_caller_in_order():
    async with media_ports() as ports, Phone() as phone:
        calls = [Call(ports) for _ in range(40)]
        for call in calls:
            call.port.agree(agreed(phone.address))

        for sequence in range(20):
            for number, call in enumerate(calls):
                await phone.says(packet(sequence, bytes([number]) * 160), call.port.rtp_port)

        for number, call in enumerate(calls):
            heard = [rtp.decode((await call.hears()).data) for _ in range(20)]
            assert [each.sequence for each in heard] == list(range(20))
            assert {each.payload for each in heard} == {bytes([number]) * 160}


async def test_a_packet_does_not_wait_for_others():
    async with media_ports() as ports, Phone() as phone:
        call = Call(ports)
        call.port.agree(agreed(phone.address))
        took_s = []

        for sequence in range(5):
            began_s = trio.current_time()
            await phone.says(packet(sequence), call.port.rtp_port)
            await call.hears()
            took_s.append(trio.current_time() - began_s)

        assert min(took_s) < 0.02


# -- what does not get through


async def test_strangers_and_what_is_no_media_are_counted():
    async with media_ports() as ports, Phone() as phone, Phone() as stranger:
        call = Call(ports)
        call.port.agree(agreed(phone.address))
        await phone.says(packet(0), call.port.rtp_port)
        await call.hears()

        for data in (b"", b"\x80", bytes(65_507), packet(1, bytes(60_000))):
            await phone.says(data, call.port.rtp_port)
        for sequence in range(20):
            await stranger.says(packet(sequence, ssrc=2), call.port.rtp_port)
        await phone.says(packet(2), call.port.rtp_port)

        assert (await call.hears()).data == packet(2)
        assert call.port.counts == MediaCounts(strangers=20, malformed=4)


async def test_a_flood_of_forged_srtp_is_counted_and_the_caller_heard():
    forged, rng = 1000, random.Random(1)
    async with media_ports() as ports, Phone() as phone, Phone() as stranger:
        call, sender = Call(ports), SrtpSender(THEIRS)
        call.port.agree(agreed(phone.address, srtp=Srtp(ours=OURS, theirs=THEIRS)))

        for number in range(forged):
            await stranger.says(b"\x80\x00" + rng.randbytes(180), call.port.rtp_port)
            if number % 50 == 0:  # as many as the socket's buffer takes meanwhile
                await phone.says(sender.protect(packet(number)) or b"", call.port.rtp_port)
                heard = await call.hears()
                assert heard.data == packet(number)

        assert call.port.counts.srtp_failures >= forged - 50
        assert (call.port.counts.strangers, call.failures) == (0, [])


async def test_before_anything_is_agreed_on_nobody_is_heard():
    async with media_ports() as ports, Phone() as phone:
        call = Call(ports)

        await phone.says(packet(1), call.port.rtp_port)
        while not call.port.counts.strangers:
            await trio.lowlevel.checkpoint()
        call.port.agree(agreed(phone.address))
        await phone.says(packet(2), call.port.rtp_port)

        assert (await call.hears()).data == packet(2)


@pytest.mark.parametrize(
    "to",
    [Address("::1", 4000), Address("255.255.255.255", 4000), Address(LOCAL, 0), Address("198.51.100.1", 9)],
    ids=["another family", "everybody", "port 0", "no way there"],
)
async def test_what_the_network_does_not_take_is_counted(to: Address):
    async with media_ports() as ports:
        call = Call(ports)
        call.port.agree(agreed(Address(LOCAL, 9)))

        call.port.send(encode_datagram(Datagram(to, packet())))

        assert (call.port.counts, call.failures) == (MediaCounts(unsent=1), [])


async def test_a_far_end_whose_port_is_closed_harms_nobody():
    async with media_ports() as ports, Phone() as phone:
        async with Phone() as gone:
            nobody = gone.address
        call = Call(ports)
        call.port.agree(agreed(phone.address))

        for sequence in range(100):
            call.port.send(encode_datagram(Datagram(nobody, packet(sequence))))
        await phone.says(packet(1), call.port.rtp_port)

        assert (await call.hears()).data == packet(1)
        assert (call.port.counts, call.failures) == (MediaCounts(), [])


async def test_nobody_waits_where_more_is_sent_than_the_network_takes():
    async with media_ports() as ports, Phone() as phone:
        call = Call(ports)
        call.port.agree(agreed(phone.address))

        for sequence in range(20_000):
            call.port.send(encode_datagram(Datagram(phone.address, packet(sequence))))

        first, _ = await phone.hears()
        assert (first, call.failures) == (packet(0), [])


# -- a call that breaks


async def test_a_call_that_breaks_on_what_it_hears_ends_alone(caplog: pytest.LogCaptureFixture):
    failures: list[str] = []
    async with media_ports() as ports, Phone() as phone:
        broken = ports.open(lambda framed: refuse("a bug"), failures.append)
        call = Call(ports)
        for port in (broken, call.port):
            port.agree(agreed(phone.address))

        with caplog.at_level(logging.CRITICAL):
            await phone.says(packet(1), broken.rtp_port)
            await phone.says(packet(1), broken.rtp_port)
            await phone.says(packet(2), call.port.rtp_port)

        assert (await call.hears()).data == packet(2)
        assert failures == ["what was heard broke the call"]
        assert len(ports) == 1


async def test_a_call_may_end_itself_and_others_by_what_it_hears():
    async with media_ports() as ports, Phone() as phone:
        others: list[MediaPort] = []
        heard: list[bytes] = []

        def end_all(framed: bytes) -> None:
            heard.append(framed)
            for port in others:
                port.close()

        others += [ports.open(end_all, refuse) for _ in range(5)]
        call = Call(ports)
        for port in (*others, call.port):
            port.agree(agreed(phone.address))
        for port in (*others, call.port):
            await phone.says(packet(1), port.rtp_port)
            await phone.says(REPORT, port.rtp_port + 1)

        await call.hears()

        assert (len(heard), len(ports)) == (1, 1)


# -- ports


async def test_a_port_that_is_closed_says_and_hears_nothing_more():
    async with media_ports() as ports, Phone() as phone:
        call = Call(ports)
        call.port.agree(agreed(phone.address))

        call.port.close()
        call.port.close()
        await phone.says(packet(1), call.port.rtp_port)
        call.port.send(encode_datagram(Datagram(phone.address, packet(2))))
        await trio.testing.wait_all_tasks_blocked()

        assert (call.waiting, len(ports)) == (0, 0)


async def test_closed_ports_are_nobodys_for_a_while():
    two = free_pairs(2)
    async with media_ports(ports=two) as ports:
        first, second = Call(ports).port, Call(ports).port
        first.close()

        with held(first.rtp_port, first.rtp_port + 1), pytest.raises(NoPorts) as refusal:
            Call(ports)

        assert {first.rtp_port, second.rtp_port} == {two[0], two[2]}
        assert str(refusal.value) == (
            "no pair of RTP ports: calls have 1, 1 are in quarantine, other programs have 0"
        )


async def test_after_the_quarantine_they_are_taken_again():
    async with media_ports(ports=free_pairs(1), quarantine_s=0.0) as ports:
        first = Call(ports).port
        first.close()

        assert Call(ports).port.rtp_port == first.rtp_port


@pytest.mark.parametrize("taken", [0, 1])
async def test_a_pair_of_which_another_program_has_one_is_passed_over(taken: int):
    two = free_pairs(2)
    async with media_ports(ports=two) as ports:
        with held(two[taken]):
            got = Call(ports).port.rtp_port

            with pytest.raises(NoPorts, match="other programs have 1"):
                Call(ports)

        assert got == two[2]
        assert Call(ports).port.rtp_port == two[0]


async def test_without_files_there_are_no_ports():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with media_ports() as ports:
        with socket.socket() as last:
            resource.setrlimit(resource.RLIMIT_NOFILE, (last.fileno() + 2, hard))
            try:
                with pytest.raises(NoPorts, match="Too many open files"):
                    Call(ports)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

        assert len(ports) == 0


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: MediaPorts("192.0.2.1", range(0)), OSError),
        (lambda: MediaPorts(LOCAL, range(10_001, 10_002)), ValueError),
    ],
)
def test_what_cannot_be_is_said_before_the_first_call(make: Callable[[], MediaPorts], error: type[Exception]):
    with pytest.raises(error):
        make()


async def test_when_it_ends_all_ports_are_given_back():
    async with media_ports() as ports:
        calls = [Call(ports) for _ in range(3)]

    assert len(ports) == 0
    with held(*(call.port.rtp_port for call in calls)):
        calls[0].port.close()
