"""The fake's Media Stream against recorded sessions and against each sentence of Twilio's documentation."""

import base64
import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.testing.twilio_playout import SILENCE
from gateway.testing.twilio_stream import MediaFormat, StreamWarning, TwilioStream

ACCOUNT, CALL, STREAM = "AC" + "a" * 32, "CA" + "b" * 32, "MZ" + "c" * 32
SPEECH = b"\x10"  # a loud sample
LISTENING = b"\x7f\xff" * 80

# Two real sessions as they were logged, with other identifiers.
RECORDED_QUIET_CALL = f"""\
{{"event":"connected","protocol":"Call","version":"1.0.0"}}
{{"event":"start","sequenceNumber":"1","start":{{"accountSid":"{ACCOUNT}","streamSid":"{STREAM}","callSid":"{CALL}",\
"tracks":["inbound"],"mediaFormat":{{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1}},\
"customParameters":{{}}}},"streamSid":"{STREAM}"}}
{{"event":"media","sequenceNumber":"2","media":{{"track":"inbound","chunk":"1","timestamp":"155",\
"payload":"{base64.b64encode(LISTENING).decode()}"}},"streamSid":"{STREAM}"}}""".splitlines()
RECORDED_MARKED_CALL = f"""\
{{"event":"connected","protocol":"Call","version":"1.0.0"}}
{{"event":"start","sequenceNumber":"1","start":{{"accountSid":"{ACCOUNT}","streamSid":"{STREAM}","callSid":"{CALL}",\
"tracks":["inbound"],"mediaFormat":{{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1}},\
"customParameters":{{}}}},"streamSid":"{STREAM}"}}
{{"event":"media","sequenceNumber":"2","media":{{"track":"inbound","chunk":"1","timestamp":"171",\
"payload":"{base64.b64encode(LISTENING).decode()}"}},"streamSid":"{STREAM}"}}
{{"event":"mark","sequenceNumber":"3","streamSid":"{STREAM}","mark":{{"name":"171"}}}}
{{"event":"stop","sequenceNumber":"4","streamSid":"{STREAM}","stop":{{"accountSid":"{ACCOUNT}","callSid":"{CALL}"}}}}\
""".splitlines()


def a_stream(**changes: Any) -> TwilioStream:
    settings: dict[str, Any] = {
        "account_sid": ACCOUNT,
        "call_sid": CALL,
        "stream_sid": STREAM,
        "custom_parameters": {},
    }
    return TwilioStream(**{**settings, **changes})


def media(audio: bytes, stream_sid: str = STREAM) -> str:
    payload = base64.b64encode(audio).decode()
    return json.dumps({"event": "media", "streamSid": stream_sid, "media": {"payload": payload}})


def mark(name: str) -> str:
    return json.dumps({"event": "mark", "streamSid": STREAM, "mark": {"name": name}})


CLEAR = json.dumps({"event": "clear", "streamSid": STREAM})


def names(messages: Iterable[str]) -> list[str]:
    return [json.loads(message)["mark"]["name"] for message in messages]


# -- what Twilio sends --------------------------------------------------------------------------------


def test_a_quiet_call_begins_byte_for_byte_as_recorded() -> None:
    stream = a_stream(first_timestamp_ms=155)

    sent = [*stream.start_messages(), stream.caller_frame(LISTENING)]

    assert sent == RECORDED_QUIET_CALL


def test_a_call_with_a_mark_is_byte_for_byte_as_recorded() -> None:
    stream = a_stream(first_timestamp_ms=171)

    sent = [*stream.start_messages(), stream.caller_frame(LISTENING)]
    sent += stream.receive(mark("171"), 0.0)
    sent.append(stream.stop())

    assert sent == RECORDED_MARKED_CALL


def test_the_73rd_frame_has_the_number_and_the_timestamp_that_were_recorded() -> None:
    stream = a_stream(first_timestamp_ms=155)
    stream.start_messages()

    frame = json.loads([stream.caller_frame(LISTENING) for _ in range(73)][-1])

    assert frame["sequenceNumber"] == "74"
    assert frame["media"]["chunk"] == "73"
    assert frame["media"]["timestamp"] == "1593"


def test_connected_has_neither_a_stream_nor_a_sequence_number() -> None:
    connected = json.loads(a_stream().start_messages()[0])

    assert connected == {"event": "connected", "protocol": "Call", "version": "1.0.0"}


def test_start_is_number_one_and_the_first_media_number_two_and_chunk_one() -> None:
    stream = a_stream()

    start = json.loads(stream.start_messages()[1])
    frame = json.loads(stream.caller_frame(LISTENING))

    assert (start["sequenceNumber"], frame["sequenceNumber"], frame["media"]["chunk"]) == ("1", "2", "1")


