"""Keys that an agent presses."""

from gateway.audio.tones import dtmf
from gateway.calls.call_tools import Tones
from gateway.calls.keys import Press, presses


def tones(digits: str) -> Tones:
    return Tones(digits, dtmf(digits))


def test_keys_sound_where_there_are_no_events():
    assert [*presses(tones("1w#"), as_events=False)] == [Press("", dtmf("1w#"))]


def test_keys_are_events_in_silence_as_long_as_their_tones():
    assert [*presses(tones("12"), as_events=True)] == [Press("12", bytes(len(dtmf("12"))))]


def test_a_pause_between_keys_is_a_pause_between_events():
    keys = [*presses(tones("1,w2a"), as_events=True)]

    assert [press.digits for press in keys] == ["1", "", "2A"]
    assert len(keys[1].pcm) == 2 * 24_000
