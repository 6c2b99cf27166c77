"""RFC 3263 by dnspython, against a DNS server of our own on loopback."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import trio

from gateway.carriers.sip.dns import Dns, read_hosts, system_dns
from gateway.wire.sip.resolver import Target
from gateway.wire.sip.uri import SipUri

LOCAL = "127.0.0.1"

ZONE = """
trunk.example.             60 NAPTR 10 10 "s" "SIPS+D2T" "" _sips._tcp.trunk.example.
trunk.example.             60 NAPTR 10 20 "s" "SIP+D2U" "" _sip._udp.trunk.example.
_sips._tcp.trunk.example.  60 SRV 1 1 5061 one.trunk.example.
_sip._udp.trunk.example.   60 SRV 2 1 5060 two.trunk.example.
_sip._udp.trunk.example.   60 SRV 1 1 5060 one.trunk.example.
one.trunk.example.         60 A 192.0.2.1
two.trunk.example.         60 A 192.0.2.2
two.trunk.example.         60 AAAA 2001:db8::2
alias.example.             60 CNAME two.trunk.example.
short.example.             0 A 192.0.2.5
"""


class Server:
    """Answers by a zone. `asked`: how often for what. `down`: it says SERVFAIL; `silent`: nothing."""

    def __init__(self, zone: str = ZONE) -> None:
        self.asked: Counter[str] = Counter()
        self.down = False
        self.silent = False
        self.truncates = False
        self._rows = [line.split(maxsplit=3) for line in zone.strip().splitlines()]

    def answer(self, query: bytes, *, over_udp: bool = True) -> bytes | None:
        asked = dns.message.from_wire(query)
        (question,) = asked.question
        name, kind = question.name.to_text().lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked[f"{kind} {name}"] += 1
        if self.silent:
            return None
        answer = dns.message.make_response(asked)
        if self.down:
            answer.set_rcode(dns.rcode.SERVFAIL)
            return answer.to_wire()
        if over_udp and self.truncates:
            answer.flags |= dns.flags.TC
            return answer.to_wire()
        if name not in {row[0] for row in self._rows}:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        for alias in self._records(name, "CNAME"):
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", alias))
            name = alias
        if records := self._records(name, kind):
            answer.answer.append(dns.rrset.from_text(name, self._ttl(name), "IN", kind, *records))
        return answer.to_wire()

    def _records(self, name: str, kind: str) -> list[str]:
        return [row[3] for row in self._rows if row[0] == name and row[2] == kind]

    def _ttl(self, name: str) -> int:
        return next(int(row[1]) for row in self._rows if row[0] == name)

    async def serve_udp(self, udp: trio.socket.SocketType) -> None:
        while True:
            query, sender = await udp.recvfrom(4096)
            answer = self.answer(query)
            if answer is not None:
                await udp.sendto(answer, sender)

    async def serve_tcp(self, stream: trio.SocketStream) -> None:
        query = await stream.receive_some(4096)
        answer = self.answer(query[2:], over_udp=False)
        assert answer is not None
        await stream.send_all(len(answer).to_bytes(2, "big") + answer)


@asynccontextmanager
async def dns_of(server: Server, **having) -> AsyncIterator[Dns]:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [LOCAL]
    resolver.cache = dns.resolver.LRUCache(100)
    with trio.fail_after(15), trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as udp:
        await udp.bind((LOCAL, 0))
        resolver.port = udp.getsockname()[1]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve_udp, udp)
            listeners = await trio.open_tcp_listeners(resolver.port, host=LOCAL)
            nursery.start_soon(trio.serve_listeners, server.serve_tcp, listeners)
            yield Dns(resolver, Random(1), **having)
            nursery.cancel_scope.cancel()


async def places(dns: Dns, uri: str) -> list[str]:
    return [_place(target) for target in await dns.targets(SipUri.parse(uri))]


def _place(target: Target) -> str:
    return f"{target.transport} {target.address.host} {target.address.port}"


async def test_a_trunk_is_found_by_naptr_srv_and_address():
    async with dns_of(Server()) as dns:
        found = await places(dns, "sip:trunk.example")

    assert found == ["TLS 192.0.2.1 5061", "UDP 192.0.2.1 5060", "UDP 192.0.2.2 5060"]


async def test_both_families_are_asked_for_where_we_have_both():
    async with dns_of(Server(), families=("AAAA", "A")) as dns:
        found = await places(dns, "sip:two.trunk.example:5060")

    assert found == ["UDP 2001:db8::2 5060", "UDP 192.0.2.2 5060"]


async def test_an_alias_leads_to_its_name():
    async with dns_of(Server()) as dns:
        assert await places(dns, "sip:alias.example:5070") == ["UDP 192.0.2.2 5070"]


async def test_a_name_that_nobody_knows_has_no_targets():
    async with dns_of(Server()) as dns:
        assert await places(dns, "sip:nobody.example") == []


async def test_an_answer_that_is_too_long_for_udp_is_had_by_tcp():
    server = Server()
    server.truncates = True
    async with dns_of(server) as dns:
        assert await places(dns, "sip:one.trunk.example:5060") == ["UDP 192.0.2.1 5060"]


async def test_an_answer_is_kept_as_long_as_it_holds():
    server = Server()
    async with dns_of(server) as dns:
        for _ in range(3):
            await places(dns, "sip:one.trunk.example:5060")
            await places(dns, "sip:short.example:5060")

    assert server.asked["A one.trunk.example."] == 1
    assert server.asked["A short.example."] == 3


async def test_while_the_dns_is_down_the_last_answer_holds_on():
    server = Server()
    async with dns_of(server) as dns:
        before = await places(dns, "sip:short.example:5060")
        server.down = True

        assert await places(dns, "sip:short.example:5060") == before


async def test_a_server_that_says_nothing_costs_a_second_where_there_is_an_old_answer():
    server = Server()
    async with dns_of(server) as dns:
        before = await places(dns, "sip:short.example:5060")
        server.silent = True

        with trio.fail_after(2):
            assert await places(dns, "sip:short.example:5060") == before


async def test_while_the_dns_is_down_a_new_name_has_no_targets():
    server = Server()
    server.down = True
    async with dns_of(server) as dns:
        assert await places(dns, "sip:trunk.example:5060") == []


async def test_a_name_that_this_machine_knows_is_not_asked_for():
    server = Server()
    hosts = {"pbx": ("192.0.2.9", "2001:db8::9")}
    async with dns_of(server, hosts=hosts) as dns:
        assert await places(dns, "sip:pbx:5060") == ["UDP 192.0.2.9 5060"]

    assert server.asked == Counter()


async def test_a_name_that_no_dns_could_hold_has_no_targets():
    async with dns_of(Server()) as dns:
        assert await places(dns, f"sip:{'x' * 64}.example:5060") == []


def test_a_hosts_file_gives_names_their_addresses():
    text = (
        "# mine\n127.0.0.1 localhost vm # not this\n::1 localhost\nnonsense here\n\n192.0.2.1\tPBX.example\n"
    )

    assert read_hosts(text) == {
        "localhost": ("127.0.0.1", "::1"),
        "vm": ("127.0.0.1",),
        "pbx.example": ("192.0.2.1",),
    }


async def test_this_machine_knows_itself():
    assert await places(system_dns(Random(1)), "sip:localhost:5060") == ["UDP 127.0.0.1 5060"]
