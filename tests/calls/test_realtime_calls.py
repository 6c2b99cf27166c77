"""Whole calls with a hosted voice, in its dialects and formats, and what becomes of them when it fails."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from trio.testing import MockClock

from gateway.building import build_core
from gateway.contracts import EndReason
from gateway.dialplan.actions.transfer import Transfer
from gateway.testing.faulty_table import Busy, Drop, Expire
from gateway.traces.reader import Trace
from gateway.traces.replay import replay
from tests.calls.hosted import HOURS, LOOK_UP, SPEECH, a_server, calling, plan

WIRES = pytest.mark.parametrize(
    ("dialect", "audio"), [("ga", "pcm"), ("beta", "pcm"), ("ga", "pcmu"), ("beta", "pcmu")]
)


# -- a conversation


@WIRES
async def test_the_agent_greets_and_answers(
    autojump_clock: MockClock, tmp_path: Path, dialect: Any, audio: str
):
    server = a_server(hears=[HOURS], dialect=dialect)

    async with calling(server, tmp_path, dialect=dialect, audio=audio) as call:
        await call.greeted()
        await call.caller.says(SPEECH)
        await call.caller.speaking()
        await call.caller.quiet(0.5)

    said = [fields["text"] for fields in call.facts("agent.said")]
    assert said == [
        "Good day. How can I help?",
        "From nine to five. On Sundays we are closed all day long. Anything else?",
    ]
    assert [fields["text"] for fields in call.facts("caller.said")] == [HOURS]
    assert server.records[0].errors == []
    assert call.record.reason is EndReason.CALLER_HUNG_UP


@WIRES
async def test_after_an_interruption_the_server_knows_what_was_heard(
    autojump_clock: MockClock, tmp_path: Path, dialect: Any, audio: str
):
    server = a_server(hears=[HOURS], dialect=dialect)

    async with calling(server, tmp_path, dialect=dialect, audio=audio) as call:
        await call.greeted()
        await call.caller.says(SPEECH)
        await call.caller.speaking()
        await call.caller.silence(1.3)
        await call.caller.says(SPEECH)

        _, answer = call.caller.streams[0].played[-1]

    (item,) = [fields["item"] for fields in call.facts("agent.interrupted")]
    assert list(server.records[0].truncated) == [item]
    assert abs(server.heard_ms(item) - len(answer) / 8) <= 60
    assert server.records[0].errors == []


@WIRES
async def test_what_is_cut_while_it_is_made_is_taken_without_a_complaint(
    autojump_clock: MockClock, tmp_path: Path, dialect: Any, audio: str
):
    server = a_server(dialect=dialect)

    async with calling(server, tmp_path, dialect=dialect, audio=audio) as call:
        for _ in range(6):  # at any moment of the greeting, and of the answers after it
            await call.caller.silence(0.05)
            await call.caller.presses("1")
        await call.caller.quiet(1)

    assert server.records[0].errors == []
    assert call.facts("voice.troubled") == []


async def test_a_key_reaches_the_model_as_an_item_of_the_caller(autojump_clock: MockClock, tmp_path: Path):
    server = a_server()

    async with calling(server, tmp_path) as call:
        await call.greeted()
        await call.caller.presses("1")
        await call.caller.speaking()

    assert server.records[0].seeded == [("user", "[DTMF] 1")]
    assert call.facts("agent.said")[-1]["text"].startswith("From nine to five.")


async def test_a_tool_of_the_plan_is_run_and_answered_once(autojump_clock: MockClock, tmp_path: Path):
    server = a_server(hears=[LOOK_UP])

    async with calling(server, tmp_path) as call:
        await call.greeted()
        await call.caller.says(SPEECH)
        await call.caller.speaking()
        await call.caller.quiet(0.5)

    created = [event["item"] for event in server.records[0].received_of("conversation.item.create")]
    assert [(item["type"], item["output"]) for item in created] == [("function_call_output", "1")]
    assert len(server.records[0].received_of("response.create")) == 2  # the greeting was asked for, too
    assert call.facts("agent.said")[-1]["text"] == "There is one. Anything else?"
    assert server.records[0].errors == []


async def test_the_agent_ends_the_call_when_its_goodbye_was_heard(autojump_clock: MockClock, tmp_path: Path):
    server = a_server(hears=["goodbye"])

    async with calling(server, tmp_path) as call:
        await call.greeted()
        await call.caller.says(SPEECH)
        await call.caller.ended()

        _, goodbye = call.caller.streams[0].played[-1]

    assert len(goodbye) / 8 == pytest.approx(60 * len("Goodbye!"), abs=20)
    assert call.record.reason is EndReason.AGENT_HUNG_UP


async def test_a_call_over_the_wire_replays(autojump_clock: MockClock, tmp_path: Path):
    server = a_server(Drop(at="response.done", count=2), hears=[HOURS])

    async with calling(server, tmp_path) as call:
        await call.greeted()
        await call.caller.says(SPEECH)
        await call.caller.speaking()
        await call.caller.presses("1")
        await call.caller.quiet(0.5)

    assert replay(call.written, build_core).identical


# -- G.711 from end to end


def audio_in(folder: Path, port: str, kind: str) -> bytes:
    """The audio that a call core was fed on one port, in the messages of one kind."""
    found = b""
    with Trace(folder) as trace:
        for entry, data in trace.entries():
            message = json.loads(data) if entry.port == port else {}
            if message.get("event") == kind:
                found += base64.b64decode(message["media"]["payload"])
            elif message.get("type") == kind:
                found += base64.b64decode(message["delta"])
    return found


def appended(folder: Path) -> bytes:
    """The caller's audio that a call core gave to its voice."""
    audio = (folder / "outputs.audio").read_bytes()
    found = b""
    for line in (folder / "outputs.jsonl").read_text().splitlines():
        _seq, output, *lifted = json.loads(line)
        if output["type"] == "voice" and "input_audio_buffer.append" in output["data"]:
            _, offset, length = lifted[0]
            found += audio[offset : offset + length]
    return found


