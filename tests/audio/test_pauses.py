from gateway.audio.pauses import utterances
from gateway.audio.tones import sine


def silence(ms: int) -> bytes:
    return bytes(16 * ms)


def test_speech_is_parted_at_long_pauses_only():
    recording = (
        silence(1500) + sine(440, 600) + silence(400) + sine(440, 600) + silence(1500) + sine(440, 300)
    )

    parts = utterances(recording, 8000)

    assert [round(len(part) / 16, -2) for part in parts] == [2000, 500]


def test_a_recording_without_speech_has_no_utterance():
    assert utterances(silence(3000), 8000) == []
    assert utterances(b"", 8000) == []
