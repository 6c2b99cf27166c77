"""Whole calls over a SIP leg, on the virtual clock: a phone behind a network, a gateway, a puppet for a voice."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gateway.audio.tones import sine
from gateway.building import build_core
from gateway.calls.record import CallRecord
from gateway.carriers.sip import leg_messages as sip
from gateway.contracts import EndReason
from gateway.dialplan.plan import load
from gateway.testing.fake_sip_leg import FakeSipLeg
from gateway.testing.handset import CallOver
from gateway.testing.live import LiveGateway, live_gateway
from gateway.traces.reader import Trace
from gateway.traces.replay import replay
from gateway.wire import rtcp
from tests.calls.puppet import Puppet

PLAN = """
[default]
plan = "talk"
[plans.talk]
steps = [{ do = "answer" }, { do = "converse", agent = "a" }]
[agents.a]
instructions = "Talk."
[destinations]
desk = "+15550100009"
"""
WORD = sine(300, 400, level_dbfs=-14)


class SipCall(NamedTuple):
    leg: FakeSipLeg
    voice: Puppet
    live: LiveGateway
    folder: Path

    @property
    def written(self) -> Path:
        (folder,) = self.folder.glob("2*")
        return folder

    @property
    def record(self) -> CallRecord:
        return msgspec.json.decode((self.written / "call.json").read_bytes(), type=CallRecord)


@asynccontextmanager
async def calling(folder: Path, **line: Any) -> AsyncIterator[SipCall]:
    plan = folder / "plan.toml"
    plan.write_text(PLAN)
    voice = Puppet()
    async with live_gateway(load(plan), voice, folder=folder / "calls") as live:
        async with trio.open_nursery() as nursery:
            leg = FakeSipLeg(random.Random(7), **line)
            nursery.start_soon(leg.run)
            nursery.start_soon(live.gateway.host, leg, leg.new_call())
            await leg.silence(0.5)
            yield SipCall(leg, voice, live, folder / "calls")


async def test_a_call_is_answered_and_what_the_agent_says_is_heard_over_a_bad_line(
    autojump_clock: MockClock, tmp_path: Path
):
    async with calling(tmp_path, loss=0.05, jitter_s=0.05, duplicates=0.02) as call:
        call.voice.sessions[0].speaks("r1", 500)
        await call.leg.silence(1.0)
        await call.leg.hangs_up()

    assert call.leg.answered
    assert len(call.leg.phone.heard) >= 8000
    assert call.record.reason is EndReason.CALLER_HUNG_UP


async def test_the_record_has_how_good_the_media_was_and_what_the_far_end_said_at_the_end(
    autojump_clock: MockClock, tmp_path: Path
):
    async with calling(tmp_path, loss=0.1) as call:
        await call.leg.silence(3.0)
        await call.leg.hangs_up()

    record = call.record
    assert 4 <= record.media["loss_percent"] <= 20
    assert 1 <= record.media["mos"] < 4.2
    assert record.released == {"why": "hung up", "cause": 16}
    assert (record.carrier, record.detail) == ("sip", "Q.850 16")


async def test_when_we_hang_up_the_media_takes_leave_of_the_phone(autojump_clock: MockClock, tmp_path: Path):
    reports: list[rtcp.RtcpPacket] = []
    async with calling(tmp_path) as call:

        def watch(data: str | bytes) -> None:
            assert isinstance(data, bytes)
            datagram = sip.decode_datagram(data)
            if datagram.rtcp:
                reports.extend(rtcp.decode(datagram.data))

        call.leg.send_now = watch  # type: ignore[method-assign]
        call.live.gateway.force()
        await call.leg.ended()

    assert call.leg.reason is EndReason.DRAINED
    assert isinstance(reports[-1], rtcp.Goodbye)


async def test_what_passes_while_a_call_is_ended_stands_behind_its_end_and_the_replay_is_the_same(
    autojump_clock: MockClock, tmp_path: Path
):
    async with calling(tmp_path) as call:
        call.live.gateway.force()
        await call.leg.ended()

    with Trace(call.written) as trace:
        *_, end, bye, answer = [data for entry, data in trace.entries()]
    assert '"hang_up"' in str(end)
    assert [sip.decode(str(text)).line for text in (bye, answer)] == ["BYE", "200 OK"]  # type: ignore[union-attr]
    assert replay(call.written, build_core).identical


async def test_an_interruption_on_a_bad_line_is_replayed_the_same(autojump_clock: MockClock, tmp_path: Path):
    async with calling(tmp_path, loss=0.05, jitter_s=0.08) as call:
        call.voice.sessions[0].speaks("r1", 3000)
        await call.leg.silence(1.0)
        call.voice.sessions[0].says(type="input_audio_buffer.speech_started", audio_start_ms=0, item_id="u1")
        await call.leg.says(WORD)
        await call.leg.hangs_up()

    [cut] = [fact.fields for fact in call.live.facts_named("agent.interrupted")]
    assert 0 < cut["heard_low_ms"] <= cut["heard_high_ms"] <= 1100
    assert replay(call.written, build_core).identical


@pytest.mark.parametrize("takes", [True, False])
async def test_a_transfer_ends_the_call_or_the_agent_is_told(
    autojump_clock: MockClock, tmp_path: Path, *, takes: bool
):
    transfer = {"name": "transfer_call", "call_id": "c", "arguments": '{"destination":"desk"}'}
    async with calling(tmp_path, takes_transfers=takes) as call:
        session = call.voice.sessions[0]
        session.says(type="response.created", response={"id": "r1"})
        output = [{"id": "f", "type": "function_call"} | transfer]
        session.says(type="response.done", response={"id": "r1", "status": "completed", "output": output})
        try:
            await call.leg.silence(2.0)
            await call.leg.hangs_up()
        except CallOver:
            assert takes

    told = [event for event in session.heard if event["type"] == "conversation.item.create"]
    if takes:
        assert (call.leg.transferred_to, call.record.reason) == ("desk", EndReason.TRANSFERRED)
    else:
        assert "SIP 603" in told[-1]["item"]["output"]
        assert call.record.reason is EndReason.CALLER_HUNG_UP
