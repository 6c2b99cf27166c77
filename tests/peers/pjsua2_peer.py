"""PJSIP: a user agent that carries out a plan of steps in a process of its own, and tells what happened."""

import functools
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.peers.certificates import Certificates
from tests.peers.listening import read_channels
from tests.peers.ports import free_ports
from tests.peers.processes import Program, running

__all__ = ["UserAgent", "missing", "user_agent"]

_PROGRAM = Path(__file__).with_name("pjsua2_program.py")
_PYTHON = os.environ.get("GATEWAY_PJSUA2_PYTHON") or sys.executable


@functools.cache
def missing() -> str:
    """Why it cannot be used here; empty: it can. `GATEWAY_PJSUA2_PYTHON` may name a Python that has it."""
    try:
        found = subprocess.run([_PYTHON, "-c", "import pjsua2"], capture_output=True, check=False, timeout=20)
    except OSError as error:
        return f"{_PYTHON}: {error.strerror}"
    return "" if found.returncode == 0 else f"{_PYTHON} has no pjsua2 (ops/requirements/peers.txt)"


@dataclass(frozen=True)
class UserAgent:
    program: Program
    port: int
    rtp_port: int
    recording: Path

    @property
    def events(self) -> list[dict[str, Any]]:
        lines = [line for line in self.program.text.splitlines() if line.startswith('{"event"')]
        return [json.loads(line) for line in lines]

    def all(self, event: str) -> list[dict[str, Any]]:
        return [each for each in self.events if each["event"] == event]

    @property
    def states(self) -> list[str]:
        return [each["state"] for each in self.all("state")]

    @property
    def last_status(self) -> int:
        """Of the call: 200 for one that was hung up."""
        status: int = self.all("state")[-1]["status"]
        return status

    @property
    def digits(self) -> str:
        return "".join(each["digit"] for each in self.all("digit"))

    @property
    def heard(self) -> bytes:
        """What it recorded of the other side; whole once it is done."""
        return read_channels(self.recording)[0]

    async def done(self, longest_s: float = 20) -> None:
        """Wait until its plan is carried out."""
        if await self.program.ends(longest_s) != 0 or not self.all("done"):
            raise self.program.failed(f"ended with {self.program.process.returncode}")


@asynccontextmanager
async def user_agent(
    name: str,
    *steps: Sequence[Any],
    folder: Path,
    wav: Path,
    certificates: Certificates,
    **settings: Any,
) -> AsyncIterator[UserAgent]:
    """A user agent that carries out `steps`; without any it takes calls, until all it had are over.

    `settings`: keys of the plan that are to be other than here.
    """
    home = folder / name
    home.mkdir(parents=True)
    port, rtp_port = free_ports(), free_ports(24, step=2)
    plan = {
        "steps": steps,
        "port": port,
        "rtp_port": rtp_port,
        "wav": str(wav),
        "recording": str(home / "heard.wav"),
        "ca": str(certificates.ca),
        "certificate": str(certificates.certificate),
        "key": str(certificates.key),
        "transport": "udp",
        "user": "",
        "password": "",
        "srtp": 0,  # 1: if they want it; 2: always
        "suites": [],  # of SRTP, that it offers; none: all that it has
        "timer": 1,  # 0: never; 1: if they want it; 2: required; 3: always
        "expires_s": 1800,
        "min_expires_s": 90,
        "delayed_offer": False,
        "rings_s": 0.2,
        "answers": 200,
        "serves_s": 20,
        "log": 1,
    }
    unknown = settings.keys() - plan.keys()
    if unknown:
        raise TypeError(f"no keys of a plan: {unknown}")
    (home / "plan.json").write_text(json.dumps(plan | settings))
    async with running(name, [_PYTHON, "-u", _PROGRAM, home / "plan.json"], folder=home) as program:
        agent = UserAgent(program, port, rtp_port, home / "heard.wav")
        await program.until(lambda: bool(agent.all("ready")), 10, "it is ready")
        yield agent
