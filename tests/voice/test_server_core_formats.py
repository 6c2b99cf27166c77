"""The server core: audio in the client's format, each way by its own setting."""

import base64
from typing import Any

import numpy as np
import pytest

from gateway.audio.g711 import CODECS
from gateway.audio.resample import Downsampler, Upsampler
from gateway.voice.conversion import FILTER_MS
from gateway.voice.embedded.jobs import Transcribe
from tests.voice.core_client import Client, Event, error_of, one

PCM = {"type": "audio/pcm", "rate": 24000}
SENTENCE_MS = 510


def format_of(name: str) -> Event:
    return PCM if name == "pcm" else {"type": f"audio/{name}"}


def bytes_per_ms(name: str) -> int:
    return 48 if name == "pcm" else 8


def tone(rate_hz: int, seconds: float = 1.0) -> bytes:
    """A tone that a telephone carries."""
    phase = np.arange(int(rate_hz * seconds)) * 2 * np.pi * 440 / rate_hz
    return (8000 * np.sin(phase)).astype("<i2").tobytes()


def talking_in(given: str, said: str = "pcm", **options: Any) -> Client:
    """A client that speaks and hears in these formats, and ends its turns itself."""
    client = Client("Hello", **options)
    client.configure(
        audio={
            "input": {"format": format_of(given), "turn_detection": None},
            "output": {"format": format_of(said)},
        }
    )
    return client


def append(client: Client, audio: bytes) -> list[Event]:
    return client.send("input_audio_buffer.append", audio=base64.b64encode(audio).decode())


def committed(client: Client) -> bytes:
    """The clip that is committed, as the recognizer gets it."""
    client.working = False
    client.send("input_audio_buffer.commit")
    (job,) = client.jobs
    assert isinstance(job, Transcribe)
    return job.clip


def heard(events: list[Event]) -> bytes:
    deltas = (event["delta"] for event in events if event["type"] == "response.output_audio.delta")
    return b"".join(base64.b64decode(delta) for delta in deltas)


def says(client: Client, text: str, pcm: bytes) -> list[Event]:
    """Have something said that sounds so."""
    client._sentence = pcm
    return client.send("response.create", response={"metadata": {"say": text}})


# -- what the client says


@pytest.mark.parametrize("name", ["pcmu", "pcma"])
def test_telephone_audio_is_heard_as_what_it_is(name: str):
    client = talking_in(name)
    spoken = CODECS[name].encode(tone(8000))

    append(client, spoken)

    clip = committed(client)
    assert clip == Upsampler().feed(CODECS[name].decode(spoken))


def test_chunks_of_any_size_make_no_clicks():
    client = talking_in("pcmu")
    spoken = CODECS["pcmu"].encode(tone(8000))

    for at in range(0, len(spoken), 37):
        append(client, spoken[at : at + 37])

    assert committed(client) == Upsampler().feed(CODECS["pcmu"].decode(spoken))


@pytest.mark.parametrize("name", ["pcmu", "pcma"])
def test_an_odd_number_of_telephone_samples_is_audio(name: str):
    client = talking_in(name)

    events = append(client, CODECS[name].silence * 801)

    assert events == []
    assert len(committed(client)) == 48 * 100


@pytest.mark.parametrize("name", ["pcm", "pcmu", "pcma"])
def test_turns_in_every_format_are_found_on_the_same_axis(name: str):
    client = Client("Hello")
    client.configure(audio={"input": {"format": format_of(name)}})
    silence = b"\0" if name == "pcm" else CODECS[name].silence

    events = []
    for likely in [0.0] * 20 + [1.0] * 10 + [0.0] * 16:
        client._likely = likely
        events += append(client, silence * (32 * bytes_per_ms(name)))

    assert one(events, "input_audio_buffer.speech_started")["audio_start_ms"] == 20 * 32 - 300
    assert one(events, "input_audio_buffer.speech_stopped")["audio_end_ms"] == 46 * 32


@pytest.mark.parametrize("name", ["pcm", "pcmu", "pcma"])
def test_a_tenth_of_a_second_is_the_least_in_every_format(name: str):
    client = talking_in(name)
    append(client, bytes(99 * bytes_per_ms(name)))

    error = error_of(client.send("input_audio_buffer.commit"))

    assert "only has 99.00ms" in error["message"]


def test_audio_that_was_appended_in_another_format_stays():
    client = talking_in("pcm")
    append(client, tone(24_000, 0.2))

    client.configure(audio={"input": {"format": format_of("pcmu")}})
    append(client, CODECS["pcmu"].silence * 1600)

    clip = committed(client)
    assert len(clip) == 48 * 400
    assert clip.startswith(tone(24_000, 0.2))


def test_a_format_is_shown_as_it_was_asked_for():
    client = Client()

    (updated,) = client.configure(audio={"input": {"format": {"type": "audio/pcmu"}}})

    assert updated["session"]["audio"]["input"]["format"] == {"type": "audio/pcmu"}
    assert updated["session"]["audio"]["output"]["format"] == PCM


def test_telephone_audio_has_no_rate():
    client = Client()

    error = error_of(client.configure(audio={"input": {"format": {"type": "audio/pcmu", "rate": 8000}}}))

    assert (error["code"], error["param"]) == ("unknown_parameter", "session.audio.input.format.rate")


