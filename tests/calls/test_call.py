"""One call as an actor, on the virtual clock, between a fake Twilio and a puppet for a voice."""

from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gateway.building import build_core
from gateway.calls.record import CallRecord
from gateway.contracts import EndReason
from gateway.settings import Calls, Settings
from gateway.testing.live import LiveGateway, live_gateway
from gateway.testing.twilio_caller import Caller
from gateway.testing.twilio_twiml import Hangup
from gateway.traces.replay import replay
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


class Numbers(TypedDict):
    from_: str
    to: str


NUMBERS = Numbers(from_="+15550100001", to="+15550100002")


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.toml"
    path.write_text(PLAN)
    return path


def record_of(folder: Path) -> CallRecord:
    (path,) = folder.glob("*/call.json")
    return msgspec.json.decode(path.read_bytes(), type=CallRecord)


# -- endings: whatever ends a call, its record is written, its trace replays and its voice is let go


ENDINGS: dict[EndReason, Callable[[LiveGateway, Caller, Puppet], object]] = {
    EndReason.CALLER_HUNG_UP: lambda live, caller, puppet: caller._call.hang_up(),
    EndReason.CARRIER_LOST: lambda live, caller, puppet: caller.loses_socket(action_follows=False),
    EndReason.OPERATOR: lambda live, caller, puppet: live.gateway.supervisor.end_all(EndReason.OPERATOR),
    EndReason.DRAINED: lambda live, caller, puppet: live.gateway.force(),
    EndReason.VOICE_UNAVAILABLE: lambda live, caller, puppet: puppet.sessions[0].lost.set(),
}


@pytest.mark.parametrize("reason", ENDINGS, ids=lambda reason: reason.value)
async def test_however_a_call_ends_its_record_says_so_and_its_trace_replays(
    autojump_clock: MockClock, plan: Path, tmp_path: Path, reason: EndReason
):
    puppet = Puppet()
    async with live_gateway(plan, puppet, folder=tmp_path / "calls") as live:
        async with live.twilio.call(**NUMBERS) as caller:
            await caller.silence(1)
            ENDINGS[reason](live, caller, puppet)
            await live.gateway.supervisor.idle()

    record = record_of(tmp_path / "calls")
    assert record.reason is reason
    assert (record.trace, record.recording) == ("complete", "complete")
    assert puppet.open == 0
    (folder,) = (tmp_path / "calls").glob("2*")
    assert replay(folder, build_core).identical


async def test_a_half_open_connection_ends_the_call_within_20_s(
    autojump_clock: MockClock, plan: Path, tmp_path: Path
):
    async with live_gateway(plan, Puppet(), folder=tmp_path / "calls") as live:
        async with live.twilio.call(**NUMBERS) as caller:
            await caller.silence(1)
            caller.goes_dead()
            await live.gateway.supervisor.idle()

    assert record_of(tmp_path / "calls").duration_ms < 21_000


async def test_the_agent_ends_the_call_when_its_goodbye_was_heard(
    autojump_clock: MockClock, plan: Path, tmp_path: Path
):
    puppet = Puppet()
    async with (
        live_gateway(plan, puppet, folder=tmp_path / "calls") as live,
        live.twilio.call(**NUMBERS) as caller,
    ):
        await caller.silence(0.2)
        (session,) = puppet.sessions
        session.speaks("r1", 1500)
        goodbye = [
            {"id": "f", "type": "function_call", "name": "end_call", "call_id": "c", "arguments": "{}"}
        ]
        session.says(type="response.created", response={"id": "r2"})
        session.says(type="response.done", response={"id": "r2", "status": "completed", "output": goodbye})

        began_s = caller.now
        ending = await caller.ended()

        assert 1.5 <= ending.at_s - began_s <= 2.2
        assert any(isinstance(verb, Hangup) for verb in caller.verbs)
    assert record_of(tmp_path / "calls").reason is EndReason.AGENT_HUNG_UP


