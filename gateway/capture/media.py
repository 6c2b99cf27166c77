"""Whose media a datagram is: by the addresses that the calls of a capture agreed on."""

from collections.abc import Collection
from typing import Final, Generic, NamedTuple, TypeVar

from gateway.capture.agreements import Agreement
from gateway.capture.links import Packet
from gateway.media.latch import Address

__all__ = ["MediaRouter", "Way"]

T = TypeVar("T")

# Calls at once on one address, which nobody does; a capture that claims more shall not take all day.
_MOST_SHARING: Final = 8


class Way(NamedTuple):
    """`by_us`: our side sent it. `rtcp`: it came on the port of RTCP."""

    by_us: bool
    rtcp: bool


class _Ends(NamedTuple):
    """Where each side of a call receives, and whether that is for RTCP."""

    ours: dict[Address, bool]
    theirs: dict[Address, bool]

    def way(self, packet: Packet) -> tuple[int, Way] | None:
        """Which way it goes, and how sure that is. Both ends known is surer than one."""
        source, destination = packet.source, packet.destination
        if destination in self.ours:
            return 1 + (source in self.theirs), Way(by_us=False, rtcp=self.ours[destination])
        if destination in self.theirs:
            return 1 + (source in self.ours), Way(by_us=True, rtcp=self.theirs[destination])
        if source in self.ours:  # to somebody behind a NAT, whose address no SDP has
            return 1, Way(by_us=True, rtcp=self.ours[source])
        return None


class MediaRouter(Generic[T]):
    """Knows the calls that are on. Two at once may share an address; then both ends decide, else the later call.

    A capture is made on one side of a NAT, and an SDP may have the address of the other: so the hosts of the signalling
    count for the media too.
    """

    def __init__(self) -> None:
        self._ends: dict[T, _Ends] = {}
        self._at: dict[Address, list[T]] = {}

    def agree(
        self, call: T, agreement: Agreement, our_hosts: Collection[str], their_hosts: Collection[str]
    ) -> None:
        """What a call receives where from now on; packets on their way to where it received before are still its."""
        ends = self._ends.setdefault(call, _Ends({}, {}))
        for known, found, hosts in (
            (ends.ours, agreement.ours, our_hosts),
            (ends.theirs, agreement.theirs, their_hosts),
        ):
            for rtcp, address in (
                (True, found[1]),
                (False, found[0]),
            ):  # on one port, it is not for RTCP alone
                for host in {address.host, *hosts}:
                    here = Address(host, address.port)
                    if here not in known:
                        self._at.setdefault(here, []).append(call)
                    known[here] = rtcp

    def leave(self, call: T) -> None:
        """Nothing is its any more. Harmless when nothing was."""
        ends = self._ends.pop(call, None)
        for address in (*ends.ours, *ends.theirs) if ends is not None else ():
            calls = self._at[address]
            calls.remove(call)
            if not calls:
                del self._at[address]

    def route(self, packet: Packet) -> tuple[T, Way] | None:
        """The call that a datagram is of, and which way it goes; None: nobody's."""
        best: tuple[int, T, Way] | None = None
        at = self._at.get
        for call in (*at(packet.destination, [])[-_MOST_SHARING:], *at(packet.source, [])[-_MOST_SHARING:]):
            found = self._ends[call].way(packet)
            if found is not None and (best is None or found[0] >= best[0]):
                best = (found[0], call, found[1])
        return None if best is None else (best[1], best[2])
