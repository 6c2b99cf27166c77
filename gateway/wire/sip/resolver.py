"""Where a SIP URI is, by the DNS: questions out, records in, places to try out, in order. RFC 3263, RFC 2782. A core.

    plan = plan_targets(uri, rng)
    questions = next(plan)                     # each of them to be asked, all at once
    questions = plan.send({question: records}) # until StopIteration, whose value are the targets

Nothing is kept for the next plan: what may be kept for how long, whoever asks the DNS knows.
"""

from collections.abc import Generator, Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from gateway.wire.sip.flow import DEFAULT_PORTS, Address, Transport
from gateway.wire.sip.uri import SipUri

if TYPE_CHECKING:
    from random import Random

__all__ = [
    "Answers",
    "Family",
    "Naptr",
    "Plan",
    "Question",
    "Record",
    "Srv",
    "Target",
    "in_order",
    "plan_targets",
]

Family = Literal["A", "AAAA"]

# A record says how many others there are; a hostile zone must not make us ask for ever. Twilio has 4 hosts a region.
_MOST_RECORDS: Final = 64
_MOST_HOSTS: Final = 16
_MOST_ADDRESSES: Final = 4  # of one host
_MOST_TARGETS: Final = 24

# RFC 3263 §4.1. SCTP and WebSockets have others.
_SERVICES: Final[Mapping[str, Transport]] = {"SIPS+D2T": "TLS", "SIP+D2T": "TCP", "SIP+D2U": "UDP"}
_SRV_PREFIXES: Final[Mapping[Transport, str]] = {"TLS": "_sips._tcp", "TCP": "_sip._tcp", "UDP": "_sip._udp"}
_NOT_HERE: Final = ""  # RFC 2782: a target of "." says that there is no such service


class Question(NamedTuple):
    name: str
    type: Literal["NAPTR", "SRV", "A", "AAAA"]


class Naptr(NamedTuple):
    """RFC 3403, as far as SIP uses it."""

    order: int
    preference: int
    flags: str
    service: str
    replacement: str


class Srv(NamedTuple):
    """RFC 2782."""

    priority: int
    weight: int
    port: int
    target: str


Record = Naptr | Srv | str
"""An address is its text."""

Answers = Mapping[Question, Sequence[Record]]
"""A question without records, or that nobody answered, may be missing."""


class Target(NamedTuple):
    """Where to send. `name`: what a TLS certificate has to be for: the URI's host, not what the DNS made of it."""

    transport: Transport
    address: Address
    name: str


Plan = Generator[tuple[Question, ...], Answers, tuple[Target, ...]]


class _Host(NamedTuple):
    transport: Transport
    name: str
    port: int


class _Service(NamedTuple):
    transport: Transport
    srv_name: str


def plan_targets(
    uri: SipUri,
    rng: "Random",
    *,
    transports: Sequence[Transport] = ("UDP", "TCP", "TLS"),
    families: Sequence[Family] = ("A",),
) -> Plan:
    """Find where requests to `uri` go. Its value is empty where there is nothing, or nothing that we can reach.

    `rng` shares load by the weights of SRV records. `transports` and `families`: what we have, best first. A `sips`
    URI is found by TLS alone.
    """
    name = (uri.parameter("maddr") or uri.host).rstrip(".").lower()
    said = uri.parameter("transport")
    allowed = _allowed(uri, said, transports)
    if not allowed:
        return ()
    if _is_address(name) or uri.port is not None:
        hosts = [_Host(allowed[0], name, uri.port or DEFAULT_PORTS[allowed[0]])]
    else:
        services: list[_Service] = []
        if said is None:
            answers = yield (Question(name, "NAPTR"),)
            services = _by_naptr(answers.get(Question(name, "NAPTR"), ()), allowed)
        if not services:
            services = [
                _Service(each, f"{_SRV_PREFIXES[each]}.{name}")
                for each in allowed
                if _is_asked_for(each, uri, said)
            ]
        answers = yield tuple(Question(service.srv_name, "SRV") for service in services)
        hosts = _by_srv(answers, services, name, rng)
    return (yield from _with_addresses(hosts, uri.host, families))


