"""The bounds on what was heard, against a far end that keeps its own record, over a line with delays."""

import json
from collections import deque
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.carriers.twilio.leg_core import TwilioLegCore
from gateway.contracts import Heard, LegTrouble
from gateway.testing.twilio_stream import TwilioStream

CALL = "CA" + "2" * 32
FRAME = bytes(160)
STEP_MS = 5
# Twilio's clock of the caller moves in frames, and a mark lies somewhere within one.
FRAMES_MS = 40
SLACK_MS = STEP_MS + 1


class Line:
    """One direction: messages arrive in order, each some time after it was sent."""

    def __init__(self) -> None:
        self._on_the_way: deque[tuple[int, str | bytes]] = deque()
        self.delay_ms = 0

    def send(self, data: str | bytes, now_ms: int) -> None:
        last_ms = self._on_the_way[-1][0] if self._on_the_way else 0
        self._on_the_way.append((max(now_ms + self.delay_ms, last_ms), data))

    def arrived(self, now_ms: int) -> list[str | bytes]:
        data = []
        while self._on_the_way and self._on_the_way[0][0] <= now_ms:
            data.append(self._on_the_way.popleft()[1])
        return data

    def carries(self, event: str) -> bool:
        return any(json.loads(data)["event"] == event for _, data in self._on_the_way)


