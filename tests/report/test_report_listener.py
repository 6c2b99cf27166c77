import base64
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.carriers.readers import READERS
from gateway.contracts import CarrierMessage, CloseVoice, Fact, LoadClip, OpenVoice, Synthesize, VoiceMessage
from gateway.report import happenings as h
from gateway.report.latency import turns
from gateway.report.reading import read_call
from gateway.report.story import tell
from tests.report.made_calls import FRAME_MS, MadeCall, delta, media, play, said


def configure(session: int, **audio: Any) -> VoiceMessage:
    return VoiceMessage(json.dumps({"type": "session.update", "session": {"audio": audio}}), 0, session)


def stops(call: MadeCall, t_ms: float, *, audio_end_ms: int, silent_ms: int) -> None:
    event = said("input_audio_buffer.speech_stopped", audio_end_ms=audio_end_ms, item_id="turn")
    call.at(t_ms, "voice", event, Fact("caller.stopped", {"silent_ms": silent_ms}))


def the_stop(folder: Path) -> h.CallerStopped:
    return next(each for each in read_call(folder, READERS).happenings if isinstance(each, h.CallerStopped))


def test_the_end_of_speech_is_found_in_the_message_that_brought_it(tmp_path: Path):
    call = MadeCall(tmp_path).caller_audio(0, 2000)
    stops(call, 2005, audio_end_ms=1990, silent_ms=510)

    stop = the_stop(call.write())

    assert stop.stopped_us == 1_495_000
    assert stop.carried_us == stop.appended_us == 1_500_000  # the frame of 1480 to 1500 ms
    assert stop.waited_us == 2_000_000  # that of 1980 to 2000 ms


def test_speech_that_ends_with_a_frame_left_the_resampler_with_the_next_one(tmp_path: Path):
    call = MadeCall(tmp_path).caller_audio(0, 2000)
    stops(call, 2000, audio_end_ms=2000, silent_ms=499)

    stop = the_stop(call.write())

    assert stop.carried_us == 1_500_000
    assert stop.appended_us == 1_520_000


def test_audio_that_waited_for_the_voice_is_found_where_the_carrier_brought_it(tmp_path: Path):
    call = MadeCall(tmp_path)
    call.at(0, "carrier", "", OpenVoice(session=1, agent="a", backend="b"))
    call.caller_audio(0, 1000, session=None)
    early = base64.b64encode(bytes(48 * 1000)).decode()
    append = json.dumps({"type": "input_audio_buffer.append", "audio": early})
    call.at(1010, "command", '{"type":"voice.opened","session":1}', VoiceMessage(append, 1000))
    call.caller_audio(1000, 1200)
    stops(call, 1200, audio_end_ms=1200, silent_ms=890)

    stop = the_stop(call.write())

    assert stop.carried_us == 320_000
    assert stop.appended_us == 1_010_000


def test_a_session_that_follows_has_an_axis_of_its_own(tmp_path: Path):
    call = MadeCall(tmp_path).caller_audio(0, 1000)
    again = base64.b64encode(bytes(48 * 500)).decode()
    append = json.dumps({"type": "input_audio_buffer.append", "audio": again})
    call.at(1000, "command", '{"type":"voice.opened","session":2}', VoiceMessage(append, 500, 2))
    call.caller_audio(1000, 2000, session=2)
    stops(call, 2000, audio_end_ms=1500, silent_ms=590)

    stop = the_stop(call.write())

    assert stop.carried_us == stop.appended_us == 1_420_000
    assert stop.waited_us == 2_000_000


def test_a_voice_that_hears_g711_is_measured_in_its_bytes(tmp_path: Path):
    call = MadeCall(tmp_path)
    call.at(0, "tick", "", configure(1, input={"format": {"type": "audio/pcmu"}}))
    payload = base64.b64encode(bytes(160)).decode()
    append = json.dumps({"type": "input_audio_buffer.append", "audio": payload})
    for t_ms in range(20, 1001, 20):
        call.at(t_ms, "carrier", media(), VoiceMessage(append, FRAME_MS))
    stops(call, 1000, audio_end_ms=1000, silent_ms=500)

    stop = the_stop(call.write())

    assert (stop.carried_us, stop.appended_us, stop.waited_us) == (500_000, 500_000, 1_000_000)


def test_a_voice_that_speaks_g711_is_measured_in_its_bytes(tmp_path: Path):
    call = MadeCall(tmp_path)
    opened = OpenVoice(session=3, agent="a", backend="b")
    call.at(0, "tick", "", opened, configure(3, output={"format": {"type": "audio/pcma"}}))
    payload = base64.b64encode(bytes(800)).decode()
    event = said("response.output_audio.delta", response_id="r", item_id="i", delta=payload)
    call.at(10, "voice", event)

    found = [each for each in read_call(call.write(), READERS).happenings if isinstance(each, h.AgentSpoke)]

    assert found == [h.AgentSpoke(10_000, "r", "i", 100.0)]


