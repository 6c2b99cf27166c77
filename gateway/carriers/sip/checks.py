"""What SIP's settings say together: what cannot work, and what works but should be known."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from ipaddress import ip_address
from itertools import combinations

from gateway.carriers.sip.setting_texts import Listen, transport_of
from gateway.carriers.sip.settings import SipSettings, TrunkSettings
from gateway.wire.sdp.agreement import SrtpPolicy

__all__ = ["flaws_of", "password_variable", "warnings_of"]


def password_variable(trunk: str) -> str:
    """The environment variable that a trunk's password comes from."""
    return f"TRUNK_{trunk.upper()}_PASSWORD"


def flaws_of(
    sip: SipSettings, trunks: Mapping[str, TrunkSettings], with_password: Collection[str]
) -> list[str]:
    """A line for each thing that cannot work: the key, its value, what would be right.

    `with_password`: the trunks whose password is known.
    """
    flaws = [*_ways_in(sip), *_used(sip, trunks)]
    for name, trunk in trunks.items():
        flaws += [
            f"trunks.{name}.{flaw}"
            for flaw in (
                *_callers(trunk),
                *_account(name, trunk, has_password=name in with_password),
                *_ways_out(sip, trunk),
                *_values(trunk),
            )
        ]
    return [*flaws, *_accounts_of_two(trunks)]


def warnings_of(sip: SipSettings, trunks: Mapping[str, TrunkSettings], *, most_calls: int) -> list[str]:
    """A line for each thing that works, but perhaps not as it was meant. `most_calls`: of all trunks at a time."""
    lines = []
    if sip.listen and sip.rtp_ports.last and sip.rtp_ports.pairs < most_calls:
        lines.append(
            f'sip.rtp_ports = "{sip.rtp_ports}": {sip.rtp_ports.pairs} calls at a time have ports, '
            f"though calls.max_active = {most_calls}"
        )
    for name, trunk in trunks.items():
        if trunk.srtp is SrtpPolicy.OFF:
            continue
        if trunk.address is not None and transport_of(trunk.address) != "TLS":
            lines.append(_in_the_clear(name, trunk, f"trunks.{name}.address has no transport=tls"))
        elif trunk.networks and all(each.transport != "TLS" for each in sip.listen):
            lines.append(_in_the_clear(name, trunk, "sip.listen has no tls"))
    return lines


def _in_the_clear(name: str, trunk: TrunkSettings, why: str) -> str:
    return f'trunks.{name}.srtp = "{trunk.srtp}": the keys travel in the clear, since {why}'


# -- the section sip ------------------------------------------------------------------------------------


def _ways_in(sip: SipSettings) -> Iterator[str]:
    for one, other in combinations(sip.listen, 2):
        if _clash(one, other):
            yield f'sip.listen: "{one}" and "{other}" are the same port; expected each once'
    for each in sip.listen:
        if each.transport == "UDP" and each.port in sip.rtp_ports.ports:
            yield f'sip.listen: "{each}" is one of sip.rtp_ports = "{sip.rtp_ports}"; expected a port outside of them'
    outside = sip.external_host
    if sip.listen and outside and all((":" in each.host) != (":" in outside) for each in sip.listen):
        version, way = ("IPv6", "udp:[::]:5060") if ":" in outside else ("IPv4", "udp:0.0.0.0:5060")
        yield f'sip.external_host = "{outside}": nobody comes in by {version}; add it to sip.listen, as "{way}"'
    if bool(sip.certificate) != bool(sip.key):
        missing = "sip.key" if sip.certificate else "sip.certificate"
        yield f"{missing} is missing: TLS needs sip.certificate and sip.key"
    elif not sip.certificate and any(each.transport == "TLS" for each in sip.listen):
        yield "sip.certificate is missing: tls in sip.listen needs sip.certificate and sip.key"


