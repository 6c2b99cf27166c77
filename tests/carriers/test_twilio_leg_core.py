"""One Media Stream, walked like a ladder: what Twilio says and when, and what the leg makes of it."""

import base64
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.carriers.twilio.leg_core import TRAITS, TwilioLegCore
from gateway.contracts import (
    CallerAudio,
    DigitPressed,
    EndReason,
    Heard,
    LegEnded,
    LegEvent,
    LegStarted,
    LegTrouble,
)

CALL = "CA" + "2" * 32
STREAM = "MZ" + "0" * 32
FRAME = bytes(range(160))
QUIET = b"\xff" * 160


def start(call_sid: str = CALL, encoding: str = "audio/x-mulaw", stream_sid: str = STREAM) -> str:
    media_format = {"encoding": encoding, "sampleRate": 8000, "channels": 1}
    body = {"accountSid": "AC", "streamSid": stream_sid, "callSid": call_sid, "mediaFormat": media_format}
    return json.dumps({"event": "start", "sequenceNumber": "1", "start": body, "streamSid": stream_sid})


def media(timestamp: int, payload: bytes = FRAME, chunk: int | None = None, stream_sid: str = STREAM) -> str:
    body = {"track": "inbound", "timestamp": str(timestamp), "payload": base64.b64encode(payload).decode()}
    if chunk is not None:
        body["chunk"] = str(chunk)
    return json.dumps({"event": "media", "media": body, "streamSid": stream_sid})


def mark(name: str, stream_sid: str = STREAM) -> str:
    return json.dumps({"event": "mark", "mark": {"name": name}, "streamSid": stream_sid})


def digit(key: str) -> str:
    return json.dumps(
        {"event": "dtmf", "streamSid": STREAM, "dtmf": {"track": "inbound_track", "digit": key}}
    )


def stop(stream_sid: str = STREAM) -> str:
    return json.dumps({"event": "stop", "streamSid": stream_sid, "stop": {"callSid": CALL}})


def started() -> TwilioLegCore:
    leg = TwilioLegCore(CALL)
    leg.receive(start(), 0.0)
    leg.events()
    return leg


def sent(leg: TwilioLegCore) -> list[dict[str, Any]]:
    return [json.loads(text) for text in leg.outgoing()]


def marks(leg: TwilioLegCore) -> list[str]:
    return [message["mark"]["name"] for message in sent(leg) if message["event"] == "mark"]


def troubles(events: list[LegEvent]) -> list[str]:
    return [event.what for event in events if isinstance(event, LegTrouble)]


def heard(leg: TwilioLegCore) -> Heard:
    return [event for event in leg.events() if isinstance(event, Heard)][-1]


# -- the beginning


@pytest.mark.parametrize(("encoding", "codec"), [("audio/x-mulaw", "pcmu"), ("audio/x-alaw", "pcma")])
def test_start_says_which_codec_the_call_has(encoding: str, codec: str) -> None:
    leg = TwilioLegCore(CALL)

    leg.receive('{"event":"connected","protocol":"Call","version":"1.0.0"}', 0.0)
    leg.receive(start(encoding=encoding), 0.1)

    assert leg.events() == [LegStarted(codec=codec, carrier_call_id=CALL)]


def test_a_codec_that_we_cannot_take_ends_the_call_and_is_named() -> None:
    leg = TwilioLegCore(CALL)

    leg.receive(start(encoding="audio/opus"), 0.1)

    [ended] = leg.events()
    assert isinstance(ended, LegEnded)
    assert ended.reason is EndReason.CARRIER_INVALID
    assert "audio/opus" in ended.detail


def test_a_stream_of_another_call_ends_at_once() -> None:
    leg = TwilioLegCore(CALL)

    leg.receive(start(call_sid="CA" + "3" * 32), 0.1)

    assert leg.events() == [LegEnded(EndReason.CARRIER_INVALID, "the stream is of another call")]


