"""The echo in every format: what is heard is said, in the format that was asked for."""

import base64

import pytest

from gateway.audio.g711 import CODECS
from tests.voice.core_client import one
from tests.voice.test_backend_echo import Listener, types


def formats(given: str, said: str) -> dict[str, object]:
    audio = {
        way: {"format": {"type": f"audio/{name}"} | ({"rate": 24000} if name == "pcm" else {})}
        for way, name in (("input", given), ("output", said))
    }
    return {"type": "realtime", "audio": audio}


def echoed(echo: Listener, audio: bytes) -> bytes:
    events = echo.send("input_audio_buffer.append", audio=base64.b64encode(audio).decode())
    return b"".join(base64.b64decode(event["delta"]) for event in events if "delta" in event)


@pytest.mark.parametrize("name", ["pcmu", "pcma"])
def test_a_telephone_hears_itself_a_little_later(name: str):
    echo = Listener()
    echo.send("session.update", session=formats(name, name))
    loud = CODECS[name].encode(b"\x00\x20" * 800)

    audio = echoed(echo, loud)

    assert len(audio) == len(loud)
    assert audio[100:] == loud[100:]


def test_what_is_heard_in_one_format_is_said_in_another():
    echo = Listener()
    echo.send("session.update", session=formats("pcmu", "pcm"))

    audio = echoed(echo, CODECS["pcmu"].silence * 160)

    assert audio == bytes(960)


def test_a_response_of_the_echo_tells_its_format():
    echo = Listener()
    echo.send("session.update", session=formats("pcmu", "pcma"))

    events = echo.send("input_audio_buffer.append", audio="////")

    assert one(events, "response.created")["response"]["audio"]["output"]["format"] == {"type": "audio/pcma"}


def test_half_a_sample_is_refused_by_the_echo_too():
    echo = Listener()

    events = echo.send("input_audio_buffer.append", audio="AAAA")

    assert types(events) == ["error"]
