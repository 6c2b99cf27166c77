"""What the two sides of a call of ours were told by their signalling, and what a capture of its messages says they were."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gateway.capture.calls import CallTracker, CapturedCall, Side
from gateway.capture.links import Packet
from gateway.carriers.sip import leg_messages as wire
from gateway.contracts import EndReason
from gateway.media.latch import Address
from gateway.wire.sdp.media import Direction
from tests.carriers.sip_line import Line, offer_of

HOSTS = {"us": "192.0.2.1", "them": "192.0.2.2", "raw": "192.0.2.3"}


def captured(line: Line, ours: Side) -> CapturedCall:
    tracker = CallTracker(ours)
    names = {each.sender for each in line.network.passed}
    for number, each in enumerate(line.network.passed, 1):
        (other,) = names - {each.sender}
        ends = (Address(HOSTS[each.sender], 5060), Address(HOSTS[other], 5060))
        tracker.take(Packet(number, round(each.at * 1e9), *ends, b""), each.message)
    (call,) = tracker.calls
    assert call.problem is None
    return call


def of_capture(call: CapturedCall) -> list[wire.FromSip]:
    return without_repetitions([wire.decode(told.text) for told in call.told if told.port == "carrier"])


def without_repetitions(told: list[wire.FromSip]) -> list[wire.FromSip]:
    """What follows something in a call. A leg takes terms that say the same again for what they are."""
    found: list[wire.FromSip] = []
    for each in told:
        if not isinstance(each, wire.MessagePassed | wire.Ringing) and each not in found[-1:]:
            found.append(each)
    return found


def hold(line: Line) -> None:
    line.them.changes(direction=Direction.SENDONLY)
    line.rest()
    line.them.changes(direction=Direction.SENDRECV)
    line.rest()


def move(line: Line) -> None:
    line.us.changes(port=30_000)
    line.rest()
    line.them.changes(port=40_000, codecs=("pcma",))
    line.rest()


def nothing(_line: Line) -> None: ...


@pytest.mark.parametrize("happens", [nothing, hold, move])
@pytest.mark.parametrize(
    ("ours", "theirs"), [({}, {}), ({"codecs": ("pcma", "pcmu")}, {}), ({}, {"codecs": ("pcma",)})]
)
@pytest.mark.parametrize("begin", [Line.called, Line.calling])
def test_a_capture_says_what_both_sides_were_told(
    begin: Callable[[Line], Line],
    ours: dict[str, Any],
    theirs: dict[str, Any],
    happens: Callable[[Line], None],
):
    line = begin(Line(ours=ours, theirs=theirs)).answered()
    happens(line)
    line.them.does("hang_up", EndReason.PLAN_ENDED)
    line.rest()

    our_side, their_side = Side.CALLED, Side.CALLER
    if begin is Line.calling:
        our_side, their_side = their_side, our_side
    assert of_capture(captured(line, our_side)) == without_repetitions([told for told, _ in line.us.told])
    assert of_capture(captured(line, their_side)) == without_repetitions([told for told, _ in line.them.told])


def test_a_capture_says_what_we_were_told_where_the_offer_was_left_to_us():
    line = Line()
    session = line.asked_by(None)
    line.raw.does(session, session.accept, offer_of(3), line.network.now)
    line.rest()

    call = captured(line, Side.CALLED)

    assert of_capture(call) == without_repetitions([told for told, _ in line.us.told])


def test_a_capture_says_that_we_hung_up():
    line = Line().called().answered()
    line.us.does("hang_up", EndReason.PLAN_ENDED)
    line.rest()

    call = captured(line, Side.CALLED)

    assert call.ends is not None
    assert msgspec.json.decode(call.ends.text) == {"type": "hang_up", "reason": "agent_hung_up"}