def test_without_start_for_five_seconds_the_call_never_started() -> None:
    leg = TwilioLegCore(CALL)

    leg.advance(4.99)
    before = leg.events()
    leg.advance(5.0)

    assert before == []
    assert leg.events() == [LegEnded(EndReason.NEVER_STARTED)]


def test_a_second_start_is_counted_and_changes_nothing() -> None:
    leg = started()

    leg.receive(start(stream_sid="MZ" + "9" * 32), 0.1)
    leg.play(FRAME, 0.2)

    assert troubles(list(leg.events())) == ["second_start"]
    assert sent(leg)[0]["streamSid"] == STREAM


def test_media_before_start_is_counted_and_dropped() -> None:
    leg = TwilioLegCore(CALL)

    leg.receive(media(0), 0.1)

    assert leg.events() == [LegTrouble("early_message")]


# -- the caller


def test_the_first_timestamp_is_the_origin_of_the_callers_clock() -> None:
    leg = started()

    leg.receive(media(155), 0.0)
    leg.receive(media(175), 0.02)

    assert leg.events() == [CallerAudio(FRAME, 0), CallerAudio(FRAME, 20)]


def test_a_gap_is_filled_with_silence_of_the_codec() -> None:
    leg = started()

    leg.receive(media(155), 0.0)
    leg.receive(media(215), 0.06)

    assert leg.events() == [
        CallerAudio(FRAME, 0),
        LegTrouble("media_gap", "40 ms"),
        CallerAudio(QUIET * 2, 20),
        CallerAudio(FRAME, 60),
    ]


def test_the_silence_of_an_a_law_call_is_a_law() -> None:
    leg = TwilioLegCore(CALL)
    leg.receive(start(encoding="audio/x-alaw"), 0.0)

    leg.receive(media(0), 0.0)
    leg.receive(media(40), 0.04)

    assert CallerAudio(b"\xd5" * 160, 20) in leg.events()


def test_a_gap_in_the_count_too_is_audio_that_twilio_discarded() -> None:
    leg = started()

    leg.receive(media(155, chunk=1), 0.0)
    leg.receive(media(195, chunk=3), 0.04)

    assert troubles(list(leg.events())) == ["media_discarded"]


def test_a_duplicate_is_counted_and_dropped() -> None:
    leg = started()

    leg.receive(media(155), 0.0)
    leg.receive(media(155), 0.0)

    assert leg.events() == [CallerAudio(FRAME, 0), LegTrouble("late_media", "20 ms")]


def test_timestamps_that_waver_by_some_milliseconds_lose_and_add_nothing() -> None:
    leg = started()

    for index, wavering in enumerate((0, 1, -2, 0, -1, 5, -19, 19)):
        leg.receive(media(155 + 20 * index + wavering), 0.02 * index)

    assert leg.events() == [CallerAudio(FRAME, 20 * index) for index in range(8)]


@pytest.mark.parametrize("jump", [61_000, 10**15, -2_000])
def test_a_clock_that_jumps_is_counted_and_the_audio_goes_on(jump: int) -> None:
    leg = started()
    leg.receive(media(10_000), 0.0)

    leg.receive(media(10_020 + jump), 0.02)
    leg.receive(media(10_040 + jump), 0.04)

    assert leg.events() == [
        CallerAudio(FRAME, 0),
        LegTrouble("clock_jumped", f"{jump} ms"),
        CallerAudio(FRAME, 20),
        CallerAudio(FRAME, 40),
    ]


def test_our_own_voice_is_not_taken_for_the_callers() -> None:
    leg = started()

    leg.receive(media(155).replace('"inbound"', '"outbound"'), 0.0)

    assert leg.events() == [LegTrouble("wrong_track", "outbound")]


@pytest.mark.parametrize("key", "0123456789*#ABCD")
def test_a_digit_is_a_digit(key: str) -> None:
    leg = started()

    leg.receive(digit(key), 1.0)

    assert leg.events() == [DigitPressed(key)]


