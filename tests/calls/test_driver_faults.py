"""Faults around a call, on the virtual clock: of its disk, its tools, its building, and of those that come."""

from pathlib import Path

import msgspec
import pytest
import trio
from trio.testing import MockClock, Sequencer

from gateway.calls.call import Call
from gateway.calls.record import CallRecord
from gateway.calls.recording import Recording
from gateway.carriers.twilio.calls import IncomingCall
from gateway.contracts import EndReason
from gateway.media.stereo import RATE_HZ, StereoMix
from gateway.settings import Calls, Settings
from gateway.testing.live import LiveGateway, inline, live_gateway
from gateway.testing.twilio_caller import Caller
from tests.calls.puppet import Puppet

PLAN = """
[default]
plan = "talk"
[plans.talk]
steps = [{ do = "answer" }, { do = "converse", agent = "a" }]
[agents.a]
instructions = "Talk."
tools = ["tests.calls.test_driver_faults:half"]
"""
FROM, TO = "+15550100001", "+15550100002"


def half() -> str:
    """Half of a character."""
    return "a\ud83d"


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.toml"
    path.write_text(PLAN)
    return path


def call_of(live: LiveGateway, caller: Caller) -> Call:
    return next(
        call
        for call in live.gateway.supervisor.active.values()
        if call.record.carrier_call == caller.call_sid
    )


def records(folder: Path) -> dict[str, CallRecord]:
    """By the carrier's name for the call."""
    found = [msgspec.json.decode(path.read_bytes(), type=CallRecord) for path in folder.glob("*/call.json")]
    return {record.carrier_call: record for record in found}


def incoming(number: int) -> IncomingCall:
    return IncomingCall(
        call_sid=f"CA{number:032x}", account_sid="AC" + "1" * 32, caller=FROM, called=TO, params={}
    )


async def hangs(*_: object) -> None:
    await trio.sleep_forever()


async def breaks(*_: object) -> None:
    await trio.lowlevel.checkpoint()
    raise ZeroDivisionError("a bug")


# -- who waits for the end


async def test_who_waits_until_no_call_is_left_also_waits_for_those_that_came_later(
    autojump_clock: MockClock, plan: Path, tmp_path: Path
):
    turn = Sequencer()
    written = -1
    async with (
        live_gateway(plan, Puppet(), folder=tmp_path / "calls") as live,
        trio.open_nursery() as nursery,
    ):

        async def wait() -> None:
            nonlocal written
            async with turn(0):
                pass
            await live.gateway.supervisor.idle()
            written = len(records(tmp_path / "calls"))

        async with live.twilio.call(from_=FROM, to=TO) as first:
            nursery.start_soon(wait)
            async with turn(1), live.twilio.call(from_=FROM, to=TO) as second:
                await first.hangs_up()
                await second.silence(1)
                assert written == -1

    assert written == 2


async def test_a_drain_waits_for_a_caller_who_was_let_in_and_does_not_stream_yet(
    autojump_clock: MockClock, plan: Path
):
    async with live_gateway(plan, Puppet()) as live:
        assert live.gateway._twilio is not None
        live.gateway._twilio._calls.voice(incoming(1), trio.current_time())

        began_s = trio.current_time()
        await live.gateway.drain()

        assert 30 <= trio.current_time() - began_s <= 31


async def test_two_callers_do_not_share_the_last_place(autojump_clock: MockClock, plan: Path):
    settings = Settings(calls=Calls(max_active=1))
    async with live_gateway(plan, Puppet(), settings=settings) as live:
        assert live.gateway._twilio is not None
        calls = live.gateway._twilio._calls
        answers = [calls.voice(incoming(number), trio.current_time()) for number in (1, 2)]

        assert ["<Stream" in answer for answer in answers] == [True, False]


async def test_a_call_that_is_forced_twice_is_counted_once(autojump_clock: MockClock, plan: Path):
    async with live_gateway(plan, Puppet()) as live, live.twilio.call(from_=FROM, to=TO) as caller:
        await caller.silence(0.2)

        live.gateway.force()
        live.gateway.force()

        assert b"gw_drain_forced_total 1.0" in live.metrics.expose()


# -- the disk


