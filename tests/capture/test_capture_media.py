from gateway.capture.agreements import Agreement
from gateway.capture.links import Packet
from gateway.capture.media import MediaRouter, Way
from gateway.media.latch import Address
from gateway.wire.sdp.agreement import Agreed
from gateway.wire.sdp.media import Direction

OURS, OUR_RTCP = Address("198.51.100.7", 16_000), Address("198.51.100.7", 16_001)
THEIRS, THEIR_RTCP = Address("192.0.2.1", 17_000), Address("192.0.2.1", 17_001)
STRANGER = Address("203.0.113.9", 9)
AGREED = Agreed(
    codec="pcmu",
    address=THEIRS.host,
    port=THEIRS.port,
    payload_type=0,
    event_payload_type=None,
    receives={0: "pcmu"},
    direction=Direction.SENDRECV,
    rtcp_address=THEIR_RTCP.host,
    rtcp_port=THEIR_RTCP.port,
)
TERMS = Agreement(AGREED, (OURS, OUR_RTCP), (THEIRS, THEIR_RTCP))
TO_US, FROM_US = Way(by_us=False, rtcp=False), Way(by_us=True, rtcp=False)


def packet(source: Address, destination: Address) -> Packet:
    return Packet(1, 0, source, destination, b"")


def router(*calls: tuple[str, Agreement]) -> MediaRouter[str]:
    made: MediaRouter[str] = MediaRouter()
    for call, agreement in calls:
        made.agree(call, agreement, (), ())
    return made


def test_rtp_and_rtcp_go_both_ways():
    routes = router(("call", TERMS))

    assert routes.route(packet(THEIRS, OURS)) == ("call", TO_US)
    assert routes.route(packet(OURS, THEIRS)) == ("call", FROM_US)
    assert routes.route(packet(THEIR_RTCP, OUR_RTCP)) == ("call", Way(by_us=False, rtcp=True))
    assert routes.route(packet(OUR_RTCP, THEIR_RTCP)) == ("call", Way(by_us=True, rtcp=True))


def test_what_is_nobodys_goes_nowhere():
    assert router(("call", TERMS)).route(packet(STRANGER, Address("198.51.100.7", 18_000))) is None


def test_whatever_comes_to_our_port_is_for_us_to_judge():
    assert router(("call", TERMS)).route(packet(STRANGER, OURS)) == ("call", TO_US)


def test_what_we_send_behind_a_nat_is_ours():
    assert router(("call", TERMS)).route(packet(OURS, STRANGER)) == ("call", FROM_US)


def test_a_capture_behind_our_nat_has_the_host_of_our_signalling():
    routes: MediaRouter[str] = MediaRouter()
    routes.agree("call", TERMS, {"10.0.0.5"}, set())

    assert routes.route(packet(THEIRS, Address("10.0.0.5", OURS.port))) == ("call", TO_US)


def test_with_rtcp_on_the_port_of_rtp_it_is_not_for_rtcp_alone():
    terms = Agreement(AGREED, (OURS, OURS), (THEIRS, THEIRS))

    assert router(("call", terms)).route(packet(THEIRS, OURS)) == ("call", TO_US)


def test_of_two_calls_on_one_port_of_ours_the_other_end_tells_which():
    other = Agreement(AGREED, (OURS, OUR_RTCP), (Address("192.0.2.1", 17_004), Address("192.0.2.1", 17_005)))
    routes = router(("first", TERMS), ("second", other))

    assert routes.route(packet(THEIRS, OURS)) == ("first", TO_US)
    assert routes.route(packet(Address("192.0.2.1", 17_004), OURS)) == ("second", TO_US)
    assert routes.route(packet(OURS, THEIRS)) == ("first", FROM_US)


def test_a_port_that_another_call_has_now_is_that_calls():
    routes = router(("first", TERMS), ("second", TERMS))

    assert routes.route(packet(THEIRS, OURS)) == ("second", TO_US)


def test_a_call_that_is_over_has_no_media():
    routes = router(("first", TERMS), ("second", TERMS))
    routes.leave("second")

    assert routes.route(packet(THEIRS, OURS)) == ("first", TO_US)

    routes.leave("first")
    routes.leave("first")
    assert routes.route(packet(THEIRS, OURS)) is None


def test_where_a_call_received_before_is_still_its():
    moved = Address("198.51.100.8", 30_000)
    routes = router(("call", TERMS))
    routes.agree("call", Agreement(AGREED, (moved, moved), (THEIRS, THEIR_RTCP)), (), ())

    assert routes.route(packet(THEIRS, OURS)) == ("call", TO_US)
    assert routes.route(packet(THEIRS, moved)) == ("call", TO_US)