@pytest.mark.parametrize("key", ["", "12", "E", "☎"])
def test_what_is_on_no_telephone_is_no_digit(key: str) -> None:
    leg = started()

    leg.receive(digit(key), 1.0)

    assert leg.events() == [LegTrouble("odd_digit")]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\x00\x01", "binary_frame"),
        ("{", "bad_message"),
        ('{"event":"hold"}', "unknown_event"),
        (media(155, stream_sid="MZ" + "9" * 32), "wrong_stream"),
        (mark("g0:20", stream_sid="MZ" + "9" * 32), "wrong_stream"),
        (stop(stream_sid="MZ" + "9" * 32), "wrong_stream"),
        (mark("never sent"), "stray_mark"),
    ],
)
def test_what_is_odd_is_counted_and_the_call_lives(data: str | bytes, what: str) -> None:
    leg = started()

    leg.receive(data, 0.1)
    leg.receive(media(155), 0.2)

    assert [type(event) for event in leg.events()] == [LegTrouble, CallerAudio]


def test_what_is_odd_is_named_shortly() -> None:
    leg = started()

    leg.receive(json.dumps({"event": "x" * 60_000}), 0.1)

    assert leg.events() == [LegTrouble("unknown_event", "x" * 120)]


# -- the end


def test_stop_means_that_the_caller_hung_up() -> None:
    leg = started()

    leg.receive(stop(), 3.0)

    assert leg.events() == [LegEnded(EndReason.CALLER_HUNG_UP)]


def test_a_stop_before_start_is_the_end_as_well() -> None:
    leg = TwilioLegCore(CALL)

    leg.receive(stop(), 0.1)

    assert leg.events() == [LegEnded(EndReason.CALLER_HUNG_UP)]


def test_after_the_end_nothing_happens_any_more() -> None:
    leg = started()
    leg.receive(stop(), 3.0)
    leg.events()

    leg.receive(media(155), 3.1)
    leg.play(FRAME, 3.2)
    leg.clear(3.3)
    leg.advance(100.0)

    assert leg.events() == []
    assert leg.outgoing() == []


def test_thirty_seconds_without_a_sign_of_the_caller_end_the_call() -> None:
    leg = started()
    leg.receive(media(155), 1.0)
    leg.events()

    leg.advance(30.9)
    before = leg.events()
    leg.advance(31.0)

    assert before == []
    assert leg.events() == [LegEnded(EndReason.CARRIER_SILENT)]


@pytest.mark.parametrize("sign", [media(175), mark("never sent"), digit("1")])
def test_audio_marks_and_digits_are_signs_of_life(sign: str) -> None:
    leg = started()

    leg.receive(sign, 29.0)
    leg.advance(58.9)

    assert not any(isinstance(event, LegEnded) for event in leg.events())


def test_garbage_is_no_sign_of_life() -> None:
    leg = started()

    leg.receive("garbage", 29.0)
    leg.advance(30.0)

    assert leg.events()[-1] == LegEnded(EndReason.CARRIER_SILENT)


# -- the agent


@pytest.mark.parametrize("size", [0, 1, 159, 161])
def test_only_whole_frames_can_be_played(size: int) -> None:
    leg = started()

    with pytest.raises(ValueError, match="whole frames"):
        leg.play(bytes(size), 0.1)


def test_nothing_can_be_played_before_there_is_a_stream() -> None:
    leg = TwilioLegCore(CALL)

    with pytest.raises(ValueError, match="started"):
        leg.play(FRAME, 0.1)


def test_what_is_played_is_sent_in_order_and_whole() -> None:
    leg = started()
    speech = bytes(index % 251 for index in range(160 * 37))

    leg.play(speech[: 160 * 30], 0.1)
    leg.play(speech[160 * 30 :], 0.2)

    payloads = [base64.b64decode(m["media"]["payload"]) for m in sent(leg) if m["event"] == "media"]
    assert b"".join(payloads) == speech
    assert all(len(payload) % 160 == 0 for payload in payloads)