# -- what the voice says


@pytest.mark.parametrize("name", ["pcmu", "pcma"])
def test_a_telephone_hears_what_was_said(name: str):
    client = talking_in("pcm", name)
    pcm = tone(24_000)

    audio = heard(says(client, "Hello.", pcm))

    plain = CODECS[name].encode(Downsampler().feed(pcm))
    assert audio[: len(plain)] == plain
    assert len(audio) - len(plain) == 8 * FILTER_MS


def test_two_sentences_are_one_sound_without_a_click_between_them():
    client = talking_in("pcm", "pcmu")
    pcm = tone(24_000)
    client._sentence = pcm[: len(pcm) // 2 + 4]  # which ends between two samples of a telephone

    audio = heard(client.send("response.create", response={"metadata": {"say": "One. Two."}}))

    plain = CODECS["pcmu"].encode(Downsampler().feed(2 * client._sentence))
    assert audio.startswith(plain)


def test_a_delta_holds_two_hundred_milliseconds_of_telephone_audio():
    client = talking_in("pcm", "pcmu")

    events = says(client, "Hello.", bytes(48 * 500))

    sizes = [
        len(base64.b64decode(event["delta"]))
        for event in events
        if event["type"] == "response.output_audio.delta"
    ]
    assert sizes == [1600, 1600, 800, 8 * FILTER_MS]


@pytest.mark.parametrize("name", ["pcm", "pcmu", "pcma"])
def test_a_response_tells_the_format_it_comes_in(name: str):
    client = talking_in("pcm", name)

    events = says(client, "Hello.", bytes(4800))

    for kind in ("response.created", "response.done"):
        assert one(events, kind)["response"]["audio"]["output"]["format"] == format_of(name)


@pytest.mark.parametrize("name", ["pcm", "pcmu", "pcma"])
def test_all_that_was_sent_can_have_been_heard_and_no_more(name: str):
    client = talking_in("pcm", name)
    client._sentence = bytes(2 * (24 * SENTENCE_MS + 17))  # no whole milliseconds
    events = client.send("response.create", response={"metadata": {"say": "One. Two. Three."}})
    item = one(events, "response.output_item.added")["item"]["id"]
    sent_ms = len(heard(events)) // bytes_per_ms(name)

    error = error_of(
        client.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=sent_ms + 1)
    )
    (truncated,) = client.send(
        "conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=sent_ms
    )

    assert error["message"] == f"Audio content of {sent_ms}ms is already shorter than {sent_ms + 1}ms"
    assert truncated["audio_end_ms"] == sent_ms


def test_an_answer_under_way_keeps_its_format_and_the_next_one_has_the_new_one():
    client = talking_in("pcm", "pcm")
    client.working = False
    client.send("response.create", response={"metadata": {"say": "One."}})
    client.configure(audio={"output": {"format": format_of("pcmu")}})

    first = client.work()
    client.working = True
    second = says(client, "Two.", bytes(48 * 500))

    assert len(heard(first)) == 48 * 500
    assert one(first, "response.done")["response"]["audio"]["output"]["format"] == PCM
    assert len(heard(second)) == 8 * (500 + FILTER_MS)


def test_one_response_may_have_a_format_of_its_own():
    client = talking_in("pcm")

    events = client.send(
        "response.create",
        response={"metadata": {"say": "One."}, "audio": {"output": {"format": format_of("pcma")}}},
    )

    assert one(events, "response.created")["response"]["audio"]["output"]["format"] == format_of("pcma")
    assert len(heard(events)) == 8 * (500 + FILTER_MS)


# -- the voice


def test_the_voice_can_be_chosen_before_it_has_spoken():
    client = Client()

    (updated,) = client.configure(audio={"output": {"voice": "marin"}})
    events = client.send("response.create")

    assert updated["session"]["audio"]["output"]["voice"] == "marin"
    assert one(events, "response.created")["response"]["audio"]["output"]["voice"] == "marin"


def test_the_voice_stays_once_it_has_spoken():
    client = Client()
    client.send("response.create")

    error = error_of(client.configure(instructions="Be brief.", audio={"output": {"voice": "marin"}}))
    (updated,) = client.configure(audio={"output": {"voice": "heart"}})

    assert error == {
        "type": "invalid_request_error",
        "code": "cannot_update_voice",
        "message": "Cannot update a conversation's voice if assistant audio is present.",
        "param": None,
        "event_id": None,
    }
    assert updated["session"]["instructions"] == ""


def test_a_voice_that_only_wrote_can_still_be_chosen():
    client = Client()
    client.configure(output_modalities=["text"])
    client.send("response.create")

    (updated,) = client.configure(output_modalities=["audio"], audio={"output": {"voice": "marin"}})

    assert updated["type"] == "session.updated"


def test_a_response_of_the_conversation_has_no_other_voice_than_the_one_that_spoke():
    client = Client()
    client.send("response.create")

    error = error_of(
        client.send("response.create", response={"audio": {"output": {"voice": {"id": "voice_1"}}}})
    )

    assert error["code"] == "cannot_update_voice"