def _clash(one: Listen, other: Listen) -> bool:
    """Whether only one of them can be opened. TCP and TLS are the same there."""
    same_kind = (one.transport == "UDP") == (other.transport == "UDP")
    hosts = (ip_address(one.host), ip_address(other.host))
    same_host = hosts[0] == hosts[1] or any(each.is_unspecified for each in hosts)
    return (
        same_kind
        and same_host
        and hosts[0].version == hosts[1].version
        and one.port == other.port
        and one.port > 0
    )


def _used(sip: SipSettings, trunks: Mapping[str, TrunkSettings]) -> Iterator[str]:
    if trunks and not sip.listen:
        yield f'sip.listen is missing: trunks.{next(iter(trunks))} needs a way in; set it, as ["udp:0.0.0.0:5060"]'
    if sip.listen and not trunks:
        shown = ", ".join(f'"{each}"' for each in sip.listen)
        yield f"sip.listen = [{shown}]: there is no trunk, so nobody may call; add a table [trunks.NAME]"


# -- one trunk ------------------------------------------------------------------------------------------


def _callers(trunk: TrunkSettings) -> Iterator[str]:
    if trunk.auth == "network":
        for network in trunk.networks:
            if network.prefixlen == 0:
                yield (
                    f'networks = "{network}": everybody could call, without a password; '
                    'name the networks of the carrier, or set auth = "digest"'
                )
    elif not trunk.networks and not trunk.register:
        yield 'networks is missing: with auth = "digest" it says who may try a password; 0.0.0.0/0 for everybody'
    if not trunk.networks and trunk.address is None and not trunk.register:
        yield "networks is missing, and so is address: nobody may call by this trunk, or be called"


def _account(name: str, trunk: TrunkSettings, *, has_password: bool) -> Iterator[str]:
    needs = 'auth = "digest"' if trunk.auth == "digest" else "register = true" if trunk.register else ""
    variable = password_variable(name)
    if not trunk.user:
        if needs:
            yield f"user is missing: {needs} needs it, and the password in the variable {variable}"
        elif has_password:
            yield f"user is missing, though {variable} is set: a password belongs to a user"
        elif trunk.realm:
            yield f'realm = "{trunk.realm}": expected a user, whose password is for that realm'
    elif not has_password:
        needs = needs or f'user = "{trunk.user}"'
        yield f"{needs}: {variable} is not set; set it, or {variable}_FILE to a file that has the password"


def _ways_out(sip: SipSettings, trunk: TrunkSettings) -> Iterator[str]:
    if trunk.register and trunk.address is None and trunk.registrar is None:
        yield "register = true: expected address, or registrar where it is another"
    if trunk.registrar is not None and not trunk.register:
        yield f'registrar = "{trunk.registrar}": expected register = true beside it'
    has_udp = any(each.transport == "UDP" for each in sip.listen)
    for key, address in (("address", trunk.address), ("registrar", trunk.registrar)):
        if address is not None and transport_of(address) == "UDP" and sip.listen and not has_udp:
            yield f'{key} = "{address}": sip.listen has no udp; add it, as "udp:0.0.0.0:5060"'


def _values(trunk: TrunkSettings) -> Iterator[str]:
    if len(set(trunk.codecs)) < len(trunk.codecs):
        yield f"codecs = {_list(trunk.codecs)}: expected each once"
    if 0 < trunk.ping_s < 5:
        yield f"ping_s = {trunk.ping_s:g}: expected at least 5, or 0 for none"


def _accounts_of_two(trunks: Mapping[str, TrunkSettings]) -> Iterator[str]:
    """A caller's name has to tell which trunk he means."""
    by_user: dict[str, str] = {}
    for name, trunk in trunks.items():
        if trunk.auth != "digest" or not trunk.user:
            continue
        if trunk.user in by_user:
            yield f'trunks.{name}.user = "{trunk.user}": trunks.{by_user[trunk.user]} has callers of that name already'
        by_user.setdefault(trunk.user, name)


def _list(texts: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{text}"' for text in texts) + "]"