def in_order(records: Iterable[Srv], rng: "Random") -> list[Srv]:
    """By priority, and within one by chance, as often first as the weights say. RFC 2782."""
    ordered: list[Srv] = []
    by_priority: dict[int, list[Srv]] = {}
    for record in records:
        by_priority.setdefault(record.priority, []).append(record)
    for _, left in sorted(by_priority.items()):
        left.sort(key=lambda record: record.weight > 0)  # those of weight 0 have a small chance so
        while left:
            drawn = rng.randint(0, sum(record.weight for record in left))
            for record in left:
                drawn -= record.weight
                if drawn <= 0:
                    break
            left.remove(record)
            ordered.append(record)
    return ordered


def _allowed(uri: SipUri, said: str | None, transports: Sequence[Transport]) -> list[Transport]:
    """What the URI leaves us. RFC 3263 §4.1; `sips` with `transport=tcp` is TLS over TCP."""
    if said is None:
        return [each for each in transports if each == "TLS" or not uri.secure]
    tcp: Transport = "TLS" if uri.secure else "TCP"
    named: dict[str, Transport] = {"udp": "UDP", "tcp": tcp, "tls": "TLS"}
    transport = named.get(said.lower())
    if transport is None or transport not in transports or (uri.secure and transport == "UDP"):
        return []
    return [transport]


def _is_asked_for(transport: Transport, uri: SipUri, said: str | None) -> bool:
    """Without NAPTR a `sip` URI is looked for by `_sip` alone, unless it says TLS. RFC 3263 §4.1."""
    return transport != "TLS" or uri.secure or said is not None


def _by_naptr(records: Iterable[Record], allowed: Sequence[Transport]) -> list[_Service]:
    """Of the first order that has something for us, by preference."""
    found = sorted(
        (record.order, record.preference, _SERVICES[record.service.upper()], record.replacement)
        for record in records
        if isinstance(record, Naptr) and record.flags.lower() == "s" and record.service.upper() in _SERVICES
    )
    usable = [each for each in found if each[2] in allowed and each[3].rstrip(".")]
    return [
        _Service(transport, replacement.rstrip(".").lower())
        for order, _, transport, replacement in usable
        if order == usable[0][0]
    ]


def _by_srv(answers: Answers, services: Sequence[_Service], name: str, rng: "Random") -> list[_Host]:
    """The hosts of every service; the name itself if nobody has an SRV record. RFC 3263 §4.2."""
    hosts: list[_Host] = []
    is_known = False
    for service in services:
        records = [
            record for record in answers.get(Question(service.srv_name, "SRV"), ()) if isinstance(record, Srv)
        ]
        is_known |= bool(records)
        for record in in_order(records[:_MOST_RECORDS], rng):
            target = record.target.rstrip(".").lower()
            if target != _NOT_HERE and record.port:
                hosts.append(_Host(service.transport, target, record.port))
    if is_known or not services:
        return hosts[:_MOST_HOSTS]
    transport = services[0].transport
    return [_Host(transport, name, DEFAULT_PORTS[transport])]


def _with_addresses(hosts: Sequence[_Host], name: str, families: Sequence[Family]) -> Plan:
    """The plan's last step: each host's addresses, in the order of hosts, families, and the DNS."""
    names = dict.fromkeys(host.name for host in hosts if not _is_address(host.name))
    questions = tuple(Question(each, family) for each in names for family in families)
    answers = (yield questions) if questions else {}
    targets: list[Target] = []
    for host in hosts:
        if _is_address(host.name):
            addresses = [host.name]
        else:
            found = [
                record
                for family in families
                for record in answers.get(Question(host.name, family), ())
                if isinstance(record, str) and _is_address(record)
            ]
            addresses = found[:_MOST_ADDRESSES]
        targets += [Target(host.transport, Address(each, host.port), name) for each in addresses]
    return tuple(dict.fromkeys(targets))[:_MOST_TARGETS]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