def test_the_first_frame_has_its_own_mark_and_then_every_hundred_milliseconds_have_one() -> None:
    leg = started()

    leg.play(FRAME * 16, 0.1)

    assert [m["event"] for m in sent(leg)] == ["media", "mark"] * 4
    # and what a live voice sends, in groups of 60 ms
    for index in range(6):
        leg.play(FRAME * 3, 0.2 + 0.06 * index)
    assert [m["event"] for m in sent(leg)] == ["media", "media", "mark"] * 3


def test_a_mark_names_its_generation_and_its_position() -> None:
    leg = started()

    leg.play(FRAME * 6, 0.1)
    before = marks(leg)
    leg.clear(0.2)
    leg.play(FRAME, 0.3)

    assert before == ["g0:20", "g0:120"]
    assert marks(leg) == ["g1:140"]


def test_the_last_audio_of_an_utterance_gets_its_mark_when_nothing_follows() -> None:
    leg = started()
    leg.play(FRAME * 3, 1.0)
    leg.outgoing()

    leg.advance(1.08)
    early = marks(leg)
    leg.advance(1.10)
    leg.advance(1.12)

    assert early == []
    assert marks(leg) == ["g0:60"]


def test_clear_is_sent_and_no_mark_follows_it() -> None:
    leg = started()
    leg.play(FRAME * 3, 1.0)
    leg.outgoing()

    leg.clear(1.05)
    leg.advance(1.5)

    assert sent(leg) == [{"event": "clear", "streamSid": STREAM}]


def test_the_traits_promise_what_twilio_can() -> None:
    assert TRAITS.carrier == "twilio"
    assert not TRAITS.sends_digits
    assert TwilioLegCore(CALL).traits == TRAITS


# -- what was heard


def test_what_a_mark_confirms_was_heard() -> None:
    leg = started()
    leg.play(FRAME, 1.0)

    leg.receive(mark("g0:20"), 1.1)

    assert heard(leg) == Heard(20, 20)


def test_before_any_mark_only_the_upper_bound_grows() -> None:
    leg = started()
    leg.play(FRAME * 10, 1.0)

    leg.advance(1.0625)

    assert heard(leg) == Heard(0, 62.5)


def test_no_more_can_have_been_heard_than_was_sent() -> None:
    leg = started()
    leg.play(FRAME * 3, 1.0)

    leg.advance(9.0)

    assert heard(leg) == Heard(0, 60)


def test_between_marks_the_callers_clock_tells_how_far_the_playout_is() -> None:
    leg = started()
    leg.receive(media(155), 1.0)
    leg.play(FRAME * 6, 1.0)
    leg.receive(media(175), 1.02)
    leg.receive(mark("g0:20"), 1.03)  # played no later than at the end of the caller's next frame

    leg.receive(media(195), 1.04)
    leg.receive(media(215), 1.06)
    leg.receive(media(235), 1.08)

    assert heard(leg) == Heard(60, 80)


def test_a_mark_that_is_still_out_was_not_passed() -> None:
    leg = started()
    leg.receive(media(155), 1.0)
    leg.play(FRAME * 11, 1.0)
    leg.receive(mark("g0:20"), 1.04)

    for index in range(1, 20):
        leg.receive(media(155 + 20 * index), 1.04 + 0.02 * index)

    assert heard(leg) == Heard(120, 220)


def test_a_mark_that_comes_back_sooner_than_its_audio_can_be_played_is_not_believed() -> None:
    leg = started()
    leg.play(FRAME, 1.0)
    leg.play(FRAME * 5, 1.0)

    leg.receive(mark("g0:120"), 1.01)

    assert heard(leg) == Heard(10, 10)


def test_marks_that_clear_brings_back_were_not_heard() -> None:
    leg = started()
    leg.play(FRAME * 11, 1.0)
    leg.receive(mark("g0:20"), 1.06)
    leg.clear(1.06)
    cut = heard(leg)

    leg.receive(mark("g0:120"), 1.1)
    leg.receive(mark("g0:220"), 1.1)
    leg.advance(2.0)

    # The mark took 40 ms more than its audio; until the clear is there 40 ms are played, 20 of them surely.
    assert cut == Heard(40, 60)
    assert leg.events() == []