async def test_a_bug_in_one_calls_flush_ends_that_call_alone(
    autojump_clock: MockClock, plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with live_gateway(plan, Puppet(), folder=tmp_path / "calls") as live:
        async with (
            live.twilio.call(from_=FROM, to=TO) as first,
            live.twilio.call(from_=FROM, to=TO) as second,
        ):
            monkeypatch.setattr(call_of(live, first)._trace, "flush", breaks)
            await first.ended()
            await second.silence(2)
            sids = (first.call_sid, second.call_sid)
            assert second.ending is None

    found = records(tmp_path / "calls")
    assert [found[sid].reason for sid in sids] == [EndReason.BUG, EndReason.CALLER_HUNG_UP]
    assert [found[sid].trace for sid in sids] == ["partial", "complete"]
    assert "call.flush_broken" in live.log.getvalue()


async def test_a_write_that_hangs_holds_up_no_other_call_and_not_its_own_end(
    autojump_clock: MockClock, plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with live_gateway(plan, Puppet(), folder=tmp_path / "calls") as live:
        async with (
            live.twilio.call(from_=FROM, to=TO) as first,
            live.twilio.call(from_=FROM, to=TO) as second,
        ):
            monkeypatch.setattr(call_of(live, first)._trace, "flush", hangs)
            trace = tmp_path / "calls" / call_of(live, second).call_id / "trace.jsonl"
            await second.silence(2)
            before_bytes = trace.stat().st_size
            await second.silence(1.1)
            assert trace.stat().st_size > before_bytes

            await first.hangs_up()
            hung_up_s = trio.current_time()
            while len(live.gateway.supervisor.active) > 1:
                await second.silence(0.1)
            took_s = trio.current_time() - hung_up_s
            sid = first.call_sid

    assert took_s <= 4.2
    assert records(tmp_path / "calls")[sid].trace == "partial"


async def test_what_waits_for_a_disk_that_does_not_keep_up_is_given_up_after_a_minute(tmp_path: Path):
    mix = StereoMix()
    recording = Recording(tmp_path, mix)
    mix.caller(bytes(2 * RATE_HZ), 1.0)
    await recording.flush(1.0, inline)

    for second in range(2, 63):
        mix.caller(bytes(2 * RATE_HZ), float(second))
    mix.agent(bytes(2 * RATE_HZ), 63.0)
    await recording.close(63.0, inline)

    assert recording.state == "failed: the disk did not keep up"
    assert (tmp_path / "recording.wav.part").stat().st_size == 44 + 4 * RATE_HZ


async def test_a_record_that_is_not_written_in_time_is_told(
    autojump_clock: MockClock, plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with live_gateway(plan, Puppet(), folder=tmp_path / "calls") as live:
        monkeypatch.setattr(live.gateway.supervisor, "_run_blocking", hangs)
        async with live.twilio.call(from_=FROM, to=TO) as caller:
            await caller.silence(0.2)

    assert records(tmp_path / "calls") == {}
    assert '"record.failed"' in live.log.getvalue()


# -- one connection


async def test_a_call_that_cannot_be_built_is_apologized_for_and_the_next_one_is_taken(
    autojump_clock: MockClock, plan: Path, monkeypatch: pytest.MonkeyPatch
):
    async with live_gateway(plan, Puppet()) as live:
        with monkeypatch.context() as patch:
            patch.setattr(live.gateway._builder, "build", lambda *_: 1 / 0)
            async with live.twilio.call(from_=FROM, to=TO) as first:
                await first.ended()
                assert first.texts
        async with live.twilio.call(from_=FROM, to=TO) as second:
            await second.silence(0.5)
            assert second.ending is None

    assert "call.not_built" in live.log.getvalue()


async def test_a_leg_that_cannot_be_finished_costs_neither_trace_nor_record(
    autojump_clock: MockClock, plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with live_gateway(plan, Puppet(), folder=tmp_path / "calls") as live:
        async with live.twilio.call(from_=FROM, to=TO) as caller:
            await caller.silence(0.2)
            monkeypatch.setattr(call_of(live, caller)._leg, "finish", breaks)

    (record,) = records(tmp_path / "calls").values()
    assert (record.trace, record.recording) == ("complete", "complete")
    assert "call.teardown_broken" in live.log.getvalue()


async def test_a_voice_that_control_piles_up_for_is_lost_and_no_bug(
    autojump_clock: MockClock, plan: Path, tmp_path: Path
):
    async with live_gateway(plan, Puppet(), folder=tmp_path / "calls") as live:
        async with live.twilio.call(from_=FROM, to=TO) as caller:
            await caller.silence(0.2)
            talking = call_of(live, caller)._keeper.talking
            assert talking is not None
            talking.outbox._most_messages = 0
            await caller.silence(1.0)
            assert caller.ending is None

    assert [fact.fields["detail"] for fact in live.facts_named("session.lost")] == [
        "did not take what it was sent"
    ]
    assert len(live.facts_named("session.ready")) == 2


async def test_half_characters_of_a_tool_reach_the_model_as_question_marks(
    autojump_clock: MockClock, plan: Path
):
    puppet = Puppet()
    async with live_gateway(plan, puppet) as live, live.twilio.call(from_=FROM, to=TO) as caller:
        await caller.silence(0.2)
        (session,) = puppet.sessions
        wanted = {"id": "f", "type": "function_call", "name": "half", "call_id": "c", "arguments": "{}"}
        session.says(type="response.created", response={"id": "r"})
        session.says(type="response.done", response={"id": "r", "status": "completed", "output": [wanted]})

        await caller.silence(0.5)

        outputs = [event["item"] for event in session.heard if event["type"] == "conversation.item.create"]
        assert [item["output"] for item in outputs] == ["a?"]
        assert caller.ending is None
