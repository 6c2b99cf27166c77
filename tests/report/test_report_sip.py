"""What the report makes of a call over a SIP trunk, whose stream never pauses and names no item."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.building import LEG_CORES
from gateway.carriers.readers import READERS
from gateway.carriers.sip import leg_messages as sip
from gateway.media.latch import Address
from gateway.report import happenings as h
from gateway.report.latency import turns
from gateway.report.reading import RecordedCall, read_call
from gateway.report.story import Story, Utterance, tell
from gateway.traces.format import OUTPUTS_AUDIO
from gateway.traces.reader import TraceUnreadable
from gateway.wire.sdp.media import Direction
from tests.calls.phone_call import SipCall, said
from tests.report.made_sip_calls import recorded, sip_call

NOTHING = base64.b64encode(bytes(4800)).decode()  # 100 ms


def read(call: SipCall, folder: Path, **recording: Any) -> RecordedCall:
    return read_call(recorded(call, folder, **recording), READERS)


def story(call: SipCall, folder: Path, **recording: Any) -> Story:
    return tell(read(call, folder, **recording).happenings)


def spoken(call: SipCall, folder: Path, **recording: Any) -> Utterance:
    (utterance,) = [each for each in story(call, folder, **recording).utterances if each.who == "agent"]
    return utterance


def test_every_carrier_has_a_reader():
    assert set(READERS) == set(LEG_CORES)


def test_the_agent_speaks_as_long_as_what_he_says_from_when_it_is_sent(tmp_path: Path):
    call = SipCall().answered().ticks(10).responds(3000).ticks(200)

    utterance = spoken(call, tmp_path)

    assert utterance.spans == [(220_000, 3_240_000)]  # with the tail of the resampler


def test_ticks_that_come_late_tear_no_holes_into_what_the_agent_says(tmp_path: Path):
    call = SipCall(seed=3).answered().ticks(10, late_s=0.015).responds(3000).ticks(200, late_s=0.015)

    utterance = spoken(call, tmp_path)

    (span,) = utterance.spans
    assert span[1] - span[0] == 3_020_000


def test_silence_within_and_around_his_words_is_the_agents_own(tmp_path: Path):
    call = SipCall().answered().ticks(10)
    call.voice(type="response.created", response={"id": "r1", "status": "in_progress"})
    words = base64.b64encode(said(0)).decode()
    for audio in (NOTHING, words, NOTHING, words, NOTHING):
        call.voice(type="response.output_audio.delta", response_id="r1", item_id="i1", delta=audio)
    call.voice(type="response.output_audio.done", response_id="r1", item_id="i1").ticks(100)

    utterance = spoken(call, tmp_path)

    assert utterance.spans == [(220_000, 740_000)]


def test_silence_that_nobody_gave_is_nobodys(tmp_path: Path):
    call = SipCall().answered().ticks(200)

    assert story(call, tmp_path).utterances == []


def test_what_was_cut_stands_where_it_was_heard(tmp_path: Path):
    utterances = story(sip_call(), tmp_path).utterances

    (agent,) = [each for each in utterances if each.who == "agent"]
    assert agent.cut is not None
    assert agent.spans == [(680_000, 2_680_000)]
    assert (agent.cut.low_us, agent.cut.high_us) == (2_660_000, 2_680_000)


def test_an_agent_who_is_held_until_a_sound_was_nothing_speaks_twice(tmp_path: Path):
    call = SipCall(min_speech_ms=500).answered().ticks(10).responds(2000).ticks(50, talking=True)
    call.voice(type="input_audio_buffer.speech_started", audio_start_ms=0, item_id="u1").ticks(10)
    call.voice(type="input_audio_buffer.speech_stopped", audio_end_ms=190, item_id="u1").ticks(100)

    utterance = spoken(call, tmp_path)

    assert len(utterance.spans) == 2
    assert sum(to - since for since, to in utterance.spans) == pytest.approx(2_000_000, abs=40_000)


def test_while_the_caller_has_us_on_hold_the_agent_says_nothing(tmp_path: Path):
    call = SipCall().answered().ticks(10)
    call.say(call.phone.agrees(direction=Direction.RECVONLY)).responds(1000).ticks(100)
    call.say(call.phone.agrees()).ticks(100)

    utterance = spoken(call, tmp_path)

    assert utterance.from_us >= 110 * 20_000


def test_a_key_that_came_as_an_event_and_by_info_was_pressed_once(tmp_path: Path):
    call = SipCall().answered().ticks(10)
    call.say(*call.phone.press("5")).ticks(10)

    keys = story(call, tmp_path).keys

    assert [key.digit for key in keys] == ["5"]


def test_the_recording_begins_with_the_callers_first_audio(tmp_path: Path):
    call = SipCall()
    call.now = 3.0
    call._tick = 150
    call.answered().ticks(100)

    assert read(call, tmp_path).media_us == 3_000_000


def test_a_turn_is_told_boundary_by_boundary_up_to_the_first_packet(tmp_path: Path):
    call = SipCall().answered().ticks(10).responds(200).ticks(90, talking=True).ticks(50)
    call.voice(type="input_audio_buffer.speech_started", audio_start_ms=300, item_id="u1")
    call.voice(type="input_audio_buffer.speech_stopped", audio_end_ms=2900, item_id="u1").ticks(5)
    call.voice(type="response.created", response={"id": "r2", "status": "in_progress"}).ticks(5)
    words = base64.b64encode(said(0)).decode()
    call.voice(type="response.output_audio.delta", response_id="r2", item_id="i2", delta=words).ticks(10)

    (turn,) = turns(read(call, tmp_path).happenings)

    assert [segment.name for segment in turn.segments] == [
        *("carrier in", "resampler", "end-of-turn silence", "turn detection"),
        *("response start", "voice", "queue"),
    ]
    assert turn.us == turn.first_audio_us


def test_terms_of_media_are_in_the_list(tmp_path: Path):
    call = SipCall()
    call.say(call.phone.agrees(rtp=None, direction=Direction.INACTIVE, secure=True, event_payload_type=None))

    (agreed,) = [event for event in story(call, tmp_path).events if event.name == "media.agreed"]

    assert (agreed.kind, agreed.fields) == (
        "carrier",
        {
            "codec": "pcmu",
            "direction": "inactive",
            "to": "nowhere",
            "ptime_ms": 20,
            "srtp": True,
            "no_events": True,
        },
    )


def test_a_key_of_ours_and_a_report_are_no_audio():
    reader = READERS["sip"]()
    packet = b"\x80\x60" + bytes(10) + b"\x05\x0a\x00\xa0"
    agreed = SipCall().phone.agrees()

    list(reader.received(agreed, 0))

    for rtcp in (False, True):
        sent = sip.encode_datagram(sip.Datagram(Address("192.0.2.1", 17_000), packet, rtcp=rtcp))
        assert list(reader.sent(sent, 0)) == []


@pytest.mark.parametrize("carrier", sorted(READERS))
@given(messages=st.lists(st.text() | st.binary() | st.just("agreed"), max_size=5))
def test_whatever_a_peer_said_is_read_without_a_fall(carrier: str, messages: list[str | bytes]):
    reader = READERS[carrier]()
    agreed = SipCall().phone.agrees()

    found = [
        happening
        for at_us, message in enumerate(agreed if message == "agreed" else message for message in messages)
        for happening in (
            *reader.received(message, at_us),
            *reader.ticked(at_us),
            *reader.sent(message, at_us),
        )
    ]

    assert all(isinstance(happening, h.CarrierTold | h.CallerAudio) for happening in found)


@pytest.mark.parametrize("text", ["{}", "[]", '{"event":"sip.message"}', '{"event":"new"}', "[" * 5000])
def test_texts_that_are_no_messages_are_passed_over(text: str):
    reader = READERS["sip"]()

    assert list(reader.received(text, 0)) == []


def test_audio_that_was_sent_and_is_gone_from_the_file_is_told(tmp_path: Path):
    folder = recorded(SipCall().answered().ticks(10), tmp_path)
    (folder / OUTPUTS_AUDIO).write_bytes(b"")

    with pytest.raises(TraceUnreadable, match="names audio that"):
        read_call(folder, READERS)


def test_last_words_behind_the_end_are_read(tmp_path: Path):
    call = sip_call()
    passed: dict[str, Any] = json.loads(call.inputs[-1][1])

    signals = [each for each in read(call, tmp_path).happenings if isinstance(each, h.Signal)]

    assert (signals[-1].line, signals[-1].cseq) == (passed["line"], passed["cseq"]) == ("200 OK", "4 BYE")