def test_after_a_cut_the_axis_goes_on_behind_what_was_thrown_away() -> None:
    leg = started()
    leg.play(FRAME * 11, 1.0)
    leg.receive(mark("g0:20"), 1.06)
    leg.clear(1.06)
    leg.events()

    leg.play(FRAME * 2, 2.0)
    at_once = heard(leg)
    leg.receive(mark("g1:240"), 2.05)

    assert at_once == Heard(40, 220)
    assert heard(leg) == Heard(240, 260)


def test_a_mark_that_is_repeated_or_was_never_sent_is_counted_and_not_heard() -> None:
    leg = started()
    leg.play(FRAME * 6, 1.0)
    leg.receive(mark("g0:20"), 1.03)
    leg.events()

    for name in ("g0:20", "g0:60", "g7:20", "g0:999", "", "g" + "9" * 5000 + ":1"):
        leg.receive(mark(name), 1.03)

    assert leg.events() == [
        LegTrouble("stray_mark", name[:120])
        for name in ("g0:20", "g0:60", "g7:20", "g0:999", "", "g" + "9" * 5000 + ":1")
    ]


def test_a_pause_between_utterances_is_not_counted_as_playing() -> None:
    leg = started()
    leg.receive(media(155), 1.0)
    leg.play(FRAME, 1.0)
    leg.receive(mark("g0:20"), 1.03)
    for index in range(1, 100):
        leg.receive(media(155 + 20 * index), 1.0 + 0.02 * index)
    leg.events()

    leg.play(FRAME * 6, 3.0)
    leg.receive(media(155 + 2000), 3.0)
    leg.receive(media(155 + 2020), 3.02)

    assert heard(leg) == Heard(20, 40)


# -- whatever comes


_names = st.sampled_from(["g0:20", "g0:120", "g1:20", "g1:140", "x"]) | st.text(max_size=8)
_inputs = (
    st.text(max_size=30)
    | st.binary(max_size=30)
    | st.sampled_from([start(), start(call_sid="CA"), stop(), stop("x"), digit("5"), '{"event":"hold"}'])
    | st.builds(
        media,
        st.integers(0, 2**53) | st.integers(0, 400),
        st.binary(max_size=400),
        st.none() | st.integers(0, 50),
    )
    | st.builds(mark, _names)
    | st.sampled_from(["play", "clear", "advance"])
)


@settings(deadline=None)  # a minute of silence is half a megabyte
@given(st.lists(st.tuples(_inputs, st.floats(0, 0.3)), max_size=60))
def test_whatever_comes_in_whatever_order_the_leg_keeps_its_promises(
    steps: list[tuple[str | bytes, float]],
) -> None:
    leg = TwilioLegCore(CALL)
    leg.receive(start(), 0.0)
    now, sent_ms = 0.0, 0
    events: list[LegEvent] = []

    for step, passed_s in steps:
        now += passed_s
        if step == "play":
            leg.play(FRAME * 7, now)
            sent_ms += 140
        elif step == "clear":
            leg.clear(now)
        elif step == "advance":
            leg.advance(now)
        else:
            leg.receive(step, now)
        events += leg.events()

    caller = [event for event in events if isinstance(event, CallerAudio)]
    bounds = [event for event in events if isinstance(event, Heard)]
    ends = [index for index, event in enumerate(events) if isinstance(event, LegEnded)]
    samples = 0
    for audio in caller:  # gapless
        assert audio.at_ms == samples // 8
        samples += len(audio.payload)
    for before, after in pairwise(bounds):
        assert before.low_ms <= after.low_ms
    assert all(0 <= bound.low_ms <= bound.high_ms <= sent_ms for bound in bounds)
    assert ends in ([], [len(events) - 1])  # one end at most, and nothing after it
