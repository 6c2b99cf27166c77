"""Records the calls of tests/traces/ again: each shows something that a change could break.

    python -m ops.record_traces [--into FOLDER] [NAME ...]

Calls run on the virtual clock against the fake Twilio, or a SIP phone behind a network; which there are say
`recorded_calls` and `recorded_sip_calls`. A trace is kept, not made again, as long as its replay is identical;
`gateway replay --accept` is for changes that are meant.
"""

import argparse
import contextlib
import io
import random
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import trio
import trio.testing
from trio.testing import MockClock

from gateway.building import build_core
from gateway.config import Secret
from gateway.contracts import Fact
from gateway.serve import Gateway, Parts
from gateway.settings import Secrets
from gateway.telemetry.log import configure
from gateway.telemetry.metrics import Metrics
from gateway.testing.fake_sip_leg import FakeSipLeg
from gateway.testing.fake_twilio import FakeTwilio, TwilioAccount
from gateway.testing.handset import CallOver
from gateway.testing.live import AUTH_TOKEN, PUBLIC_URL, inline
from gateway.testing.twilio_caller import Caller
from gateway.traces import replay, report_lines
from gateway.voice.backends.scripted import tone
from ops.recorded_call import RecordedCall
from ops.recorded_calls import CALLS, TWILIO_CALLS
from ops.recorded_sip_calls import SIP_CALLS, RecordedSipCall

TRACES = Path(__file__).parent.parent / "tests" / "traces"
_PARTS_OF_A_TRACE = ("trace.jsonl", "trace.audio", "outputs.jsonl", "outputs.audio")


class ShowsNothing(Exception):
    """A call does not show what it was made for; the text says what it lacks."""


def gateway_for(call: RecordedCall[Any], folder: Path, facts: list[Fact]) -> Gateway:
    """A gateway of this call's voices, which writes into `folder`."""
    settings = call.settings
    calls = msgspec.structs.replace(settings.calls, folder=str(folder))

    async def say(text: str, _voice: str | None) -> bytes:
        return tone(text)

    parts = Parts(
        dialplan=call.dialplan,
        backends=call.voices(),
        synthesize=say,
        run_blocking=inline,
        metrics=Metrics(),
        log=configure(io.StringIO(), pretty=False),
        watch=lambda _call, fact: facts.append(fact),
    )
    secrets = Secrets(twilio_auth_token=Secret(AUTH_TOKEN))
    return Gateway(msgspec.structs.replace(settings, calls=calls), secrets, PUBLIC_URL, parts)


@asynccontextmanager
async def twilio_before(gateway: Gateway) -> AsyncIterator[FakeTwilio]:
    """An account whose calls the gateway answers."""

    async def dial() -> trio.abc.Stream:
        ours, theirs = trio.testing.memory_stream_pair()
        gateway.connect(theirs)
        return ours

    sid = "AC" + "1" * 32
    account = TwilioAccount(account_sid=sid, auth_token=AUTH_TOKEN, public_url=PUBLIC_URL, dial=dial)
    async with trio.open_nursery() as nursery:
        await nursery.start(gateway.run)
        async with FakeTwilio(account) as twilio:
            yield twilio
        await gateway.supervisor.idle()
        nursery.cancel_scope.cancel()


async def over_twilio(gateway: Gateway, call: RecordedCall[Caller]) -> None:
    async with twilio_before(gateway) as twilio:
        async with twilio.call(from_="+15550100001", to="+15550100002") as caller:
            with contextlib.suppress(CallOver):  # the agent ended it first
                await call.talk(caller)


async def over_sip(gateway: Gateway, sip: RecordedSipCall) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(gateway.run)
        rng = random.Random(1)
        leg = FakeSipLeg(rng, loss=sip.loss, jitter_s=sip.jitter_s, duplicates=sip.duplicates)
        nursery.start_soon(leg.run)
        nursery.start_soon(gateway.host, leg, leg.new_call())
        with contextlib.suppress(CallOver):
            await sip.call.talk(leg)
        await gateway.supervisor.idle()
        nursery.cancel_scope.cancel()


async def record(name: str, into: Path) -> None:
    """Make the call and keep its trace in `into`. Raises `ShowsNothing`."""
    call = CALLS[name]
    facts: list[Fact] = []
    with tempfile.TemporaryDirectory() as folder:
        gateway = gateway_for(call, Path(folder), facts)
        if name in SIP_CALLS:
            await over_sip(gateway, SIP_CALLS[name])
        else:
            await over_twilio(gateway, TWILIO_CALLS[name])
        (written,) = Path(folder).glob("2*")
        check(call, facts, written)
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir(parents=True)
        for part in _PARTS_OF_A_TRACE:
            shutil.copyfile(written / part, into / part)


def check(call: RecordedCall[Any], facts: list[Fact], written: Path) -> None:
    """Raises `ShowsNothing`."""
    missing = set(call.shows) - {fact.name for fact in facts}
    if missing:
        raise ShowsNothing(f"there is no {', '.join(sorted(missing))}")
    for fact in facts:
        if fact.name == "voice.troubled":
            raise ShowsNothing(f"the voice complained: {fact.fields}")
    verdict = replay(written, build_core)
    if not verdict.identical:
        raise ShowsNothing("\n".join(report_lines(verdict)))


def main() -> int:
    parser = argparse.ArgumentParser(description="Record the calls of tests/traces/ again.")
    parser.add_argument("--into", type=Path, default=TRACES, metavar="FOLDER")
    parser.add_argument("names", nargs="*", choices=[[], *CALLS], metavar="NAME", help=", ".join(CALLS))
    asked = parser.parse_args()
    for name in asked.names or CALLS:
        folder = asked.into / name
        try:
            trio.run(record, name, folder, clock=MockClock(autojump_threshold=0))
        except ShowsNothing as lack:
            print(f"{name}: {lack}")
            return 1
        size_bytes = sum(path.stat().st_size for path in folder.iterdir())
        print(f"{name:12} {size_bytes / 1e6:6.2f} MB")
    total_bytes = sum(path.stat().st_size for path in asked.into.rglob("*") if path.is_file())
    print(f"{'in all':12} {total_bytes / 1e6:6.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