async def test_what_the_caller_says_reaches_the_voice_byte_by_byte(autojump_clock: MockClock, tmp_path: Path):
    server = a_server()

    async with calling(server, tmp_path, audio="pcmu") as call:
        call.caller._handset.microphone.say(bytes(range(256)) * 100)  # every code; none of PCM has them all
        await call.caller.silence(4)

    said = audio_in(call.written, "carrier", "media")
    assert bytes(range(256)) * 100 in said
    assert appended(call.written) == said
    took_bytes = server.records[0].caller_bytes / 6  # the voice behind the fake has PCM16 at 24 000 Hz
    assert 0 <= len(said) - took_bytes <= 2 * 160  # of the call's last moment


async def test_what_the_voice_says_reaches_the_caller_byte_by_byte(autojump_clock: MockClock, tmp_path: Path):
    async with calling(a_server(), tmp_path, audio="pcmu") as call:
        await call.greeted()

        ((_, heard),) = call.caller.streams[0].played

    said = audio_in(call.written, "voice", "response.output_audio.delta")
    assert len(said) > 8000
    assert heard == said + b"\xff" * (-len(said) % 160)


# -- a voice that goes away


async def test_an_answer_that_broke_off_is_carried_on_over_another_connection(
    autojump_clock: MockClock, tmp_path: Path
):
    whole = "From nine to five. On Sundays we are closed all day long. Anything else?"
    server = a_server(Drop(at="response.output_audio.delta", count=17), hears=[HOURS])

    async with calling(server, tmp_path) as call:
        await call.greeted()
        await call.caller.says(SPEECH)
        await call.caller.speaking()
        await call.caller.quiet(0.5)

        _, answer = call.caller.streams[0].played[-1]

    (_, question, begun), rest = server.records[1].seeded, call.facts("agent.said")[-1]["text"]
    assert question == ("user", HOURS)
    assert f"{begun[1]} {rest}" == whole
    assert len(answer) / 8 == pytest.approx(60 * len(whole), abs=300)  # one breath, all of it, and once
    assert [record.errors for record in server.records] == [[], []]


async def test_a_session_that_expires_is_followed_by_another_without_a_word(
    autojump_clock: MockClock, tmp_path: Path
):
    server = a_server(Expire(after_s=3), hears=[HOURS])

    async with calling(server, tmp_path) as call:
        await call.greeted()
        await call.caller.silence(2)
        heard_before = len(call.caller.streams[0].played)
        await call.caller.says(SPEECH)
        await call.caller.speaking()

        heard_after = len(call.caller.streams[0].played)

    assert [fields["how"] for fields in call.facts("session.lost")] == ["expired"]
    assert server.records[1].seeded == [("assistant", "Good day. How can I help?")]
    assert (heard_before, heard_after) == (1, 2)
    assert call.facts("agent.said")[-1]["text"].startswith("From nine to five.")


async def test_a_server_with_too_many_callers_is_waited_for_as_long_as_it_says(
    autojump_clock: MockClock, tmp_path: Path
):
    server = a_server(Busy(retry_after_s=1))

    async with calling(server, tmp_path) as call:
        await call.caller.silence(4)

    first, second = server.voice.attempts
    assert 1.0 <= second.at_s - first.at_s < 1.1
    assert [fields["text"] for fields in call.facts("agent.said")] == ["Good day. How can I help?"]
    assert call.facts("filler.played")
    assert call.record.reason is EndReason.CALLER_HUNG_UP


# -- a voice that will not have us

COMPLAINS = pytest.mark.parametrize("complains", ["http", "websocket"])


@COMPLAINS
async def test_a_wrong_key_is_tried_once_and_apologized_for(
    autojump_clock: MockClock, tmp_path: Path, complains: Any
):
    server = a_server(complains=complains)

    async with calling(server, tmp_path, key="sk-of-somebody-else-altogether") as call:
        await call.caller.ended()

        assert len(call.caller.heard) > 2 * 8000

    assert len(server.requests) == 1
    assert call.record.reason is EndReason.VOICE_UNAVAILABLE
    assert call.facts("session.lost")[0]["how"] == "refused"


@COMPLAINS
async def test_with_a_wrong_key_the_plan_may_have_somebody_else(
    autojump_clock: MockClock, tmp_path: Path, complains: Any
):
    server = a_server(complains=complains)
    elsewhere = plan(fallback=(Transfer(to="desk"),))

    async with calling(server, tmp_path, elsewhere, key="sk-of-somebody-else-altogether") as call:
        await call.caller.ended()

        assert call.caller.dialled == ["+15550100009"]

    assert len(server.requests) == 1


@COMPLAINS
async def test_an_unknown_model_is_asked_for_once(autojump_clock: MockClock, tmp_path: Path, complains: Any):
    server = a_server(models={"gpt-realtime"}, complains=complains)

    async with calling(server, tmp_path, plan(model="gpt-nobody-knows")) as call:
        await call.caller.ended()

    assert [head.query for head in server.requests] == ["model=gpt-nobody-knows"]
    assert "gpt-nobody-knows" in call.facts("session.lost")[0]["detail"]
    assert call.record.reason is EndReason.VOICE_UNAVAILABLE