async def test_a_transfer_makes_twilio_dial_the_destination(autojump_clock: MockClock, plan: Path):
    puppet = Puppet()
    async with live_gateway(plan, puppet) as live, live.twilio.call(**NUMBERS) as caller:
        await caller.silence(0.2)
        transfer = {"name": "transfer_call", "call_id": "c", "arguments": '{"destination":"desk"}'}
        puppet.sessions[0].says(type="response.created", response={"id": "r"})
        puppet.sessions[0].says(
            type="response.done",
            response={
                "id": "r",
                "status": "completed",
                "output": [{"id": "f", "type": "function_call"} | transfer],
            },
        )

        await caller.ended()

        assert caller.dialled == ["+15550100009"]


# -- the voice


async def test_a_voice_that_refuses_is_apologized_for(autojump_clock: MockClock, plan: Path, tmp_path: Path):
    async with live_gateway(plan, Puppet(refuses=True), folder=tmp_path / "calls") as live:
        async with live.twilio.call(**NUMBERS) as caller:
            await caller.ended()

            assert max(caller.heard[:16000]) > 0

    record = record_of(tmp_path / "calls")
    assert record.reason is EndReason.VOICE_UNAVAILABLE
    assert any("no stage" in str(line.fields) for line in record.lines)


async def test_a_voice_that_takes_too_long_to_connect_is_apologized_for(
    autojump_clock: MockClock, plan: Path, tmp_path: Path
):
    async with live_gateway(plan, Puppet(takes_s=60), folder=tmp_path / "calls") as live:
        async with live.twilio.call(**NUMBERS) as caller:
            await caller.ended()

    assert record_of(tmp_path / "calls").reason is EndReason.VOICE_UNAVAILABLE


async def test_a_voice_that_stops_reading_is_given_up(autojump_clock: MockClock, plan: Path, tmp_path: Path):
    puppet = Puppet()
    async with live_gateway(plan, puppet, folder=tmp_path / "calls") as live:
        async with live.twilio.call(**NUMBERS) as caller:
            await caller.silence(0.5)
            puppet.sessions[0].deaf = True
            await caller.ended()

    assert record_of(tmp_path / "calls").reason is EndReason.VOICE_UNAVAILABLE


async def test_an_interruption_clears_twilio_and_cancels_the_voice(autojump_clock: MockClock, plan: Path):
    puppet = Puppet()
    async with live_gateway(plan, puppet) as live, live.twilio.call(**NUMBERS) as caller:
        await caller.silence(0.2)
        session = puppet.sessions[0]
        session.says(type="response.created", response={"id": "r1"})
        session.says(
            type="response.output_audio.delta", response_id="r1", item_id="i1", delta="AAAA" * 16 * 5000
        )
        await caller.silence(1)

        session.says(type="input_audio_buffer.speech_started", audio_start_ms=900, item_id="u1")
        await caller.silence(0.2)

        assert caller.streams[0].cleared_ms > 0
        assert [event["type"] for event in session.heard].count("response.cancel") == 1
        (fact,) = live.facts_named("agent.interrupted")
        assert 900 <= fact.fields["heard_low_ms"] <= fact.fields["heard_high_ms"] <= 1100


# -- containment


async def test_a_bug_in_one_call_ends_that_call_alone_and_politely(
    autojump_clock: MockClock, plan: Path, tmp_path: Path
):
    puppet = Puppet()
    async with live_gateway(plan, puppet, folder=tmp_path / "calls") as live:
        async with live.twilio.call(**NUMBERS) as first, live.twilio.call(**NUMBERS) as second:
            await first.silence(0.5)
            call = next(
                call
                for call in live.gateway.supervisor.active.values()
                if call.record.carrier_call == first.call_sid
            )
            call._core._leg.advance = _raise  # type: ignore[method-assign, assignment]
            await first.ended()
            await second.silence(1)

            assert second.ending is None
            assert first.texts  # Twilio says that we are sorry
        records = [
            msgspec.json.decode(p.read_bytes(), type=CallRecord)
            for p in (tmp_path / "calls").glob("*/call.json")
        ]
    assert sorted(str(record.reason) for record in records) == ["bug", "caller_hung_up"]
    assert "a bug" in live.log.getvalue()


