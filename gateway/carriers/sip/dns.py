"""Asks the DNS what a plan of `gateway.wire.sip.resolver` wants to know."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final

import dns.asyncresolver
import dns.exception
import dns.rdtypes.IN.A
import dns.rdtypes.IN.AAAA
import dns.rdtypes.IN.NAPTR
import dns.rdtypes.IN.SRV
import dns.resolver
import trio

from gateway.wire.sip.flow import Transport
from gateway.wire.sip.resolver import Answers, Family, Naptr, Question, Record, Srv, Target, plan_targets
from gateway.wire.sip.uri import SipUri

if TYPE_CHECKING:
    from random import Random

__all__ = ["Dns", "read_hosts", "system_dns"]

# A caller waits meanwhile: two tries of 2 s, or two servers. Who has an old answer waits less for a new one, and uses
# the old one if there is none (RFC 8767): while the DNS is down, trunks stay where they were.
_LIFETIME_S: Final = 4.0
_STALE_LIFETIME_S: Final = 1.0
_MOST_CACHED: Final = 1000
_HOSTS_FILE: Final = Path("/etc/hosts")


class Dns:
    """`resolver`: whom to ask; it keeps answers as long as the DNS allows. `hosts`: names that are known without it.

    `transports` and `families`: what we can send with, best first.
    """

    def __init__(
        self,
        resolver: dns.asyncresolver.Resolver,
        rng: "Random",
        *,
        hosts: Mapping[str, Sequence[str]] | None = None,
        transports: Sequence[Transport] = ("UDP", "TCP", "TLS"),
        families: Sequence[Family] = ("A",),
    ) -> None:
        self._resolver = resolver
        self._rng = rng
        self._hosts = hosts or {}
        self._transports = transports
        self._families = families
        self._last: OrderedDict[Question, Sequence[Record]] = OrderedDict()

    async def targets(self, uri: SipUri) -> tuple[Target, ...]:
        """Where requests to `uri` go, in the order to try; empty where nothing is known. At most 12 s; raises nothing."""
        plan = plan_targets(uri, self._rng, transports=self._transports, families=self._families)
        try:
            questions = next(plan)
            while True:
                questions = plan.send(await self._ask_all(questions))
        except StopIteration as found:
            targets: tuple[Target, ...] = found.value
            return targets

    async def _ask_all(self, questions: Iterable[Question]) -> Answers:
        answers: dict[Question, Sequence[Record]] = {}

        async def ask(question: Question) -> None:
            answers[question] = await self._ask(question)

        async with trio.open_nursery() as nursery:
            for question in questions:
                nursery.start_soon(ask, question)
        return answers

    async def _ask(self, question: Question) -> Sequence[Record]:
        known = self._hosts.get(question.name)
        if known is not None and question.type in {"A", "AAAA"}:
            return [address for address in known if (":" in address) == (question.type == "AAAA")]
        last = self._last.get(question)
        try:
            answer = await self._resolver.resolve(
                question.name,
                question.type,
                lifetime=_LIFETIME_S if last is None else _STALE_LIFETIME_S,
                search="." not in question.name,  # a container's or a pod's short name
            )
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return ()
        except dns.exception.DNSException:  # nobody answers; or nobody could, by such a name
            return last or ()
        records = [record for rdata in answer if (record := _record(rdata)) is not None]
        self._last[question] = records
        self._last.move_to_end(question)
        if len(self._last) > _MOST_CACHED:
            self._last.popitem(last=False)
        return records


def system_dns(
    rng: "Random",
    *,
    transports: Sequence[Transport] = ("UDP", "TCP", "TLS"),
    families: Sequence[Family] = ("A",),
) -> Dns:
    """As this machine is set up. Reads its files once, at start; where none names a server there is no DNS."""
    resolver = dns.asyncresolver.Resolver(configure=False)
    try:
        resolver.read_resolv_conf("/etc/resolv.conf")
    except (OSError, dns.resolver.NoResolverConfiguration):
        resolver.nameservers = []
    resolver.cache = dns.resolver.LRUCache(_MOST_CACHED)
    try:
        hosts = read_hosts(_HOSTS_FILE.read_text())
    except OSError:
        hosts = {}
    return Dns(resolver, rng, hosts=hosts, transports=transports, families=families)


def read_hosts(text: str) -> dict[str, tuple[str, ...]]:
    """The addresses of each name in a hosts(5) file; what is malformed is left out."""
    hosts: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        try:
            written = str(ip_address(address))
        except ValueError:
            continue
        for name in names:
            hosts[name.lower()] = (*hosts.get(name.lower(), ()), written)
    return hosts


def _record(rdata: object) -> Record | None:
    match rdata:
        case dns.rdtypes.IN.A.A() | dns.rdtypes.IN.AAAA.AAAA():
            return str(rdata.address)
        case dns.rdtypes.IN.SRV.SRV():
            return Srv(rdata.priority, rdata.weight, rdata.port, rdata.target.to_text())
        case dns.rdtypes.IN.NAPTR.NAPTR():
            flags, service = rdata.flags.decode("latin-1"), rdata.service.decode("latin-1")
            return Naptr(rdata.order, rdata.preference, flags, service, rdata.replacement.to_text())
    return None
