"""What a call may rely on, whatever carrier it came from."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audio.g711 import CODECS
from gateway.building import LEG_CORES
from gateway.contracts import (
    CallerAudio,
    DigitPressed,
    EndReason,
    Heard,
    LegEnded,
    LegEvent,
    LegFact,
    LegStarted,
    LegTrouble,
)
from tests.contracts.leg_peers import PEERS, Message

TICK_S = 0.02
FRAME_BYTES = 160

every_carrier = pytest.mark.parametrize("carrier", sorted(PEERS))


def speech(frames: int, seed: int = 0) -> bytes:
    """G.711 that is never silent and tells where it is from."""
    return bytes((seed + index // 7) % 100 for index in range(frames * FRAME_BYTES))


class Call:
    """A leg core and its peer on one clock, with no line between them."""

    def __init__(self, carrier: str, *, starts: bool = True) -> None:
        self.peer = PEERS[carrier]()
        self.leg = self.peer.leg()
        self.now = 0.0
        self.sent_ms = 0
        self.events: list[LegEvent] = []
        self.inputs: list[tuple[str, Message, float]] = []
        if starts:
            self.say(self.peer.start())

    def say(self, messages: Sequence[Message]) -> None:
        """The peer says something."""
        for message in messages:
            self.inputs.append(("receive", message, self.now))
            self.leg.receive(message, self.now)
        self._settle()

    def play(self, payload: bytes) -> None:
        self.inputs.append(("play", payload, self.now))
        self.leg.play(payload, self.now)
        self.sent_ms += len(payload) // 8
        self._settle()

    def clear(self) -> None:
        self.inputs.append(("clear", b"", self.now))
        self.leg.clear(self.now)
        self._settle()

    def run(self, duration_s: float, *, caller: bytes | None = b"\xff" * FRAME_BYTES) -> None:
        """Let time pass, frame by frame. `caller` of None: not a sound of the caller."""
        for _ in range(round(duration_s / TICK_S)):
            self.now += TICK_S
            self.say(self.peer.advance(self.now))
            if caller is not None:
                self.say(self.peer.caller_frame(caller))
            self.inputs.append(("advance", b"", self.now))
            self.leg.advance(self.now)
            self._settle()

    def of(self, kind: type[LegEvent]) -> list[LegEvent]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def bounds(self) -> list[Heard]:
        return [event for event in self.events if isinstance(event, Heard)]

    @property
    def caller(self) -> list[CallerAudio]:
        return [event for event in self.events if isinstance(event, CallerAudio)]

    def _settle(self) -> None:
        self.events += self.leg.events()
        for message in self.leg.outgoing():
            self.say(self.peer.receive(message, self.now))


def test_every_carrier_is_in_this_suite() -> None:
    assert set(PEERS) == set(LEG_CORES)


@every_carrier
def test_its_traits_are_its_own_and_make_sense(carrier: str) -> None:
    traits = PEERS[carrier]().leg().traits

    assert traits.carrier == carrier
    assert 0 < traits.lead_ms <= traits.queue_ms


@every_carrier
def test_it_starts_once_with_a_codec_that_we_have(carrier: str) -> None:
    call = Call(carrier)
    call.run(1.0)

    [started] = call.of(LegStarted)

    assert isinstance(started, LegStarted)
    assert call.events[0] is started
    assert started.codec in CODECS
    assert started.carrier_call_id


@every_carrier
def test_a_call_that_never_starts_ends_in_time_by_itself(carrier: str) -> None:
    call = Call(carrier, starts=False)

    call.run(10.0, caller=None)

    assert [type(event) for event in call.events] == [LegEnded]
    assert call.events == [LegEnded(EndReason.NEVER_STARTED)]


@every_carrier
def test_the_caller_is_heard_whole_in_order_and_without_a_gap(carrier: str) -> None:
    call = Call(carrier)
    words = [speech(1, seed) for seed in range(25)]

    for word in words:
        call.run(TICK_S, caller=word)

    heard = b"".join(audio.payload for audio in call.caller)
    starts = [audio.at_ms for audio in call.caller]
    lengths = [len(audio.payload) // 8 for audio in call.caller]
    assert b"".join(words).startswith(heard.lstrip(b"\xff"))  # a jitter buffer begins with silence
    assert len(heard) >= 20 * FRAME_BYTES  # a jitter buffer may hold back some
    assert starts[0] == 0
    assert starts == [sum(lengths[:index]) for index in range(len(lengths))]


@every_carrier
def test_every_digit_is_reported_once(carrier: str) -> None:
    call = Call(carrier)

    for digit in "0123456789*#":
        call.say(call.peer.press(digit))
        call.run(0.2)

    assert call.of(DigitPressed) == [DigitPressed(digit) for digit in "0123456789*#"]


@every_carrier
def test_what_is_played_reaches_the_caller_whole_and_in_order(carrier: str) -> None:
    call = Call(carrier)
    call.run(0.1)

    call.play(speech(10, 1))
    call.run(0.1)
    call.play(speech(7, 2))
    call.run(1.0)

    assert call.peer.played == speech(10, 1) + speech(7, 2)


@every_carrier
def test_what_was_played_out_was_heard(carrier: str) -> None:
    call = Call(carrier)

    call.play(speech(10))
    call.run(2.0)

    assert call.bounds[-1] == Heard(200, 200)


@every_carrier
def test_while_it_plays_the_truth_lies_between_the_bounds(carrier: str) -> None:
    call = Call(carrier)
    call.play(speech(10))

    for _ in range(50):
        call.run(0.06)
        call.play(speech(3))

        truth_ms = len(call.peer.played) / 8
        assert call.bounds[-1].low_ms <= truth_ms <= call.bounds[-1].high_ms + 1
        assert truth_ms - call.bounds[-1].low_ms <= 120


@every_carrier
def test_the_bounds_are_in_order_and_never_go_back(carrier: str) -> None:
    call = Call(carrier)

    for frames in (10, 1, 30):
        call.play(speech(frames))
        call.run(0.3)
        call.clear()
        call.run(0.1)

    assert all(0 <= bound.low_ms <= bound.high_ms <= call.sent_ms for bound in call.bounds)
    assert all(a.low_ms <= b.low_ms and a.high_ms <= b.high_ms for a, b in pairwise(call.bounds))


@every_carrier
def test_what_is_cleared_is_not_played_and_what_comes_after_is(carrier: str) -> None:
    call = Call(carrier)
    call.play(speech(50, 1))
    call.run(0.2)

    call.clear()
    call.run(0.25)  # what is under way cannot be called back everywhere
    before = call.peer.played
    call.play(speech(5, 2))
    call.run(1.0)

    assert len(before) <= 0.3 * 8000
    assert call.peer.played == before + speech(5, 2)


@every_carrier
def test_what_is_cleared_is_not_counted_as_heard(carrier: str) -> None:
    call = Call(carrier)
    call.play(speech(50))
    call.run(0.2)

    call.clear()
    cut = call.bounds[-1]
    call.run(2.0)

    truth_ms = len(call.peer.played) / 8
    assert call.bounds[-1] == cut
    assert cut.low_ms <= truth_ms <= cut.high_ms + 1
    assert truth_ms - cut.low_ms <= 60


@every_carrier
@pytest.mark.parametrize("size", [0, 1, 80, 159, 161])
def test_only_whole_frames_can_be_played(carrier: str, size: int) -> None:
    call = Call(carrier)
    call.run(0.1)

    with pytest.raises(ValueError):
        call.leg.play(bytes(size), call.now)


@every_carrier
def test_a_caller_who_hangs_up_ends_it_once_and_for_all(carrier: str) -> None:
    call = Call(carrier)
    call.run(0.2)

    call.say(call.peer.hang_up())
    at_the_end = len(call.events)
    call.say(call.peer.hang_up())
    call.play(speech(1))
    call.clear()
    call.run(60.0)

    assert call.events[-1] == LegEnded(EndReason.CALLER_HUNG_UP)
    assert len(call.events) == at_the_end
    assert call.peer.played == b""


@every_carrier
def test_a_caller_of_whom_nothing_comes_for_half_a_minute_is_gone(carrier: str) -> None:
    call = Call(carrier)
    call.run(1.0)

    call.run(29.0, caller=None)
    before = call.of(LegEnded)
    call.run(6.0, caller=None)

    assert before == []
    assert call.of(LegEnded) == [LegEnded(EndReason.CARRIER_SILENT)]


@every_carrier
def test_a_caller_who_only_listens_is_not_gone(carrier: str) -> None:
    call = Call(carrier)

    for _ in range(20):
        call.play(speech(5))
        call.run(5.0)

    assert call.of(LegEnded) == []


@every_carrier
def test_digits_of_ours_reach_the_caller_in_the_place_of_silence_or_are_said_to_be_lost(carrier: str) -> None:
    call = Call(carrier)
    call.run(0.1)

    call.leg.send_digits("12#")
    call.play(b"\xff" * 540 * 8)
    call.play(speech(5))
    call.run(2.0)

    troubles = [event.what for event in call.events if isinstance(event, LegTrouble)]
    assert (call.peer.digits, troubles) in [("12#", []), ("", ["digits_lost"])]
    assert call.leg.traits.sends_digits is (not troubles)
    assert call.peer.played.lstrip(b"\xff") == speech(5).lstrip(b"\xff")


@every_carrier
def test_what_is_no_digit_is_not_sent(carrier: str) -> None:
    call = Call(carrier)

    with pytest.raises(ValueError, match="no digits"):
        call.leg.send_digits("1x")


@every_carrier
def test_whoever_leaves_has_said_all_and_hears_no_more(carrier: str) -> None:
    call = Call(carrier)
    call.run(0.2)

    call.leg.leave(call.now)
    left = [*call.leg.events()], [*call.leg.outgoing()]
    call.leg.leave(call.now)
    call.say([*call.peer.caller_frame(speech(1)), *call.peer.press("1"), *call.peer.hang_up()])
    call.leg.play(speech(1), call.now)
    call.leg.clear(call.now)
    call.leg.advance(call.now + 60)

    assert all(isinstance(event, LegFact) for event in left[0])
    assert len(left[1]) <= 1
    assert [*call.leg.events()] == []
    assert [*call.leg.outgoing()] == []


@every_carrier
def test_events_and_messages_are_handed_over_once(carrier: str) -> None:
    call = Call(carrier)

    call.leg.play(speech(1), 0.0)
    first = [*call.leg.outgoing()]

    assert first != []
    assert [*call.leg.outgoing()] == []
    assert [*call.leg.events()] == []


@every_carrier
def test_the_same_inputs_have_the_same_outcome(carrier: str) -> None:
    call = Call(carrier)
    call.run(0.2)
    call.play(speech(30))
    call.run(0.3)
    call.clear()
    call.play(speech(3))
    call.say(call.peer.press("5"))
    call.run(0.5)
    call.say(call.peer.hang_up())

    again = PEERS[carrier]().leg()
    events: list[LegEvent] = []
    for verb, data, now in call.inputs:
        match verb:
            case "receive":
                again.receive(data, now)
            case "play":
                again.play(bytes(data, "ascii") if isinstance(data, str) else data, now)
            case "clear":
                again.clear(now)
            case _:
                again.advance(now)
        events += again.events()

    assert events == call.events


@every_carrier
@settings(deadline=None)
@given(
    data=st.lists(
        st.text(max_size=60) | st.binary(max_size=200) | st.sampled_from(["{}", b"", ""]), max_size=8
    ),
    starts=st.booleans(),
)
def test_whatever_a_peer_sends_nothing_is_raised(carrier: str, data: list[Message], *, starts: bool) -> None:
    call = Call(carrier, starts=starts)

    call.say(data)
    call.run(0.1, caller=None)

    assert len(call.of(LegEnded)) <= 1


@every_carrier
@settings(deadline=None)
@given(data=st.data())
def test_messages_cut_short_or_out_of_order_do_no_harm(carrier: str, data: st.DataObject) -> None:
    call = Call(carrier, starts=False)
    peer = call.peer
    messages = [*peer.start(), *peer.caller_frame(speech(1)), *peer.press("1"), *peer.hang_up()]
    cut = [message[: len(message) // 2] for message in messages]

    call.say(data.draw(st.permutations(messages + cut)))
    call.run(0.1, caller=None)

    assert len(call.of(LegStarted)) <= 1
    assert len(call.of(LegEnded)) <= 1
