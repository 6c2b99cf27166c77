"""The two ways of audio through a call: what comes out, in which format, and what is known to be heard."""

import numpy as np
from numpy.typing import NDArray

from gateway.audio.g711 import CODECS
from gateway.calls.paths import Downlink
from gateway.contracts import AudioFormat, Heard
from gateway.media.stereo import StereoMix
from tests.calls.line import Line

PCMU, PCMA = CODECS["pcmu"], CODECS["pcma"]
PCM, PCM_16 = AudioFormat(), AudioFormat(rate_hz=16_000)
PHONE = AudioFormat(encoding="pcmu", rate_hz=8000)
EVERY_CODE = bytes(range(256)) * 5  # 160 ms


def level(ms: int, form: AudioFormat = PCM, sample: int = 8000) -> bytes:
    """A constant level: it stays what it is whatever it is resampled to."""
    return sample.to_bytes(2, "little") * (form.rate_hz * ms // 1000)


def samples(audio: bytes) -> NDArray[np.int16]:
    return np.frombuffer(PCMU.decode(audio), "<i2")


def heard_in(mix: StereoMix) -> tuple[int, int]:
    """From which sample to which the agent is in the first second of the recording."""
    agent = np.frombuffer(mix.take(1.0), "<i2")[1::2]
    loud = np.flatnonzero(agent)
    return int(loud[0]), int(loud[-1]) + 1


def downlink(line: Line | None = None, codec: str = "pcmu", mix: StereoMix | None = None) -> Downlink:
    return Downlink(line or Line(), CODECS[codec], mix)


def played_out(path: Downlink, line: Line, *, until_ms: int = 10_000) -> bytes:
    """Let all of it be sent, at its pace."""
    for at_ms in range(0, until_ms, 20):
        path.pump(at_ms / 1000)
    return line.audio


# -- voice to caller


def test_the_bytes_of_a_voice_with_the_lines_codec_reach_the_caller_untouched():
    line = Line()
    path = downlink(line)
    path.add("i1", EVERY_CODE, PHONE)
    path.finish("i1")

    assert played_out(path, line) == EVERY_CODE


def test_the_bytes_of_a_voice_with_the_other_codec_are_the_same_sound():
    line = Line()
    path = downlink(line, "pcma")
    path.add("i1", EVERY_CODE, PHONE)
    path.finish("i1")

    assert played_out(path, line) == PCMA.encode(PCMU.decode(EVERY_CODE))


def test_linear_audio_of_any_rate_is_as_long_on_the_line():
    for form in (PCM, PCM_16, AudioFormat(rate_hz=8000)):
        line = Line()
        path = downlink(line)
        path.add("i1", level(200, form), form)

        played_out(path, line)

        assert len(line.audio) == 200 * 8, form


def test_the_last_samples_of_an_item_leave_the_filter_when_it_is_finished():
    line = Line()
    path = downlink(line)
    path.add("i1", level(100), PCM)

    path.finish("i1")

    loud = samples(played_out(path, line)) > 6000
    assert 99 <= loud.sum() / 8 <= 101
    assert not loud[-160:].all()


def test_the_last_frame_of_an_item_is_filled_with_silence():
    line = Line()
    path = downlink(line, "pcma")
    path.add("i1", b"\x11" * 100, AudioFormat(encoding="pcma", rate_hz=8000))

    path.finish("i1")

    assert played_out(path, line) == b"\x11" * 100 + PCMA.silence * 60


def test_an_item_can_be_finished_twice_or_without_audio():
    line = Line()
    path = downlink(line)
    path.finish("i0")
    path.add("i1", EVERY_CODE, PHONE)

    path.finish("i1")
    path.finish("i1")

    assert played_out(path, line) == EVERY_CODE


def test_items_play_in_the_order_in_which_they_came_whatever_their_format():
    line = Line()
    path = downlink(line)
    path.add("i1", b"\x11" * 160, PHONE)
    path.finish("i1")
    path.add("clip1", level(20), PCM)
    path.finish("clip1")
    path.add("i2", b"\x22" * 160, PHONE)
    path.finish("i2")

    audio = played_out(path, line)

    assert audio[:160] == b"\x11" * 160
    assert audio[-160:] == b"\x22" * 160
    assert len(audio) == 4 * 160


def test_what_is_sent_is_never_further_ahead_than_the_leg_wants():
    line = Line(lead_ms=100)
    path = downlink(line)
    path.add("i1", bytes(8 * 1000), PHONE)

    path.pump(0.0)
    assert len(line.audio) == 100 * 8
    path.pump(0.5)

    assert len(line.audio) == 200 * 8


def test_nothing_is_sent_when_nothing_is_due():
    path = downlink()

    assert not path.pump(0.0)
    path.add("i1", bytes(160), PHONE)
    assert path.pump(0.02)
    assert not path.pump(0.04)


def test_more_than_five_minutes_of_a_response_are_too_much():
    path = downlink()
    path.add("i1", bytes(8 * 1000 * 300), PHONE)
    assert not path.overfull

    path.add("i1", bytes(8 * 20), PHONE)

    assert path.overfull


# -- what is heard


def test_the_caller_hears_the_agent_as_long_as_the_far_end_has_audio():
    path = downlink(Line())
    path.add("i1", bytes(8 * 100), PHONE)
    assert (path.speaking(0.0), path.sounding(0.0)) == (True, False)

    path.pump(0.0)

    assert (path.speaking(0.05), path.sounding(0.05)) == (True, True)
    assert (path.speaking(0.1), path.sounding(0.1)) == (False, False)


def test_a_leg_that_confirms_is_silent_when_it_has_confirmed():
    path = downlink(Line())
    path.add("i1", bytes(8 * 100), PHONE)
    path.pump(0.0)

    assert not path.silent(0.5, ticked=True)
    path.heard(Heard(100.0, 100.0))

    assert path.silent(0.5, ticked=True)


def test_a_leg_that_does_not_tell_is_silent_a_second_later():
    path = downlink(Line())
    path.add("i1", bytes(8 * 100), PHONE)
    path.pump(0.0)

    assert not path.silent(1.09, ticked=True)
    assert path.silent(1.1, ticked=True)


# -- keys


def test_keys_are_pressed_where_their_item_begins():
    line = Line(sends_digits=True)
    path = downlink(line)
    path.add("i1", EVERY_CODE, PHONE)
    path.sound("keys", bytes(48 * 360), "12")

    played_out(path, line)

    assert line.digits == [(len(EVERY_CODE), "12")]


def test_keys_that_were_pressed_are_not_pressed_again_when_their_item_is():
    line = Line(sends_digits=True)
    path = downlink(line)
    path.sound("keys", bytes(48 * 180), "1")
    path.pump(0.0)

    interrupted(line, path, 0.02, 0.0)
    path.resume()
    path.pump(0.1)

    assert line.digits == [(0, "1")]


def test_keys_that_were_dropped_are_not_pressed():
    line = Line(sends_digits=True)
    path = downlink(line)
    path.add("i1", EVERY_CODE * 3, PHONE)
    path.sound("keys", bytes(48 * 180), "1")
    path.pump(0.0)

    interrupted(line, path, 0.02, 0.0)
    path.drop(0.02)
    path.resume()
    played_out(path, line)

    assert line.digits == []


# -- on hold


def test_what_was_not_heard_before_a_hold_is_sent_after_it():
    line = Line()
    path = talking(line)
    before = len(line.audio)

    path.clear(0.06)
    path.heard(Heard(60.0, 60.0))
    path.park(0.06)
    sent_on_hold = path.pump(3.0)
    path.unpark()
    path.pump(5.0)

    assert not sent_on_hold
    assert line.audio[before:] == EVERY_CODE[60 * 8 :]


def test_what_is_said_on_hold_waits():
    line = Line()
    path = downlink(line)
    path.clear(0.0)
    path.park(0.0)
    path.add("i1", EVERY_CODE, PHONE)
    path.finish("i1")

    assert not path.pump(1.0)
    assert path.speaking(1.0)
    assert not path.silent(100.0, ticked=True)

    path.unpark()

    assert path.pump(101.0)


def test_an_interruption_that_was_none_lets_nobody_speak_on_hold():
    line = Line()
    path = talking(line)
    interrupted(line, path, 0.06, 60.0)
    path.clear(0.08)
    path.park(0.08)

    path.resume()

    assert not path.pump(1.0)
    path.unpark()
    assert path.pump(2.0)


def test_a_hold_that_ends_lets_nobody_speak_who_is_interrupted():
    line = Line()
    path = talking(line)
    path.clear(0.06)
    path.heard(Heard(60.0, 60.0))
    path.park(0.06)
    path.hold(0.08)

    path.unpark()

    assert not path.pump(1.0)
    path.resume()
    assert path.pump(2.0)


def test_what_is_dropped_on_hold_is_gone_and_what_comes_then_waits():
    line = Line()
    path = talking(line)
    before = len(line.audio)
    path.clear(0.06)
    path.heard(Heard(60.0, 60.0))
    path.park(0.06)

    path.drop(0.1)
    path.add("i2", b"\x22" * 160, PHONE)

    assert not path.pump(1.0)
    path.unpark()
    path.pump(2.0)
    assert line.audio[before:] == b"\x22" * 160


# -- an interruption


def interrupted(line: Line, path: Downlink, at: float, heard_ms: float) -> None:
    """The caller makes a sound: he has heard so much."""
    path.clear(at)
    path.heard(Heard(heard_ms, heard_ms))
    path.hold(at)
    assert line.clears[-1] == at


def talking(line: Line, audio: bytes = EVERY_CODE) -> Downlink:
    """All of the audio was sent by now."""
    path = downlink(line)
    path.add("i1", audio, PHONE)
    path.finish("i1")
    path.pump(0.0)
    return path


def test_while_it_is_held_nothing_is_sent_and_nothing_is_lost():
    line = Line()
    path = talking(line)

    interrupted(line, path, 0.06, 60.0)
    path.add("i2", b"\x22" * 160, PHONE)

    assert not path.pump(0.5)
    assert path.held
    assert path.speaking(0.5)


def test_what_was_not_heard_is_played_once_more_from_its_frame_on():
    line = Line()
    path = talking(line)
    interrupted(line, path, 0.07, 70.0)
    sent = len(line.audio)

    path.resume()
    path.pump(1.0)

    assert line.audio[sent:] == EVERY_CODE[60 * 8 :]
    assert not path.held


def test_what_was_under_way_when_a_hold_came_never_becomes_heard():
    line = Line()
    path = downlink(line)
    path.add("i1", EVERY_CODE, PHONE)
    path.finish("i1")
    path.pump(0.0)
    path.heard(Heard(100, 160))
    path.pump(0.2)

    path.park(0.2)
    path.unpark()
    path.add("i2", EVERY_CODE, PHONE)
    path.pump(0.2)
    path.heard(Heard(240, 320))

    assert (path.ledger.item("i1").low_ms, path.ledger.item("i2").low_ms) == (100, 80)


def test_what_a_stall_let_be_played_in_part_goes_on_where_the_ledger_says():
    line = Line(lead_ms=80)
    path = downlink(line)
    path.add("i1", EVERY_CODE, PHONE)
    path.finish("i1")
    path.pump(0.0)
    path.heard(Heard(20, 40))  # of the 80 ms that the leg was given, it has sent no more

    path.hold(0.5)
    path.resume()
    path.pump(0.5)

    assert line.played[-1] == EVERY_CODE[320:960]
    assert path.ledger.item("i1").sent_ms == 120


def test_what_came_while_it_was_held_plays_behind_what_was_held():
    line = Line()
    path = talking(line)
    interrupted(line, path, 0.08, 80.0)
    path.add("i2", b"\x22" * 160, PHONE)
    sent = len(line.audio)

    path.resume()
    path.pump(1.0)

    assert line.audio[sent:] == EVERY_CODE[80 * 8 :] + b"\x22" * 160


def test_dropped_audio_is_never_played():
    line = Line()
    path = talking(line)
    interrupted(line, path, 0.06, 60.0)
    sent = len(line.audio)

    path.drop(0.06)
    path.pump(1.0)

    assert len(line.audio) == sent
    assert not path.held
    assert not path.speaking(1.0)


def test_of_what_is_dropped_it_is_told_how_much_was_heard_at_least():
    line = Line()
    path = talking(line)
    path.add("i2", bytes(160), PHONE)
    interrupted(line, path, 0.06, 60.0)

    cut = path.drop(0.06)

    assert [(item.item, heard_ms) for item, heard_ms in cut] == [("i1", 58), ("i2", 0)]


def test_what_was_heard_to_its_end_has_lost_nothing():
    line = Line()
    path = talking(line)
    interrupted(line, path, 0.5, 160.0)

    assert list(path.drop(0.5)) == []


def test_a_second_cut_drops_nothing_more():
    line = Line()
    path = talking(line)
    interrupted(line, path, 0.06, 60.0)
    path.drop(0.06)

    assert list(path.drop(0.08)) == []


def test_what_was_held_and_resumed_can_be_cut_later():
    line = Line()
    path = talking(line)
    interrupted(line, path, 0.06, 60.0)
    path.resume()
    path.pump(1.0)
    interrupted(line, path, 1.05, 200.0)

    ((item, heard_ms),) = path.drop(1.05)

    # Of 160 ms sent first, 60 were heard and 100 came to nothing on the axis; then 40 more were heard.
    assert (item.item, heard_ms) == ("i1", 98)


def test_an_answer_after_a_cut_begins_as_if_nothing_had_been_said():
    def answer_after(*, cut: bool) -> bytes:
        line = Line()
        path = downlink(line)
        if cut:
            path.add("i1", level(100, sample=30_000), PCM)
            path.drop(0.0)
        path.add("i2", level(100), PCM)
        path.finish("i2")
        return played_out(path, line)

    assert answer_after(cut=True) == answer_after(cut=False)


def test_an_item_that_was_cut_can_still_be_finished():
    line = Line()
    path = downlink(line)
    path.add("i1", level(100), PCM)
    path.drop(0.0)

    path.finish("i1")

    assert played_out(path, line) == b""


# -- the recording


def test_the_recording_has_the_agent_where_the_caller_hears_him():
    line, mix = Line(), StereoMix()
    path = downlink(line, mix=mix)
    mix.caller(bytes(2 * 8 * 1000), 1.0)
    path.add("i1", b"\x11" * 160, PHONE)

    path.pump(0.5)

    assert heard_in(mix) == (4000, 4160)


def test_what_was_cleared_before_it_was_played_is_not_in_the_recording():
    line, mix = Line(), StereoMix()
    path = downlink(line, mix=mix)
    mix.caller(bytes(2 * 8 * 1000), 1.0)
    path.add("i1", b"\x11" * 1600, PHONE)
    path.pump(0.5)

    path.clear(0.6)

    assert heard_in(mix) == (4000, 4800)


# -- hours


def test_hours_of_answers_cost_no_more_than_the_last_ones():
    line = Line()
    path = downlink(line)
    for number in range(2000):
        path.add(f"i{number}", bytes(160), PHONE)
        path.finish(f"i{number}")
        path.pump(number / 10)
        path.heard(Heard(20.0 * number, 20.0 * number))
    line.played.clear()

    path.add("last", bytes(320), PHONE)

    assert [item.item for item, _ in path.drop(300.0)] == ["i1999", "last"]