def test_what_a_standby_wants_is_not_what_the_session_that_talks_has(tmp_path: Path):
    call = MadeCall(tmp_path)
    call.at(0, "tick", "", OpenVoice(session=1, agent="a", backend="b"))
    call.at(1, "tick", "", OpenVoice(session=2, agent="a", backend="b"))
    call.at(2, "tick", "", configure(2, output={"format": {"type": "audio/pcmu"}}))
    call.at(10, "voice", delta(100))
    call.at(20, "tick", "", CloseVoice(session=1))
    call.at(30, "voice", delta(100))

    found = [
        each.ms for each in read_call(call.write(), READERS).happenings if isinstance(each, h.AgentSpoke)
    ]

    assert found == [100.0, 600.0]


def test_audio_of_a_response_that_was_cancelled_is_not_the_agents(tmp_path: Path):
    call = MadeCall(tmp_path).at(0, "voice", delta(100))
    call.at(10, "tick", "", VoiceMessage(json.dumps({"type": "response.cancel", "response_id": "resp"})))
    call.at(20, "voice", delta(100))
    call.at(30, "voice", said("response.output_audio.done", response_id="resp", item_id="item"))

    found = read_call(call.write(), READERS).happenings

    assert [type(each) for each in found] == [h.AgentSpoke]


@pytest.mark.parametrize("name", ["filler", "welcome"])
def test_a_filler_is_heard_when_it_is_played_not_when_it_is_loaded(tmp_path: Path, name: str):
    call = MadeCall(tmp_path).at(0, "tick", "", LoadClip(id=4, name=name))
    pcm = base64.b64encode(bytes(48 * 200)).decode()
    call.at(100, "command", json.dumps({"type": "clip.ready", "id": 4, "pcm": pcm}))
    call.at(900, "tick", "", Fact("filler.played", {"clip": name}), play(200))

    story = tell(read_call(call.write(), READERS).happenings)

    assert [(u.text, u.spans) for u in story.utterances] == [(f"({name})", [(900_000, 1_100_000)])]


def test_only_what_was_resampled_has_a_tail(tmp_path: Path):
    call = MadeCall(tmp_path)
    done = said("response.output_audio.done", response_id="r", item_id="i")
    call.at(0, "tick", "", OpenVoice(session=1, agent="a", backend="b"))
    call.at(10, "voice", done)
    call.at(20, "tick", "", configure(1, output={"format": {"type": "audio/pcmu"}}))
    call.at(30, "voice", done)

    found = [
        each for each in read_call(call.write(), READERS).happenings if isinstance(each, h.AgentSpokeAll)
    ]

    assert [each.tail_ms for each in found] == [2.0, 0.0]


def test_a_long_clip_that_stands_in_the_audio_file_as_text_is_read_whole(tmp_path: Path):
    call = MadeCall(tmp_path).at(0, "tick", "", Synthesize(id=1, text="A long text."))
    pcm = base64.b64encode(bytes(48 * 5000)).decode()
    call.at(100, "command", json.dumps({"type": "clip.ready", "id": 1, "pcm": pcm}))
    call.at(100, "tick", "", play(5000))

    story = tell(read_call(call.write(), READERS).happenings)

    assert [(u.text, u.spans) for u in story.utterances] == [("A long text.", [(100_000, 5_100_000)])]
    assert [event.name for event in story.events] == ["synthesize", "clip.ready"]


def test_messages_that_nobody_understands_are_passed_over(tmp_path: Path):
    call = MadeCall(tmp_path)
    for port in ("carrier", "voice", "command"):
        for text in ("", "{", "[]", '{"event":"new"}', '{"type":"new"}', '{"type":7}', "[" * 5000):
            call.at(0, port, text, VoiceMessage(text))
    call.at(0, "carrier", b"\x80\x00")

    assert read_call(call.write(), READERS).happenings == []


def test_a_carrier_that_the_report_does_not_know_leaves_turns_and_facts(tmp_path: Path):
    call = MadeCall(tmp_path, carrier="pigeons")
    call.at(0, "carrier", b"\x80" * 172, CarrierMessage("coo"))
    stops(call, 1000, audio_end_ms=1000, silent_ms=500)
    call.at(1100, "voice", said("response.created", response={"id": "resp"}))
    call.at(1200, "voice", delta(100), Fact("turn.answered", {"latency_ms": 700}))

    read = read_call(call.write(), READERS)

    assert "Nobody reads messages of pigeons: what it brought and was sent is not shown." in read.missing
    (turn,) = turns(read.happenings)
    assert [(s.name, s.us // 1000) for s in turn.segments] == [
        ("carrier in + resampler + end-of-turn silence + turn detection", 500),
        ("response start", 100),
        ("voice", 100),
        ("queue", 0),
    ]