def _raise(_now: float) -> None:
    raise ZeroDivisionError("a bug")


async def test_40_calls_lose_no_frame_when_one_breaks_and_one_is_blocked(
    autojump_clock: MockClock, plan: Path
):
    puppet = Puppet()
    async with live_gateway(plan, puppet) as live, trio.open_nursery() as nursery:
        done: list[int] = []

        async def talk(number: int) -> None:
            async with live.twilio.call(**NUMBERS) as caller:
                await caller.silence(0.5)
                if number == 0:
                    call = next(
                        c
                        for c in live.gateway.supervisor.active.values()
                        if c.record.carrier_call == caller.call_sid
                    )
                    call._core._leg.advance = _raise  # type: ignore[method-assign, assignment]
                    await caller.ended()
                elif number == 1:
                    caller.reads_slowly(1)
                    await caller.silence(3)
                else:
                    await caller.silence(3)
                    assert caller.ending is None
            done.append(number)

        for number in range(40):
            nursery.start_soon(talk, number)

    assert sorted(done) == list(range(40))
    frames = [sum(event["type"] == "input_audio_buffer.append" for event in s.heard) for s in puppet.sessions]
    assert sorted(frames)[2:] == [pytest.approx(175, abs=2)] * 38


# -- drain


async def test_a_draining_gateway_refuses_new_calls_and_lets_the_others_finish(
    autojump_clock: MockClock, plan: Path
):
    puppet = Puppet()
    async with live_gateway(plan, puppet) as live:
        async with live.twilio.call(**NUMBERS) as caller, trio.open_nursery() as nursery:
            await caller.silence(0.5)
            nursery.start_soon(live.gateway.drain)
            await caller.silence(0.5)
            assert not live.gateway.ready

            async with live.twilio.call(**NUMBERS) as late:
                assert (await late.ended()).by.name == "REJECT"

            await caller.silence(10)
            assert caller.ending is None
            await caller.hangs_up()


async def test_calls_that_outlive_the_drain_are_ended(autojump_clock: MockClock, plan: Path, tmp_path: Path):
    settings = Settings(calls=Calls(drain_s=5))
    async with live_gateway(plan, Puppet(), folder=tmp_path / "calls", settings=settings) as live:
        async with live.twilio.call(**NUMBERS) as caller, trio.open_nursery() as nursery:
            await caller.silence(0.5)
            nursery.start_soon(live.gateway.drain)
            await caller.ended()

    record = record_of(tmp_path / "calls")
    assert record.reason is EndReason.DRAINED
    assert 5000 <= record.duration_ms <= 6500


async def test_beyond_the_most_calls_a_caller_hears_busy(autojump_clock: MockClock, plan: Path):
    settings = Settings(calls=Calls(max_active=1))
    async with live_gateway(plan, Puppet(), settings=settings) as live, live.twilio.call(**NUMBERS):
        async with live.twilio.call(**NUMBERS) as second:
            assert (await second.ended()).by.name == "REJECT"


async def test_how_long_a_call_took_to_set_up_is_measured(autojump_clock: MockClock, plan: Path):
    async with live_gateway(plan, Puppet(takes_s=0.5)) as live:
        async with live.twilio.call(**NUMBERS) as caller:
            await caller.silence(1)
            await caller.hangs_up()
        await live.gateway.supervisor.idle()

        metrics = live.metrics.expose().decode()

    assert 'gw_call_setup_seconds_count{stage="backend_ready"} 1.0' in metrics
    assert 'gw_backend_connect_seconds_bucket{le="0.25"} 0.0' in metrics
    assert 'gw_backend_connect_seconds_bucket{le="1.0"} 1.0' in metrics