def test_counters_and_timestamps_are_strings() -> None:
    stream = a_stream()
    stream.start_messages()

    frame = json.loads(stream.caller_frame(LISTENING))

    values = [frame["sequenceNumber"], frame["media"]["chunk"], frame["media"]["timestamp"]]
    assert all(isinstance(value, str) for value in values)


def test_timestamps_step_by_20_ms_give_or_take_a_clock_reading() -> None:
    stream = a_stream(first_timestamp_ms=155)

    frames = [json.loads(stream.caller_frame(LISTENING)) for _ in range(500)]

    errors = {int(frame["media"]["timestamp"]) - 155 - 20 * i for i, frame in enumerate(frames)}
    assert errors == {0, 1, -1, -2}


def test_timestamps_can_be_made_exact() -> None:
    stream = a_stream(first_timestamp_ms=171, timestamp_jitter_ms=(0,))

    frames = [json.loads(stream.caller_frame(LISTENING)) for _ in range(3)]

    assert [frame["media"]["timestamp"] for frame in frames] == ["171", "191", "211"]


def test_marks_and_digits_consume_sequence_numbers_and_no_chunk() -> None:
    stream = a_stream()
    stream.start_messages()

    sent = [
        stream.caller_frame(LISTENING),
        *stream.receive(mark("m"), 0.0),
        stream.digit("5"),
        stream.caller_frame(LISTENING),
    ]

    messages = [json.loads(text) for text in sent]
    assert [message["sequenceNumber"] for message in messages] == ["2", "3", "4", "5"]
    assert [messages[0]["media"]["chunk"], messages[3]["media"]["chunk"]] == ["1", "2"]


def test_a_digit_is_on_the_oddly_spelt_inbound_track_with_nothing_else() -> None:
    stream = a_stream()

    text = stream.digit("#")

    assert text == (
        f'{{"event":"dtmf","streamSid":"{STREAM}","sequenceNumber":"1",'
        '"dtmf":{"track":"inbound_track","digit":"#"}}'
    )


def test_custom_parameters_travel_in_start() -> None:
    start = json.loads(a_stream(custom_parameters={"call": "c1"}).start_messages()[1])

    assert start["start"]["customParameters"] == {"call": "c1"}


def test_custom_parameters_can_be_absent() -> None:
    start = json.loads(a_stream(custom_parameters=None).start_messages()[1])

    assert "customParameters" not in start["start"]


def test_another_media_format_is_announced_with_numbers() -> None:
    announced = MediaFormat(encoding="audio/l16", sample_rate=16000, channels=1)

    start = json.loads(a_stream(media_format=announced).start_messages()[1])

    assert start["start"]["mediaFormat"] == {"encoding": "audio/l16", "sampleRate": 16000, "channels": 1}


def test_a_caller_frame_is_160_bytes() -> None:
    with pytest.raises(ValueError, match="160"):
        a_stream().caller_frame(b"\xff" * 159)


def test_discarded_caller_audio_leaves_a_hole_in_chunk_and_time_but_not_in_the_sequence() -> None:
    stream = a_stream(timestamp_jitter_ms=(0,))
    first = json.loads(stream.caller_frame(LISTENING))

    stream.discard_caller_frame(1.0)
    stream.discard_caller_frame(1.02)
    second = json.loads(stream.caller_frame(LISTENING))

    assert (first["sequenceNumber"], second["sequenceNumber"]) == ("1", "2")
    assert (first["media"]["chunk"], second["media"]["chunk"]) == ("1", "4")
    assert int(second["media"]["timestamp"]) - int(first["media"]["timestamp"]) == 60
    assert [warning.code for warning in stream.warnings] == [31930]


# -- playing ------------------------------------------------------------------------------------------


def test_audio_is_played_at_the_speed_of_the_clock_however_fast_it_came() -> None:
    stream = a_stream()

    stream.receive(media(SPEECH * 8000), 10.0)
    stream.advance(10.25)

    assert stream.played == [(10.0, SPEECH * 2000)]
    assert stream.queued_ms == 750


def test_payloads_of_any_size_are_played_in_order_without_a_hole() -> None:
    stream = a_stream()

    for size, sample in ((1, b"\x01"), (159, b"\x02"), (1000, b"\x03"), (7, b"\x04")):
        stream.receive(media(sample * size), 0.0)
    stream.advance(5.0)

    assert stream.played == [(0.0, b"\x01" + b"\x02" * 159 + b"\x03" * 1000 + b"\x04" * 7)]


