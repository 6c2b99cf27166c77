"""Others behind the far end's address, and others while nobody is to be heard: what they send goes no further."""

import msgspec
import pytest

from gateway.media.latch import Address
from gateway.wire import rtcp
from gateway.wire.sdp.media import Direction
from tests.carriers.test_sip_media_gate import (
    AGREED,
    NAT,
    PHONE,
    PHONE_RTCP,
    REPORT,
    STRANGER,
    gate,
    heard,
    packet,
)

NEIGHBOUR = Address(PHONE.host, 5555)
FORGED = rtcp.encode((rtcp.ReceiverReport(ssrc=77),))


def test_a_neighbours_reports_are_told_from_the_callers_once_rtp_has_come():
    ours = gate()
    heard(ours, PHONE, packet(1))

    forged = ours.admit(FORGED, NEIGHBOUR, 0.1, rtcp=True)
    true = ours.admit(REPORT, NEIGHBOUR, 0.1, rtcp=True)  # a NAT gave them another port

    assert (forged is None, true is None) == (True, False)
    assert ours.counts.strangers == 1


@pytest.mark.parametrize("source", [PHONE_RTCP, PHONE])
def test_from_the_ports_that_were_named_reports_may_have_another_ssrc(source: Address):
    ours = gate()
    heard(ours, PHONE, packet(1))

    assert ours.admit(FORGED, source, 0.1, rtcp=True) is not None


@pytest.mark.parametrize("direction", [Direction.SENDONLY, Direction.INACTIVE])
def test_nobody_is_learned_while_nothing_is_to_come(direction: Direction):
    ours = gate(direction=direction)

    assert heard(ours, STRANGER, *map(packet, range(20))) == 0
    assert heard(ours, PHONE, packet(1)) == 1  # some phones go on all the same


def test_who_was_learned_before_a_hold_is_heard_in_it():
    ours = gate()
    heard(ours, NAT, *map(packet, range(10)))
    ours.agree(msgspec.structs.replace(AGREED, direction=Direction.INACTIVE))

    assert heard(ours, NAT, *map(packet, range(10, 15)), start_s=1.0) == 5
