"""A whole gateway that takes calls by SIP on loopback, in this process: its sockets are real, its voice is the echo."""

import io
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Any

import trio
import trio.testing

from gateway.carriers.sip.numbers import shown_call_id
from gateway.contracts import EndReason
from gateway.dialplan.plan import load
from gateway.serve import Gateway, Parts
from gateway.settings import read_settings
from gateway.telemetry.log import configure
from gateway.telemetry.metrics import Metrics
from gateway.testing.live import inline
from gateway.voice.backends.echo import EchoBackend
from gateway.wire.sip.flow import Address

__all__ = ["HOST", "SipGateway", "sip_gateway"]

HOST = "127.0.0.1"
NOTHING: Mapping[str, str] = MappingProxyType({})
# Each test adds its trunks.
SETTINGS = Template("""
[calls]
folder = "$folder"
[sip]
listen = [$listen]
rtp_ports = "0"
certificate = "$certificate"
key = "$key"
""")
PLAN = """
[default]
plan = "echo"

[[routes]]
number = "+15550100404"
plan = "nobody"

[plans.nobody]
steps = [{ do = "reject" }]

[plans.echo]
steps = [{ do = "answer" }, { do = "converse", agent = "echo" }]

[agents.echo]
instructions = "Say what you hear."
"""
BUG = re.compile(r'Traceback|"event":"(?:sip|call|media)\.\w*brok')
LONGEST_S = 20  # of one test
PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class SipGateway:
    """`folder`: of its calls. `at`: where it listens, by transport."""

    gateway: Gateway
    metrics: Metrics
    folder: Path
    log: io.StringIO
    at: Mapping[str, Address]

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The lines of the log that tell of an event."""
        lines = map(json.loads, self.log.getvalue().splitlines())
        return [line for line in lines if line["event"] == event]

    def counted(self, name: str) -> float:
        """A metric as it is exposed; 0 before it was counted. `name`: with its labels."""
        exposed = (line.rpartition(" ") for line in self.metrics.expose().decode().splitlines())
        return sum(float(value) for each, _, value in exposed if each == name)

    @property
    def has_a_bug(self) -> bool:
        return bool(BUG.search(self.log.getvalue()))

    async def records(self, count: int) -> list[dict[str, Any]]:
        """Of calls that are over, as soon as there are so many."""
        with trio.fail_after(PATIENCE_S):
            while len(found := sorted(self.folder.glob("*/call.json"))) < count:  # noqa: ASYNC110 - of a file
                await trio.sleep(0.02)
        return [json.loads(path.read_bytes()) for path in found]

    def hang_up_all(self, *, but: str = "") -> None:
        """End all calls, but that of a Call-ID."""
        for call in self.gateway.supervisor.active.values():
            if call.record.carrier_call != shown_call_id(but):
                call.hang_up(EndReason.OPERATOR)

    async def until_idle(self) -> None:
        with trio.fail_after(PATIENCE_S):
            await self.gateway.supervisor.idle()


@asynccontextmanager
async def sip_gateway(
    folder: Path,
    trunks: str,
    *,
    listen: tuple[str, ...] = ("udp", "tcp"),
    secrets: Mapping[str, str] = NOTHING,
    certificate: tuple[Path, Path] | None = None,
) -> AsyncIterator[SipGateway]:
    """It runs as long as the block. `trunks`: TOML. `certificate`: its file and its key's, for `tls`.

    No call and none of its sockets may be left at the end; a bug that was found is one in this test too.
    """
    calls = folder / "calls"
    chain, key = certificate or ("", "")
    settings = SETTINGS.substitute(
        folder=calls,
        listen=", ".join(f'"{each}:{HOST}:0"' for each in listen),
        certificate=chain,
        key=key,
    )
    (folder / "gateway.toml").write_text(settings + trunks)
    (folder / "plan.toml").write_text(PLAN)
    log, metrics = io.StringIO(), Metrics()
    parts = Parts(
        dialplan=load(folder / "plan.toml"),
        backends=(EchoBackend(),),
        synthesize=mute,
        run_blocking=inline,
        metrics=metrics,
        log=configure(log, pretty=False),
    )
    gateway = Gateway(*read_settings(folder / "gateway.toml", secrets), "", parts)
    assert gateway.sip is not None
    with trio.fail_after(LONGEST_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(gateway.run)
            at: dict[str, Address] = dict(gateway.sip.bound)
            served = SipGateway(gateway, metrics, calls, log, at)
            yield served
            await served.until_idle()
            await trio.testing.wait_all_tasks_blocked()
            assert gateway.sip.coming == 0
            assert len(gateway.clock) == 0
            assert not served.has_a_bug, log.getvalue()
            nursery.cancel_scope.cancel()


async def mute(text: str, _voice: str | None) -> bytes:
    raise AssertionError(f"nothing is to be said here: {text!r}")