def test_frames_that_arrive_just_in_time_are_one_run() -> None:
    stream = a_stream()

    for i in range(500):
        stream.receive(media(SPEECH * 160), 3.7 + i * 0.02)
    stream.advance(99.0)

    assert stream.played == [(3.7, SPEECH * 160 * 500)]
    assert stream.underruns == []


def test_a_late_frame_is_a_hole_within_the_utterance() -> None:
    stream = a_stream()

    stream.receive(media(SPEECH * 160), 1.0)
    stream.receive(media(SPEECH * 160), 1.05)
    stream.advance(2.0)

    assert [start for start, _ in stream.played] == [1.0, 1.05]
    assert [(hole.at_s, round(hole.gap_ms, 6)) for hole in stream.underruns] == [(1.02, 30)]


def test_the_pause_between_two_utterances_is_no_underrun() -> None:
    stream = a_stream()

    stream.receive(media(SPEECH * 160), 1.0)
    stream.receive(media(SPEECH * 160), 1.5)

    assert stream.underruns == []


def test_the_hole_that_a_clear_leaves_is_no_underrun() -> None:
    stream = a_stream()

    stream.receive(media(SPEECH * 1600), 1.0)
    stream.receive(CLEAR, 1.1)
    stream.receive(media(SPEECH * 160), 1.2)
    stream.advance(2.0)

    assert stream.played == [(1.0, SPEECH * 800), (1.2, SPEECH * 160)]
    assert stream.underruns == []


def test_the_deepest_queue_is_remembered() -> None:
    stream = a_stream()

    stream.receive(media(SPEECH * 8000), 0.0)
    stream.receive(media(SPEECH * 8000), 0.5)
    stream.advance(2.0)

    assert stream.max_queued_ms == 1500
    assert stream.queued_ms == 0


def test_the_end_of_what_could_be_heard_is_known_to_the_sample() -> None:
    stream = a_stream()

    stream.receive(media(SPEECH * 800 + SILENCE * 800), 1.0)
    stream.advance(2.0)

    assert stream.last_audible_s == pytest.approx(1.1)


def test_silence_that_is_played_is_never_audible() -> None:
    stream = a_stream()

    stream.receive(media(b"\xff\x7f" * 800), 1.0)
    stream.advance(2.0)

    assert stream.last_audible_s is None


# -- marks and clear ----------------------------------------------------------------------------------


def test_a_mark_comes_back_when_everything_before_it_was_played() -> None:
    stream = a_stream()
    stream.receive(media(SPEECH * 1600), 0.0)
    stream.receive(mark("a"), 0.0)

    early = stream.advance(0.199)
    due = stream.advance(0.2)

    assert early == []
    assert names(due) == ["a"]


def test_a_mark_with_nothing_before_it_comes_back_at_once() -> None:
    stream = a_stream()

    answers = stream.receive(mark("a"), 0.0)

    assert names(answers) == ["a"]


def test_marks_come_back_in_order_each_at_its_time() -> None:
    stream = a_stream()
    for name in "abc":
        stream.receive(media(SPEECH * 160), 0.0)
        stream.receive(mark(name), 0.0)

    returned = [(now, names(stream.advance(now))) for now in (0.01, 0.02, 0.05, 0.06)]

    assert returned == [(0.01, []), (0.02, ["a"]), (0.05, ["b"]), (0.06, ["c"])]


def test_clear_empties_the_queue_and_returns_every_waiting_mark_at_once() -> None:
    stream = a_stream()
    for name in "abc":
        stream.receive(media(SPEECH * 800), 0.0)
        stream.receive(mark(name), 0.0)

    answers = stream.receive(CLEAR, 0.15)
    stream.advance(9.0)

    assert names(answers) == ["a", "b", "c"]
    assert stream.played == [(0.0, SPEECH * 1200)]
    assert stream.cleared_ms == 150


def test_a_mark_that_a_clear_returned_does_not_come_back_again() -> None:
    stream = a_stream()
    stream.receive(media(SPEECH * 800), 0.0)
    stream.receive(mark("a"), 0.0)
    stream.receive(CLEAR, 0.0)

    later = stream.advance(9.0)

    assert later == []


def test_clear_with_nothing_queued_is_harmless() -> None:
    stream = a_stream()

    answers = stream.receive(CLEAR, 0.0)

    assert answers == []
    assert stream.warnings == []


def test_ten_minutes_are_queued_and_what_is_more_is_discarded_with_one_warning() -> None:
    stream = a_stream()
    for _ in range(600):
        stream.receive(media(SPEECH * 8000), 0.0)

    for _ in range(3):
        stream.receive(media(SPEECH * 160), 0.0)

    assert stream.queued_ms == 600_000
    assert stream.discarded_bytes == 480
    assert [warning.code for warning in stream.warnings] == [31931]