class Call:
    """A leg and Twilio's end, 5 ms by 5 ms. `heard_ms`: what the caller really heard, on the playout axis."""

    def __init__(self) -> None:
        self.leg = TwilioLegCore(CALL)
        self.far = TwilioStream(account_sid="AC" + "1" * 32, call_sid=CALL, stream_sid="MZ" + "0" * 32)
        self.down, self.up = Line(), Line()
        self.now_ms = 0
        self.sent_ms = 0
        self.bounds = [Heard(0, 0)]
        self.troubles: list[str] = []
        self.heard_ms = 0.0
        self._arrived_ms = 0.0
        self._played_ms = 0.0
        for message in self.far.start_messages():
            self.leg.receive(message, 0.0)
        self.leg.events()

    def play(self, frames: int) -> None:
        self.leg.play(FRAME * frames, self.now_ms / 1000)
        self.sent_ms += 20 * frames
        self._settle()

    def clear(self) -> None:
        self.leg.clear(self.now_ms / 1000)
        self._settle()

    def run(self, duration_ms: int) -> None:
        for _ in range(duration_ms // STEP_MS):
            self.now_ms += STEP_MS
            now = self.now_ms / 1000
            answers = self.far.advance(now)
            self._note_what_was_played()
            for data in self.down.arrived(self.now_ms):
                message = json.loads(data)
                if message["event"] == "media":
                    self._arrived_ms += len(message["media"]["payload"]) // 4 * 3 // 160 * 20
                answers += self.far.receive(data, now)
            if self.now_ms % 20 == 0:
                answers.append(self.far.caller_frame(b"\xff" * 160))
            for answer in answers:
                self.up.send(answer, self.now_ms)
            for data in self.up.arrived(self.now_ms):
                self.leg.receive(data, now)
            self.leg.advance(now)
            self._settle()

    def _note_what_was_played(self) -> None:
        played_ms = self._arrived_ms - self.far.queued_ms - self.far.cleared_ms
        if played_ms > self._played_ms:
            self._played_ms = played_ms
            self.heard_ms = self._arrived_ms - self.far.queued_ms

    def _settle(self) -> None:
        for event in self.leg.events():
            if isinstance(event, Heard):
                self.bounds.append(event)
            elif isinstance(event, LegTrouble):
                self.troubles.append(event.what)
        for data in self.leg.outgoing():
            self.down.send(data, self.now_ms)


class BoundsMachine(RuleBasedStateMachine):
    """Whatever is played and cleared over whatever line, the truth lies between the bounds."""

    @initialize(down_ms=st.integers(0, 300), up_ms=st.integers(0, 300))
    def begin(self, down_ms: int, up_ms: int) -> None:
        self.call = Call()
        self.call.down.delay_ms = down_ms
        self.call.up.delay_ms = up_ms
        self.worst_ms = down_ms
        self.is_cut = False

    @rule(frames=st.integers(1, 40))
    def play(self, frames: int) -> None:
        self.call.play(frames)
        self.is_cut = False

    @rule()
    def clear(self) -> None:
        self.call.clear()
        self.is_cut = True

    @rule(duration_ms=st.integers(1, 400))
    def wait(self, duration_ms: int) -> None:
        self.call.run(duration_ms)

    @rule(delay_ms=st.integers(0, 300))
    def change_the_line(self, delay_ms: int) -> None:
        self.call.down.delay_ms = delay_ms
        self.worst_ms = max(self.worst_ms, delay_ms)

    @rule()
    def hear_it_out(self) -> None:
        self.call.run(self.call.sent_ms - round(self.call.heard_ms) + 1000)

        if not self.is_cut:
            assert self.call.bounds[-1].low_ms == self.call.bounds[-1].high_ms == self.call.sent_ms

    @invariant()
    def the_truth_lies_between_the_bounds(self) -> None:
        bounds = self.call.bounds[-1]

        assert bounds.low_ms <= bounds.high_ms <= self.call.sent_ms
        # What is sent late is heard late, and until the next mark nobody tells.
        if not self.call.down.carries("clear"):  # what is played until it arrives is counted before
            assert bounds.low_ms <= self.call.heard_ms + self.worst_ms + SLACK_MS
        # A clear has a way to go as well, on which the playout goes on.
        on_its_way_ms = self.worst_ms if self.is_cut else 0
        assert self.call.heard_ms <= bounds.high_ms + on_its_way_ms + SLACK_MS

    @invariant()
    def the_bounds_never_go_back(self) -> None:
        assert all(a.low_ms <= b.low_ms and a.high_ms <= b.high_ms for a, b in pairwise(self.call.bounds))

    @invariant()
    def no_mark_is_a_stranger(self) -> None:
        assert self.call.troubles == []


TestBounds = BoundsMachine.TestCase
TestBounds.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize("delay_ms", [0, 20, 80])
def test_while_the_agent_talks_the_lower_bound_is_two_frames_and_the_way_back_behind(delay_ms: int) -> None:
    call = Call()
    call.down.delay_ms = call.up.delay_ms = delay_ms
    call.play(10)
    call.run(2 * delay_ms + 60)
    errors = []

    for _ in range(100):
        call.play(3)
        for _ in range(60 // STEP_MS):
            call.run(STEP_MS)
            errors.append(call.heard_ms - call.bounds[-1].low_ms)

    assert max(errors) <= FRAMES_MS + delay_ms + SLACK_MS
    assert min(errors) >= -SLACK_MS


@settings(deadline=None)
@given(cut_after_ms=st.integers(60, 3000))
def test_a_cut_is_heard_to_sixty_milliseconds(cut_after_ms: int) -> None:
    call = Call()
    call.play(10)
    while call.now_ms < cut_after_ms:
        call.run(60)
        call.play(3)

    call.clear()
    frozen = call.bounds[-1]
    call.run(500)

    assert call.bounds[-1] == frozen
    assert abs(call.heard_ms - frozen.low_ms) <= 60
    assert frozen.low_ms <= call.heard_ms <= frozen.high_ms + SLACK_MS


@settings(deadline=None)
@given(
    cut_after_ms=st.integers(60, 3000),
    down_ms=st.integers(0, 300),
    up_ms=st.integers(0, 300),
    said_before=st.booleans(),
)
def test_over_a_slow_line_a_cut_is_heard_to_sixty_milliseconds_and_never_too_late(
    cut_after_ms: int, down_ms: int, up_ms: int, said_before: bool
) -> None:
    call = Call()
    call.down.delay_ms, call.up.delay_ms = down_ms, up_ms
    if said_before:
        call.play(20)
        call.run(2000)
    began_ms = call.now_ms
    call.play(10)
    while call.now_ms - began_ms < cut_after_ms:
        call.run(60)
        call.play(3)

    call.clear()
    told_ms = call.bounds[-1].low_ms
    call.run(1000)

    assert told_ms <= call.heard_ms
    if said_before or cut_after_ms > down_ms + up_ms + FRAMES_MS + 20:  # the line is known by a mark
        assert call.heard_ms - told_ms <= 60


def test_when_the_line_stalls_nothing_is_taken_for_heard_behind_the_next_mark() -> None:
    call = Call()
    call.down.delay_ms = call.up.delay_ms = 100
    call.play(10)
    for _ in range(20):
        call.run(60)
        call.play(3)
    call.down.delay_ms = 5000
    for _ in range(20):
        call.run(60)
        call.play(3)

    call.clear()
    told_ms = call.bounds[-1].low_ms
    call.run(300)

    assert told_ms <= call.heard_ms + 100


def test_of_a_peer_that_returns_no_marks_the_oldest_are_forgotten() -> None:
    call = Call()
    call.leg.play(FRAME * 50_001, 0.0)
    marks = [mark for mark in map(json.loads, call.leg.outgoing()) if mark["event"] == "mark"]

    call.leg.receive(json.dumps(marks[0]), 1001.0)
    call.leg.receive(json.dumps(marks[-1]), 1001.0)

    assert call.leg.events() == [LegTrouble("stray_mark", "g0:20"), Heard(1_000_020, 1_000_020)]


def test_a_lost_mark_is_made_good_by_the_next() -> None:
    leg = TwilioLegCore(CALL)
    far = TwilioStream(account_sid="AC" + "1" * 32, call_sid=CALL, stream_sid="MZ" + "0" * 32)
    for message in far.start_messages():
        leg.receive(message, 0.0)
    leg.play(FRAME * 11, 0.0)
    marks = [data for data in leg.outgoing() if json.loads(data)["event"] == "mark"]

    leg.receive(marks[-1], 1.0)

    assert leg.events()[-1] == Heard(220, 220)
    leg.receive(marks[0], 1.1)
    assert leg.events() == [LegTrouble("stray_mark", "g0:20")]
