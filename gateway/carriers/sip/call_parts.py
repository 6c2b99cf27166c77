"""What a call of SIP is made of: a leg with ports of its own, what we are called in it, what we offer."""

import os
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from gateway.carriers.sip.leg import SipLeg
from gateway.carriers.sip.media_ports import MediaPorts
from gateway.carriers.sip.trunks import Trunk
from gateway.wire.sdp.agreement import OurMedia
from gateway.wire.sdp.description import encode
from gateway.wire.sdp.offer_answer import OfferAnswer
from gateway.wire.sip.endpoint import Endpoint, Rows
from gateway.wire.sip.flow import Flow
from gateway.wire.sip.name_addr import NameAddr
from gateway.wire.sip.routing import Addresses
from gateway.wire.sip.session import Session
from gateway.wire.sip.uri import SipUri

if TYPE_CHECKING:
    from random import Random

__all__ = ["CallParts"]

_SESSION_ID_BITS: Final = 62


class CallParts:
    """`media_at`: the ports at an address of ours. `destinations`: of the dialplan, by name: a number or a SIP URI.

    `flow`: how the far end is reached, or reached us.
    """

    def __init__(
        self,
        addresses: Addresses,
        media_at: Callable[[str], MediaPorts],
        destinations: Mapping[str, str],
        rng: "Random",
    ) -> None:
        self._addresses = addresses
        self._media_at = media_at
        self._destinations = destinations
        self._rng = rng

    def leg(self, trunk: Trunk, flow: Flow, carry: Callable[[SipLeg], None]) -> SipLeg:
        """Raises `NoPorts`."""

        def target_of(destination: str) -> SipUri | None:
            number = self._destinations.get(destination)
            return trunk.refer_target(number, flow.remote.host) if number is not None else None

        return SipLeg(self._media_at(flow.local.host), carry=carry, target_of=target_of)

    def offers(self, trunk: Trunk, flow: Flow, leg: SipLeg) -> OfferAnswer:
        ours = OurMedia(
            address=self._addresses.advertised(flow).host,
            port=leg.rtp_port,
            codecs=trunk.settings.codecs,
            srtp=trunk.settings.srtp,
            near=ip_address(flow.remote.host).is_loopback,
        )
        return OfferAnswer(ours, session_id=self._rng.getrandbits(_SESSION_ID_BITS), new_key=os.urandom)

    def called(self, flow: Flow, user: str | None) -> Endpoint:
        """For a call that came. Nobody who calls us gets our credentials."""
        return Endpoint(contact=self._addresses.contact(flow, user), rng=self._rng)

    def session_to(
        self, target: SipUri, trunk: Trunk, flow: Flow, offers: OfferAnswer, now: float, *, rows: Rows = ()
    ) -> Session:
        """A session that calls `target` by `trunk`, and begins with an offer. `rows`: more headers of its INVITE."""
        contact = self._addresses.contact(flow, trunk.account)
        if trunk.registration is not None and trunk.registration.is_registered:
            contact = trunk.registration.contact

        def trusts(host: str) -> bool:
            return host == flow.remote.host or trunk.has(host)

        endpoint = Endpoint(contact=contact, rng=self._rng, credentials=trunk.credentials, trusts=trusts)
        return Session.inviting(
            target,
            endpoint,
            now,
            local=trunk.identity,
            # RFC 3261 §19.1.1, table 1: of an address, To has neither a port nor a transport.
            remote=NameAddr(SipUri(user=target.user, host=target.host, secure=target.secure)),
            description=encode(offers.offer()),
            rows=rows,
        )