def test_after_the_queue_drained_audio_is_taken_again() -> None:
    stream = a_stream()
    stream.receive(media(SPEECH * 8000 * 600), 0.0)
    stream.receive(media(SPEECH * 160), 0.0)

    stream.receive(media(SPEECH * 160), 0.02)

    assert stream.queued_ms == 600_000


# -- what Twilio warns of -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        '"media"',
        "{}",
        json.dumps({"event": "dtmf", "streamSid": STREAM, "dtmf": {"digit": "1"}}),
        json.dumps({"event": "media", "streamSid": STREAM}),
        json.dumps({"event": "media", "media": {"payload": ""}}),
        json.dumps({"event": "media", "streamSid": STREAM, "media": {"payload": "%%%%"}}),
        json.dumps({"event": "media", "streamSid": STREAM, "media": {"payload": "AAA"}}),
        json.dumps({"event": "media", "streamSid": STREAM, "media": {"payload": "", "track": "outbound"}}),
        json.dumps({"event": "media", "streamSid": STREAM, "sequenceNumber": "1", "media": {"payload": ""}}),
        json.dumps({"event": "mark", "streamSid": STREAM, "mark": {}}),
        json.dumps({"event": "mark", "streamSid": STREAM, "mark": {"name": 1}}),
        json.dumps({"event": "clear", "streamSid": STREAM, "clear": {}}),
        json.dumps({"event": "clear", "streamSid": "MZ" + "0" * 32}),
        media(SPEECH, stream_sid="MZ" + "0" * 32),
    ],
)
def test_what_is_not_exactly_media_mark_or_clear_is_ignored_with_31951(text: str) -> None:
    stream = a_stream()

    answers = stream.receive(text, 1.0)

    assert answers == []
    assert stream.queued_ms == 0
    assert [(warning.code, warning.at_s) for warning in stream.warnings] == [(31951, 1.0)]


def test_31951_is_given_once_a_stream() -> None:
    stream = a_stream()

    for text in ("not json", "{}", CLEAR.replace("clear", "pause")):
        stream.receive(text, 0.0)

    assert [warning.code for warning in stream.warnings] == [31951]


def test_a_binary_frame_is_ignored_with_31950_even_when_its_text_is_right() -> None:
    stream = a_stream()

    stream.receive(media(SPEECH * 160).encode(), 2.0)
    stream.receive(b"", 2.0)

    assert stream.queued_ms == 0
    assert stream.warnings == [StreamWarning(31950, "a binary frame", 2.0)]


def test_a_valid_message_after_an_invalid_one_is_taken() -> None:
    stream = a_stream()
    stream.receive("not json", 0.0)

    stream.receive(media(SPEECH * 160), 0.0)

    assert stream.queued_ms == 20


def test_a_good_stream_has_no_warning() -> None:
    stream = a_stream()

    for text in (media(SPEECH * 160), mark("a"), CLEAR, media(b"")):
        stream.receive(text, 0.0)

    assert stream.warnings == []


# -- for any order ------------------------------------------------------------------------------------

steps = st.lists(
    st.tuples(
        st.sampled_from(["media", "mark", "clear", "wait"]),
        st.integers(min_value=0, max_value=2000),
    ),
    max_size=60,
)


@given(steps)
def test_audio_is_played_or_cleared_or_waits_and_every_mark_comes_back_once(
    script: list[tuple[str, int]],
) -> None:
    stream = a_stream()
    now, sent_bytes, sent_marks, answers = 0.0, 0, [], []

    for index, (step, size) in enumerate(script):
        match step:
            case "media":
                answers += stream.receive(media(bytes([index]) * size), now)
                sent_bytes += size
            case "mark":
                answers += stream.receive(mark(str(index)), now)
                sent_marks.append(str(index))
            case "clear":
                answers += stream.receive(CLEAR, now)
            case "wait":
                now += size / 8000
                answers += stream.advance(now)
    queued_ms = stream.queued_ms
    answers += stream.advance(now + 1000)

    heard_ms = sum(len(audio) for _, audio in stream.played) / 8
    assert heard_ms + stream.cleared_ms == sent_bytes / 8
    assert queued_ms <= sent_bytes / 8
    assert names(answers) == sent_marks
    ends = [(start, start + len(audio) / 8000) for start, audio in stream.played]
    assert all(end <= start + 1e-9 for (_, end), (start, _) in pairwise(ends))
