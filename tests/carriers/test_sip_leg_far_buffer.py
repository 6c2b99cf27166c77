"""What the far end has heard of what RTP carried to it."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.carriers.sip.far_buffer import FarBuffer
from gateway.media.heard import Heard


def sending(frames: int, *, round_trip_s: float | None = None) -> FarBuffer:
    """Frames were sent from 0 on, one every 20 ms."""
    far = FarBuffer()
    if round_trip_s is not None:
        far.measured(round_trip_s)
    for frame in range(frames):
        far.sent((frame + 1) * 20, frame * 0.02)
    return far


def heard_at(far: FarBuffer, now: float) -> Heard:
    far.advance(now)
    return far.heard


def test_without_a_report_a_frame_is_surely_heard_after_a_way_a_buffer_and_itself():
    far = sending(1)

    assert [heard_at(far, now) for now in (0.0, 0.31, 0.32)] == [Heard(0, 20), Heard(0, 20), Heard(20, 20)]


def test_a_report_tells_the_longest_way_that_a_frame_may_have():
    far = sending(1, round_trip_s=0.04)

    assert [heard_at(far, now) for now in (0.0, 0.25, 0.26)] == [Heard(0, 20), Heard(0, 20), Heard(20, 20)]


def test_a_report_without_sense_makes_no_way_longer_than_calls_have():
    far = sending(1, round_trip_s=3.02)

    assert [heard_at(far, now) for now in (0.61, 0.62)] == [Heard(0, 20), Heard(20, 20)]


def test_of_what_was_under_way_nothing_more_is_sure_where_nobody_listens_any_more():
    far = sending(30)
    before = heard_at(far, 0.58)

    far.clear(1.0, listens=False)  # read late: he may have stopped long ago

    assert [before, far.heard, heard_at(far, 5.0)] == [Heard(280, 600)] * 3


def test_what_is_cleared_while_it_is_under_way_is_heard_yet_but_for_the_last_packet():
    far = sending(10, round_trip_s=0.1)

    far.clear(0.19)

    assert [far.heard, heard_at(far, 0.22), heard_at(far, 5.0)] == [Heard(180, 200)] * 3


def test_what_was_heard_before_it_was_cleared_stays_heard():
    far = sending(10)
    far.advance(5.0)

    far.clear(5.0)

    assert far.heard == Heard(200, 200)


def test_what_comes_after_a_cut_is_heard_where_it_stands_on_the_axis():
    far = sending(10)
    far.clear(0.2)

    far.sent(1020, 1.0)

    assert [heard_at(far, now) for now in (1.0, 1.4)] == [Heard(180, 1020), Heard(1020, 1020)]


@given(
    way_s=st.floats(0.0, 0.1),
    back_s=st.floats(0.0, 0.3),
    buffer_s=st.floats(0.0, 0.2),
    told=st.booleans(),
    sent=st.lists(st.booleans(), min_size=1, max_size=60),
    later_s=st.lists(st.floats(0.0, 0.05), max_size=40),
)
def test_the_truth_is_within_the_bounds_and_they_never_go_back(
    way_s: float, back_s: float, buffer_s: float, *, told: bool, sent: list[bool], later_s: list[float]
):
    far, frames, bounds = FarBuffer(), [], []
    if told:
        far.measured(way_s + back_s)
    times = [tick * 0.02 for tick in range(len(sent))]
    for late_s in later_s:
        times.append(times[-1] + late_s)

    for tick, now in enumerate(times):
        if tick < len(sent) and sent[tick]:
            frames.append(now)
            far.sent(len(frames) * 20, now)
        far.advance(now)
        played_ms = [min(max((now - at_s - way_s - buffer_s) * 1000, 0), 20) for at_s in frames]
        bounds.append(far.heard)

        assert far.heard.low_ms <= sum(played_ms) + 0.01
        assert sum(played_ms) <= far.heard.high_ms <= len(frames) * 20
    assert all(a.low_ms <= b.low_ms and a.high_ms <= b.high_ms for a, b in pairwise(bounds))


@given(
    frames=st.integers(1, 40),
    cut_s=st.floats(0.0, 1.0),
    round_trip_s=st.none() | st.floats(0.0, 0.6),
    last_is_lost=st.booleans(),
)
def test_a_cut_counts_all_that_was_sent(
    frames: int, cut_s: float, round_trip_s: float | None, *, last_is_lost: bool
):
    far = FarBuffer()
    if round_trip_s is not None:
        far.measured(round_trip_s)
    sent = [tick * 0.02 for tick in range(frames) if tick * 0.02 <= cut_s]
    for number, at_s in enumerate(sent, 1):
        far.sent(number * 20, at_s)

    far.clear(cut_s)

    lost_ms = 20 if last_is_lost and far.heard.low_ms < 20 * len(sent) else 0
    assert far.heard.low_ms <= 20 * len(sent) - lost_ms <= far.heard.high_ms
