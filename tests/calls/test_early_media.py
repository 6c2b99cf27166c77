import numpy as np

from tests.calls.phone_call import SipCall


def test_early_media_is_recorded_and_no_voice_hears_it():
    call = SipCall()
    call.say(call.phone.agrees(early=True)).ticks(100, talking=True)

    call.answered().ticks(5)

    stereo = np.frombuffer(call.mix.finish(call.now), "<i2").reshape(-1, 2)
    before = stereo[: 8000 * 2, 0].astype(float)
    assert np.sqrt(np.mean(before**2)) > 1000
    assert call.facts("media.previewed") == [{"codec": "pcmu"}]
    assert len(call.told("input_audio_buffer.append")) <= 6


def test_the_same_early_media_gives_the_same_call():
    call = SipCall()
    call.say(call.phone.agrees(early=True)).ticks(50, talking=True).answered().ticks(50)

    assert call.again() == call.out
