"""A call over a SIP trunk, recorded as the gateway records one: through a call core, with its messages for the ladder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.carriers.sip import leg_messages as sip
from gateway.media.stereo import StereoMix
from gateway.wire.sdp.media import Direction
from tests.calls.phone_call import SipCall
from tests.report.made_calls import MadeCall, write_recording

__all__ = ["QUALITY", "passes", "recorded", "sip_call"]

SDP = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 17000 RTP/AVP 0 8 96\r\na=rtpmap:96 telephone-event/8000\r\n"

QUALITY: dict[str, Any] = {
    "received_packets": 400,
    "lost_packets": 3,
    "late_packets": 1,
    "loss_percent": 0.75,
    "jitter_ms": 2.4,
    "worst_jitter_ms": 9.1,
    "concealed_ms": 80.0,
    "round_trip_ms": 41.5,
    "mos": 4.27,
    "far_lost_packets": None,
    "restarts": 0,
}


def passes(way: str, line: str, cseq: str = "1 INVITE", sdp: str = "", **headers: str) -> str:
    """A message of SIP: `way` is "in" or "out"."""
    rows = tuple((name.replace("_", "-").title(), value) for name, value in headers.items())
    return sip.encode(sip.MessagePassed(sent=way == "out", line=line, cseq=cseq, headers=rows, sdp=sdp))


def sip_call() -> SipCall:
    """Greeted, interrupted, put on hold, taken back, a key; then the caller hangs up."""
    call = SipCall()
    call.say(passes("in", "INVITE", sdp=SDP, max_forwards="68", supported="timer, replaces"))
    call.say(passes("out", "100 Trying")).answered()
    call.say(passes("out", "200 OK", sdp=SDP, allow="INVITE, ACK, BYE")).ticks(26)
    call.say(passes("out", "200 OK", sdp=SDP, allow="INVITE, ACK, BYE")).ticks(2)
    call.say(passes("in", "ACK", "1 ACK")).ticks(5)
    speaks(call, "Good morning, you have reached the reception. How can we help?", 3000)
    call.ticks(100)
    call.voice(type="input_audio_buffer.speech_started", audio_start_ms=2600, item_id="u1").ticks(
        50, talking=True
    )
    call.voice(type="input_audio_buffer.speech_stopped", audio_end_ms=3640, item_id="u1")
    words = "Sorry, I am in a hurry."
    call.voice(
        type="conversation.item.input_audio_transcription.completed",
        item_id="u1",
        content_index=0,
        transcript=words,
    )
    call.ticks(20)
    held = SDP + "a=sendonly\r\n"
    call.say(passes("in", "INVITE", "2 INVITE", sdp=held), call.phone.agrees(direction=Direction.RECVONLY))
    call.say(passes("out", "200 OK", "2 INVITE", sdp=SDP)).ticks(2).say(passes("in", "ACK", "2 ACK")).ticks(
        50
    )
    call.say(passes("in", "INVITE", "3 INVITE", sdp=SDP), call.phone.agrees())
    call.say(passes("out", "200 OK", "3 INVITE", sdp=SDP)).ticks(2).say(passes("in", "ACK", "3 ACK")).ticks(
        50
    )
    call.say(*call.phone.press("5")).ticks(50)
    call.say(passes("in", "BYE", "4 BYE", reason="Q.850;cause=16"))
    return call.say(sip.encode(sip.CallOver(why="hung up", cause=16)), passes("out", "200 OK", "4 BYE"))


def speaks(call: SipCall, words: str, ms: int) -> None:
    """The voice says so, in its turn `r1`."""
    call.responds(ms)
    call.voice(
        type="response.output_audio_transcript.done", response_id="r1", item_id="item_of_r1", transcript=words
    )


def recorded(call: SipCall, folder: Path, *, quality: Mapping[str, Any] | None = None) -> Path:
    """The folder of a call, with its recording. `quality`: found at the end instead."""
    mix = StereoMix()
    core, made = call.build(mix), MadeCall(folder, carrier="sip")
    for port, data, now in call.inputs:
        core.feed(port, data, now)
        made.at(now * 1000, port, data, *core.drain())
    if quality is not None:
        made.fact(call.now * 1000, "media.quality", **quality)
    write_recording(folder, mix.finish(call.now))
    (folder / "call.json").write_text(
        json.dumps({"direction": "inbound", "duration_ms": round(call.now * 1000)})
    )
    return made.write()
