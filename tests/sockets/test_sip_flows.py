"""SIP's sockets on loopback: UDP, TCP, TLS. What is refused, reused, broken, and that nothing is left."""

import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trio
import trustme

from gateway.carriers.sip.flows import FlowLimits, Flows, WayIn, open_flows
from gateway.carriers.sip.tls import client_context, server_context
from gateway.carriers.sip.transport import Message, Unreachable
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.flow import Address, Flow, Transport
from gateway.wire.sip.message import Request
from gateway.wire.sip.resolver import Target

LOCAL = "127.0.0.1"


def options(call_id: str = "c1", *, body: bytes = b"") -> bytes:
    head = (
        "OPTIONS sip:gw@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\n"
        f"From: <sip:a@h>;tag=a\r\nTo: <sip:gw@h>\r\nCall-ID: {call_id}\r\nCSeq: 1 OPTIONS\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Heard(NamedTuple):
    message: Message
    flow: Flow


class User:
    """What transports tell, one after the other. `friends`: who is admitted."""

    def __init__(self, friends: str = "0.0.0.0/0") -> None:
        self.friends = ip_network(friends)
        self._send, self.received_ones = trio.open_memory_channel[Heard](10_000)
        self._broke, self.broken_ones = trio.open_memory_channel[tuple[Flow, str]](1000)
        self._away, self.turned_away_ones = trio.open_memory_channel[tuple[bytes, Flow]](1000)

    def admits(self, flow: Flow) -> bool:
        return ip_address(flow.remote.host) in self.friends

    def turned_away(self, first_line: bytes, flow: Flow) -> None:
        self._away.send_nowait((first_line, flow))

    def flooded(self, flow: Flow) -> None:
        raise AssertionError(f"too much from {flow}")

    def received(self, message: Message, flow: Flow) -> None:
        self._send.send_nowait(Heard(message, flow))

    def broken(self, flow: Flow, why: str) -> None:
        self._broke.send_nowait((flow, why))

    async def hears(self) -> Heard:
        return await self.received_ones.receive()

    async def is_told(self) -> tuple[Flow, str]:
        return await self.broken_ones.receive()


class Gateway(NamedTuple):
    flows: Flows
    user: User

    def port(self, transport: Transport = "UDP") -> int:
        return next(address.port for known, address in self.flows.bound if known == transport)

    def target(self, transport: Transport, name: str = "localhost") -> Target:
        return Target(transport, Address(LOCAL, self.port(transport)), name)


@asynccontextmanager
async def gateway(
    *transports: Transport, user: User | None = None, tls: ssl.SSLContext | None = None, **more: Any
) -> AsyncIterator[Gateway]:
    user = user or User()
    ways_in = [WayIn(transport=each, host=LOCAL, port=0, tls=tls) for each in transports]
    with trio.fail_after(15):
        async with open_flows(user, ways_in, **more) as flows:
            yield Gateway(flows, user)


@asynccontextmanager
async def phone() -> AsyncIterator[trio.socket.SocketType]:
    """A UDP socket of somebody else."""
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as udp:
        await udp.bind((LOCAL, 0))
        yield udp


class Certificates:
    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.folder = folder
        self.authority_file = folder / "authority.pem"
        self.authority.cert_pem.write_to_path(self.authority_file)

    def server(self, *names: str, mutual: bool = False) -> ssl.SSLContext:
        chain, key = self.files(*names)
        return server_context(chain, key, client_authority=self.authority_file if mutual else None)

    def client(self, *names: str) -> ssl.SSLContext:
        chain, key = self.files(*names) if names else (None, None)
        return client_context(authority=self.authority_file, certificate=chain, key=key)

    def files(self, *names: str) -> tuple[Path, Path]:
        issued = self.authority.issue_cert(*names)
        chain, key = self.folder / f"{names[0]}.crt", self.folder / f"{names[0]}.key"
        chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return chain, key


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


def call_id(message: Message) -> str:
    assert isinstance(message, Request)
    return message.headers["Call-ID"]


# -- UDP


async def test_a_datagram_is_heard_with_where_it_came_from():
    async with gateway("UDP") as ours, phone() as peer:
        await peer.sendto(options(), (LOCAL, ours.port()))

        message, flow = await ours.user.hears()

        assert call_id(message) == "c1"
        assert flow == Flow("UDP", Address(LOCAL, ours.port()), Address(*peer.getsockname()))


async def test_a_datagram_is_sent_from_the_port_that_others_know():
    async with gateway("UDP") as ours, phone() as peer:
        flow = await ours.flows.reach(Target("UDP", Address(*peer.getsockname()), "h"))

        assert ours.flows.send(flow, b"hello")

        assert await peer.recvfrom(100) == (b"hello", (LOCAL, ours.port()))


async def test_an_answer_goes_back_by_the_flow_of_its_request():
    async with gateway("UDP") as ours, phone() as peer:
        await peer.sendto(options(), (LOCAL, ours.port()))
        _, flow = await ours.user.hears()

        ours.flows.send(flow, b"answer")

        assert (await peer.recvfrom(100))[0] == b"answer"


async def test_what_keeps_a_nat_open_is_nothing():
    async with gateway("UDP") as ours, phone() as peer:
        for datagram in (b"", b"\0\0\0\0", b"\r\n\r\n", b"\r\n", options("after")):
            await peer.sendto(datagram, (LOCAL, ours.port()))

        assert call_id((await ours.user.hears()).message) == "after"


async def test_a_message_that_cannot_be_read_comes_with_its_status():
    async with gateway("UDP") as ours, phone() as peer:
        await peer.sendto(options().replace(b"SIP/2.0\r\nVia", b"SIP/3.0\r\nVia"), (LOCAL, ours.port()))

        message, flow = await ours.user.hears()

        assert isinstance(message, SipSyntaxError)
        assert message.status == 505
        assert flow.remote == Address(*peer.getsockname())


async def test_a_thousand_datagrams_at_once_are_heard_in_order():
    async with gateway("UDP") as ours, phone() as peer:
        heard = []
        for number in range(1000):
            await peer.sendto(options(f"c{number}"), (LOCAL, ours.port()))
            if number % 100 == 99:  # as much as any kernel holds
                heard += [call_id((await ours.user.hears()).message) for _ in range(100)]

        assert heard == [f"c{number}" for number in range(1000)]


async def test_a_peer_whose_port_is_closed_is_told_of_and_harms_nobody():
    async with gateway("UDP") as ours:
        async with phone() as gone:
            nobody = Address(*gone.getsockname())
        flow = await ours.flows.reach(Target("UDP", nobody, "h"))

        ours.flows.send(flow, options())
        broken, _ = await ours.user.is_told()

        assert broken == flow
        async with phone() as peer:
            await peer.sendto(options("alive"), (LOCAL, ours.port()))
            assert call_id((await ours.user.hears()).message) == "alive"


async def test_an_error_that_one_peer_earned_does_not_swallow_what_another_is_sent():
    async with gateway("UDP") as ours, phone() as peer:
        async with phone() as gone:
            nobody = Address(*gone.getsockname())
        flow = await ours.flows.reach(Target("UDP", Address(*peer.getsockname()), "h"))
        for number in range(20):
            ours.flows.send(Flow("UDP", flow.local, nobody), b"x")
            assert ours.flows.send(flow, b"%d" % number)

        heard = [int((await peer.recvfrom(100))[0]) for _ in range(20)]

        assert heard == list(range(20))


async def test_what_no_datagram_can_hold_is_not_sent():
    async with gateway("UDP") as ours, phone() as peer:
        flow = await ours.flows.reach(Target("UDP", Address(*peer.getsockname()), "h"))

        assert not ours.flows.send(flow, bytes(70_000))
        assert ours.flows.send(flow, b"still here")


async def test_a_stranger_is_turned_away_at_his_first_line_and_hears_nothing():
    async with gateway("UDP", user=User("198.51.100.0/24")) as ours, phone() as peer:
        await peer.sendto(options(), (LOCAL, ours.port()))

        line, flow = await ours.user.turned_away_ones.receive()

        assert line == b"OPTIONS sip:gw@127.0.0.1 SIP/2.0"
        assert flow.remote == Address(*peer.getsockname())
        assert ours.user.received_ones.statistics().current_buffer_used == 0


async def test_ipv6_has_its_own_socket():
    async with open_flows(User("::/0"), [WayIn(transport="UDP", host="::1", port=0)]) as flows:
        ((_, address),) = flows.bound

        flow = await flows.reach(Target("UDP", address, "h"))

        assert flows.send(flow, b"to ourselves")
        assert flow.local == Address("::1", address.port)


async def test_where_it_is_bound_to_all_addresses_it_knows_one_that_others_can_use():
    async with open_flows(User(), [WayIn(transport="UDP", host="0.0.0.0", port=0)]) as flows:
        ((_, address),) = flows.bound

    assert address.host != "0.0.0.0"


async def test_a_port_that_is_taken_is_an_error_before_anything_runs():
    async with phone() as taken:
        with pytest.raises(OSError, match="in use"):
            async with open_flows(User(), [WayIn(transport="UDP", host=LOCAL, port=taken.getsockname()[1])]):
                raise AssertionError("nothing to live in")


async def test_with_several_sockets_the_one_that_is_asked_for_is_taken_or_else_its_host_or_the_route():
    here, there = "127.0.0.1", "127.0.0.2"
    ways_in = [WayIn(transport="UDP", host=each, port=0) for each in (there, here, there)]
    target = Target("UDP", Address("127.0.0.3", 5060), "h")
    async with open_flows(User(), ways_in) as flows:
        (_, first), (_, at_route), (_, last) = flows.bound
        wanted = {
            last: last,
            Address(there, 1): first,  # a connection's, whose port is its own
            Address("192.0.2.1", 5060): at_route,
            None: at_route,
        }

        taken = {local: (await flows.reach(target, local)).local for local in wanted}

    assert taken == wanted


async def test_who_is_elsewhere_is_not_sent_to_from_loopback_if_there_is_another_socket():
    ways_in = [WayIn(transport="UDP", host=each, port=0) for each in (LOCAL, "0.0.0.0")]
    async with open_flows(User(), ways_in) as flows:
        (_, loopback), (_, other) = flows.bound

        flow = await flows.reach(Target("UDP", Address("192.0.2.77", 5060), "h"), loopback)

    assert flow.local == (loopback if other.host == LOCAL else other)  # where there is no way out at all


async def test_without_a_socket_of_its_kind_an_address_cannot_be_reached():
    async with gateway("UDP") as ours:
        with pytest.raises(Unreachable, match="family"):
            await ours.flows.reach(Target("UDP", Address("::1", 5060), "h"))


# -- TCP


async def test_a_message_over_tcp_is_heard_however_it_was_cut():
    async with gateway("TCP") as ours:
        async with await trio.open_tcp_stream(LOCAL, ours.port("TCP")) as peer:
            data = options("one", body=b"x" * 50) + options("two")
            for at in range(0, len(data), 7):
                await peer.send_all(data[at : at + 7])

            heard = [await ours.user.hears(), await ours.user.hears()]

        assert [call_id(each.message) for each in heard] == ["one", "two"]
        assert heard[0].flow == heard[1].flow


async def test_an_answer_over_tcp_takes_the_connection_of_its_request():
    async with gateway("TCP") as ours:
        async with await trio.open_tcp_stream(LOCAL, ours.port("TCP")) as peer:
            await peer.send_all(options())
            _, flow = await ours.user.hears()

            assert ours.flows.send(flow, b"answer")

            assert await peer.receive_some() == b"answer"


async def test_a_ping_is_answered_with_a_pong():
    async with gateway("TCP") as ours:
        async with await trio.open_tcp_stream(LOCAL, ours.port("TCP")) as peer:
            await peer.send_all(b"\r\n\r\n")

            assert await peer.receive_some() == b"\r\n"


async def test_a_peer_that_closes_is_told_of_once():
    async with gateway("TCP") as ours:
        async with await trio.open_tcp_stream(LOCAL, ours.port("TCP")) as peer:
            await peer.send_all(options())
            _, flow = await ours.user.hears()

        assert await ours.user.is_told() == (flow, "the peer closed it")
        assert not ours.flows.send(flow, b"too late")
        assert ours.user.broken_ones.statistics().current_buffer_used == 0


async def test_a_peer_that_resets_is_told_of():
    async with gateway("TCP") as ours:
        peer = await trio.open_tcp_stream(LOCAL, ours.port("TCP"))
        await peer.send_all(options())
        _, flow = await ours.user.hears()

        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await peer.aclose()

        assert (await ours.user.is_told())[0] == flow


async def test_a_stream_whose_messages_cannot_be_told_apart_is_answered_and_closed():
    async with gateway("TCP") as ours:
        async with await trio.open_tcp_stream(LOCAL, ours.port("TCP")) as peer:
            await peer.send_all(options().replace(b"Content-Length: 0", b"Content-Length: x"))
            message, flow = await ours.user.hears()
            assert isinstance(message, SipSyntaxError)

            ours.flows.send(flow, b"400")

            assert await peer.receive_some() == b"400"
            assert await peer.receive_some() == b""
        assert (await ours.user.is_told())[0] == flow


async def test_a_peer_that_does_not_read_is_cut_off():
    async with gateway("TCP") as ours:
        async with await trio.open_tcp_stream(LOCAL, ours.port("TCP")) as peer:
            await peer.send_all(options())
            _, flow = await ours.user.hears()

            while ours.flows.send(flow, bytes(65_536)):
                await trio.lowlevel.checkpoint()

            assert (await ours.user.is_told()) == (flow, "the peer does not read")


async def test_a_connection_can_be_ended_from_here():
    async with gateway("TCP") as ours:
        async with await trio.open_tcp_stream(LOCAL, ours.port("TCP")) as peer:
            await peer.send_all(options())
            _, flow = await ours.user.hears()

            ours.flows.close(flow, "enough")

            assert await ours.user.is_told() == (flow, "enough")
            assert await peer.receive_some() == b""


async def test_a_stranger_over_tcp_is_closed_at_his_first_line():
    async with gateway("TCP", user=User("198.51.100.0/24")) as ours:
        async with await trio.open_tcp_stream(LOCAL, ours.port("TCP")) as peer:
            await peer.send_all(b"OPTIONS sip:100@h SIP/2.0\r\n")

            line, _ = await ours.user.turned_away_ones.receive()

            assert line == b"OPTIONS sip:100@h SIP/2.0"
            assert await peer.receive_some() == b""


async def test_one_source_has_only_so_many_connections():
    limits = FlowLimits(connections=10, connections_per_source=1)
    async with gateway("TCP", limits=limits) as ours:
        async with await trio.open_tcp_stream(LOCAL, ours.port("TCP")) as first:
            await first.send_all(options())
            await ours.user.hears()

            async with await trio.open_tcp_stream(LOCAL, ours.port("TCP")) as second:
                assert await second.receive_some() == b""


async def test_who_closes_a_connection_may_have_another():
    limits = FlowLimits(connections=10, connections_per_source=1)
    async with gateway("TCP", limits=limits) as ours:
        async with await trio.open_tcp_stream(LOCAL, ours.port("TCP")):
            pass
        await ours.user.is_told()

        async with await trio.open_tcp_stream(LOCAL, ours.port("TCP")) as second:
            await second.send_all(options("second"))
            assert call_id((await ours.user.hears()).message) == "second"


async def test_a_dialled_connection_is_used_again():
    async with gateway("TCP") as theirs, gateway("TCP") as ours:
        flow = await ours.flows.reach(theirs.target("TCP"))
        ours.flows.send(flow, options("one"))
        ours.flows.send(await ours.flows.reach(theirs.target("TCP")), options("two"))

        one, two = await theirs.user.hears(), await theirs.user.hears()

        assert (call_id(one.message), call_id(two.message)) == ("one", "two")
        assert one.flow == two.flow


async def test_a_connection_is_there_at_once_when_it_is_dialled_and_comes_from_where_it_is_wanted():
    async with gateway("TCP") as ours:
        target = ours.target("TCP")
        before = ours.flows.reached_now(target)

        flow = await ours.flows.reach(target, Address("127.0.0.2", 5060))

        assert before is None
        assert flow.local.host == "127.0.0.2"
        assert ours.flows.reached_now(target) == flow


async def test_two_who_dial_at_once_share_a_connection():
    async with gateway("TCP") as theirs, gateway("TCP") as ours:
        reached = []

        async def reach() -> None:
            reached.append(await ours.flows.reach(theirs.target("TCP")))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(reach)
            nursery.start_soon(reach)

        assert reached[0] == reached[1]


async def test_who_gives_up_dialling_takes_nothing_from_the_other():
    async with gateway("TCP") as theirs, gateway("TCP") as ours:
        with trio.CancelScope() as impatient:
            impatient.cancel()
            await ours.flows.reach(theirs.target("TCP"))

        flow = await ours.flows.reach(theirs.target("TCP"))

        assert ours.flows.send(flow, options())
        await theirs.user.hears()


async def test_a_connection_that_came_is_used_for_requests_to_where_it_came_from():
    async with gateway("TCP") as theirs, gateway("TCP") as ours:
        dialled = await theirs.flows.reach(ours.target("TCP"))
        theirs.flows.send(dialled, options())
        _, came = await ours.user.hears()

        assert await ours.flows.reach(Target("TCP", dialled.local, "h")) == came


async def test_after_a_connection_broke_another_is_dialled():
    async with gateway("TCP") as theirs, gateway("TCP") as ours:
        first = await ours.flows.reach(theirs.target("TCP"))
        ours.flows.close(first, "broken")

        second = await ours.flows.reach(theirs.target("TCP"))

        assert second != first
        assert ours.flows.send(second, options())
        await theirs.user.hears()


async def test_where_nobody_listens_nobody_is_reached():
    listener = (await trio.open_tcp_listeners(0, host=LOCAL))[0]
    port = listener.socket.getsockname()[1]
    await listener.aclose()

    async with gateway("UDP") as ours:
        with pytest.raises(Unreachable, match="refused"):
            await ours.flows.reach(Target("TCP", Address(LOCAL, port), "h"))


async def test_more_connections_than_there_may_be_are_not_dialled():
    async with gateway("TCP") as theirs, gateway("UDP", limits=FlowLimits(connections=0)) as ours:
        with pytest.raises(Unreachable, match="too many"):
            await ours.flows.reach(theirs.target("TCP"))


async def test_at_the_end_connections_of_both_kinds_are_closed_without_a_word():
    async with gateway("TCP") as theirs:
        async with gateway("TCP") as ours:
            ours.flows.send(await ours.flows.reach(theirs.target("TCP")), options())
            await theirs.user.hears()

        assert (await theirs.user.is_told())[1] == "the peer closed it"
        assert ours.user.broken_ones.statistics().current_buffer_used == 0


# -- TLS


async def test_a_message_over_tls_is_heard_and_answered(certificates):
    async with (
        gateway("TLS", tls=certificates.server("localhost")) as theirs,
        gateway("UDP", client_tls=certificates.client()) as ours,
    ):
        flow = await ours.flows.reach(theirs.target("TLS"))
        ours.flows.send(flow, options("secret"))
        message, came = await theirs.user.hears()
        theirs.flows.send(came, options("answer"))

        assert call_id(message) == "secret"
        assert came.transport == "TLS"
        assert call_id((await ours.user.hears()).message) == "answer"


async def test_a_certificate_for_another_name_is_not_accepted(certificates):
    async with (
        gateway("TLS", tls=certificates.server("other.example")) as theirs,
        gateway("UDP", client_tls=certificates.client()) as ours,
    ):
        with pytest.raises(Unreachable, match="not for trunk"):
            await ours.flows.reach(theirs.target("TLS", "trunk.example"))


async def test_a_certificate_that_nobody_we_trust_signed_is_not_accepted(certificates, tmp_path):
    (tmp_path / "theirs").mkdir()
    stranger = Certificates(tmp_path / "theirs")
    async with (
        gateway("TLS", tls=stranger.server("localhost")) as theirs,
        gateway("UDP", client_tls=certificates.client()) as ours,
    ):
        with pytest.raises(Unreachable, match="not trusted"):
            await ours.flows.reach(theirs.target("TLS"))


async def test_a_peer_is_known_by_its_address_where_it_has_no_name(certificates):
    async with (
        gateway("TLS", tls=certificates.server("127.0.0.1")) as theirs,
        gateway("UDP", client_tls=certificates.client()) as ours,
    ):
        flow = await ours.flows.reach(theirs.target("TLS", "127.0.0.1"))

        assert ours.flows.identities(flow) == ("127.0.0.1",)


@pytest.mark.parametrize("wildcards", [True, False])
async def test_a_wildcard_is_accepted_where_that_was_allowed(certificates, wildcards):
    async with (
        gateway("TLS", tls=certificates.server("*.pstn.example.com")) as theirs,
        gateway("UDP", client_tls=certificates.client(), wildcards=wildcards) as ours,
    ):
        try:
            await ours.flows.reach(theirs.target("TLS", "acme.pstn.example.com"))
            reached = True
        except Unreachable:
            reached = False

    assert reached is wildcards


async def test_who_has_to_show_a_certificate_is_known_by_it(certificates):
    async with (
        gateway("TLS", tls=certificates.server("localhost", mutual=True)) as theirs,
        gateway("UDP", client_tls=certificates.client("trunk.example")) as ours,
    ):
        ours.flows.send(await ours.flows.reach(theirs.target("TLS")), options())
        _, flow = await theirs.user.hears()

        assert theirs.flows.identities(flow) == ("trunk.example",)


async def test_who_has_none_to_show_is_not_heard(certificates):
    async with (
        gateway("TLS", tls=certificates.server("localhost", mutual=True)) as theirs,
        gateway("UDP", client_tls=certificates.client()) as ours,
    ):
        flow = await ours.flows.reach(theirs.target("TLS"))  # TLS 1.3 tells the client only afterwards
        ours.flows.send(flow, options())

        assert (await ours.user.is_told())[0] == flow
        assert theirs.user.received_ones.statistics().current_buffer_used == 0


async def test_two_names_at_one_address_have_a_connection_each(certificates):
    async with (
        gateway("TLS", tls=certificates.server("a.example", "b.example")) as theirs,
        gateway("UDP", client_tls=certificates.client()) as ours,
    ):
        one = await ours.flows.reach(theirs.target("TLS", "a.example"))
        other = await ours.flows.reach(theirs.target("TLS", "b.example"))

        assert one != other
        assert await ours.flows.reach(theirs.target("TLS", "a.example")) == one


async def test_without_a_context_nobody_is_dialled_by_tls(certificates):
    async with gateway("TLS", tls=certificates.server("localhost")) as theirs, gateway("UDP") as ours:
        with pytest.raises(Unreachable, match="not set up"):
            await ours.flows.reach(theirs.target("TLS"))


async def test_tls_is_not_opened_without_a_certificate():
    with pytest.raises(ValueError, match="certificate"):
        async with open_flows(User(), [WayIn(transport="TLS", host=LOCAL, port=0)]):
            raise AssertionError("nothing to live in")


async def test_a_stranger_gets_no_handshake(certificates):
    async with gateway("TLS", tls=certificates.server("localhost"), user=User("198.51.100.0/24")) as theirs:
        async with await trio.open_tcp_stream(LOCAL, theirs.port("TLS")) as peer:
            line, flow = await theirs.user.turned_away_ones.receive()

            assert (line, flow.transport) == (b"", "TLS")
            assert await peer.receive_some() == b""


async def test_who_speaks_no_tls_there_is_closed(certificates):
    async with gateway("TLS", tls=certificates.server("localhost")) as theirs:
        async with await trio.open_tcp_stream(LOCAL, theirs.port("TLS")) as peer:
            await peer.send_all(options())

            answer = await peer.receive_some()
            while answer:  # an alert, then the end
                answer = await peer.receive_some()

        assert theirs.user.received_ones.statistics().current_buffer_used == 0
