"""What can be set of SIP: the section `sip`, and a table `trunks.NAME` for each trunk."""

from ipaddress import ip_network
from typing import Annotated, Final, Literal

import msgspec

from gateway.carriers.sip.setting_texts import (
    Listen,
    Network,
    PortRange,
    read_address,
    read_caller_id,
    read_header,
    read_ip_address,
    read_network,
    read_user,
)
from gateway.config.shape import Written
from gateway.wire.sdp.agreement import SrtpPolicy
from gateway.wire.sip.uri import SipUri

__all__ = ["LOCAL_NETWORKS", "SipSettings", "TrunkName", "TrunkSettings"]

LOCAL_NETWORKS: Final[tuple[Network, ...]] = tuple(
    ip_network(text)
    for text in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16"),
        *("fc00::/7", "::1/128", "fe80::/10"),
    )
)
"""Who is on our side of a NAT, and reaches us without `external_host`. RFC 1918, RFC 4193."""

Address = Annotated[SipUri, Written(read_address)]

# Each is a part of variables' names too, where `__` parts, and all is in capitals.
TrunkName = Annotated[
    str,
    msgspec.Meta(
        pattern="^[a-z][a-z0-9]*(_[a-z0-9]+)*$",
        description="a trunk's name of small letters, digits and single _, as my_carrier",
    ),
]


class SipSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`listen`: the ways in; none: there is no SIP. `external_host`: how the world reaches us, behind a NAT.

    `rtp_ports`: of calls. `certificate`, `key`: PEM files, for TLS. `ca`: a PEM file of those who sign the
    certificates of whom we dial; empty: whom the system trusts.
    """

    listen: tuple[Annotated[Listen, Written(Listen.parse)], ...] = ()
    external_host: Annotated[str, Written(read_ip_address)] = ""
    rtp_ports: Annotated[PortRange, Written(PortRange.parse)] = PortRange(10_000, 20_000)
    certificate: str = ""
    key: str = ""
    ca: str = ""


class TrunkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`address`: where calls go; None: none go out. `networks`: who may call. `auth`: what else a caller needs.

    `user`: our name there, and the callers' name here. `realm`: the only one that is told our password; empty: any.
    `register`: at `registrar`, or else `address`, so that calls come here. `caller_id`: who calls, unless a call says
    otherwise. `codecs`: the preferred one first. `headers`: those that pass, both ways. `calls`: at a time.
    `calls_per_s`: that begin within any second. `transfers`: whether they may have us call elsewhere (REFER).
    `ping_s`: between OPTIONS to `address`; 0: none.
    """

    address: Address | None = None
    networks: tuple[Annotated[Network, Written(read_network)], ...] = ()
    auth: Literal["network", "digest"] = "network"
    user: Annotated[str, Written(read_user)] = ""
    realm: Annotated[str, Written(read_user)] = ""
    register: bool = False
    registrar: Address | None = None
    caller_id: Annotated[str, Written(read_caller_id)] = ""
    codecs: Annotated[tuple[Literal["pcmu", "pcma"], ...], msgspec.Meta(min_length=1)] = ("pcmu", "pcma")
    srtp: SrtpPolicy = SrtpPolicy.OFF
    headers: tuple[Annotated[str, Written(read_header)], ...] = ()
    calls: Annotated[int, msgspec.Meta(ge=1)] = 100
    calls_per_s: Annotated[int, msgspec.Meta(ge=1)] = 10
    transfers: bool = False
    ping_s: Annotated[float, msgspec.Meta(ge=0)] = 25.0  # a NAT forgets a UDP flow after 30 s
