"""Ports of calls without sockets: numbers that nobody listens at. What both kinds promise is on this page, too."""

import itertools
from collections.abc import Callable
from typing import Any, Final, Protocol

import pytest

from gateway.carriers.sip.leg_messages import Datagram, encode_datagram
from gateway.carriers.sip.media_gate import MediaCounts
from gateway.carriers.sip.media_ports import NoPorts
from gateway.media.latch import Address
from gateway.wire.sdp.agreement import Agreed
from gateway.wire.sdp.media import Direction

__all__ = ["PROMISES", "FakeMediaPort", "FakeMediaPorts"]


class FakeMediaPorts:
    """`most`: calls that have ports at a time. `ports`: all that were opened, first to last."""

    def __init__(self, most: int = 1000) -> None:
        self.ports: list[FakeMediaPort] = []
        self._most = most
        self._numbers = itertools.count(20_000, 2)

    def __len__(self) -> int:
        return sum(port.is_open for port in self.ports)

    def open(self, hear: Callable[[bytes], None], failed: Callable[[str], None]) -> "FakeMediaPort":
        if len(self) == self._most:
            raise NoPorts(f"no pair of RTP ports: calls have {len(self)}")
        port = FakeMediaPort(next(self._numbers), hear, failed)
        self.ports.append(port)
        return port


class FakeMediaPort:
    """`agreed`, `sent`: what the call wanted."""

    def __init__(self, rtp_port: int, hear: Callable[[bytes], None], failed: Callable[[str], None]) -> None:
        self.rtp_port = rtp_port
        self.hear = hear
        self.failed = failed
        self.is_open = True
        self.agreed: list[Agreed] = []
        self.sent: list[bytes] = []
        self.counts = MediaCounts()

    def agree(self, agreed: Agreed) -> None:
        self.agreed.append(agreed)

    def send(self, framed: bytes) -> None:
        if self.is_open:
            self.sent.append(framed)

    def close(self) -> None:
        self.is_open = False


# -- what every kind promises


class Port(Protocol):
    rtp_port: int

    def agree(self, agreed: Agreed) -> None: ...
    def send(self, framed: bytes) -> None: ...
    def close(self) -> None: ...


class Ports(Protocol):
    def __len__(self) -> int: ...
    def open(self, hear: Callable[[bytes], None], failed: Callable[[str], None]) -> Any: ...


AGREED: Final = Agreed(
    codec="pcmu",
    address="127.0.0.1",
    port=9,
    payload_type=0,
    event_payload_type=None,
    receives={0: "pcmu"},
    direction=Direction.SENDRECV,
    rtcp_address="127.0.0.1",
    rtcp_port=10,
)
PACKET: Final = encode_datagram(Datagram(Address("127.0.0.1", 9), b"\x80\x00" + bytes(170)))


def _nothing(_told: object) -> None:
    pass


def _open(ports: Ports) -> Port:
    opened: Port = ports.open(_nothing, _nothing)
    return opened


def each_call_has_an_even_port_of_its_own(ports: Ports) -> None:
    one, other = _open(ports), _open(ports)

    assert one.rtp_port != other.rtp_port
    assert one.rtp_port % 2 == other.rtp_port % 2 == 0
    assert len(ports) == 2


def a_closed_port_is_no_calls_any_more_however_often_it_is_closed(ports: Ports) -> None:
    port = _open(ports)

    port.close()
    port.close()

    assert len(ports) == 0


def a_port_is_not_had_again_at_once(ports: Ports) -> None:
    port = _open(ports)
    port.close()

    assert _open(ports).rtp_port != port.rtp_port


def who_finds_no_ports_is_told(ports: Ports) -> None:
    """`ports` has two pairs."""
    _open(ports)
    _open(ports)

    with pytest.raises(NoPorts, match="no pair of RTP ports"):
        _open(ports)


def nothing_is_raised_by_a_port_that_is_closed(ports: Ports) -> None:
    port = _open(ports)
    port.agree(AGREED)
    port.send(PACKET)
    port.close()

    port.agree(AGREED)
    port.send(PACKET)

    assert len(ports) == 0


PROMISES: Final[tuple[Callable[[Ports], None], ...]] = (
    each_call_has_an_even_port_of_its_own,
    a_closed_port_is_no_calls_any_more_however_often_it_is_closed,
    a_port_is_not_had_again_at_once,
    who_finds_no_ports_is_told,
    nothing_is_raised_by_a_port_that_is_closed,
)
