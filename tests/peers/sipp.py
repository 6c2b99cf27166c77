"""sipp: plays a scenario as a caller or as somebody who is called, and says how it came out."""

import csv
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.peers.ports import free_ports, is_bound
from tests.peers.processes import Program, running

__all__ = ["CAPTURES", "Player", "SippDone", "call", "called_by", "missing"]

CAPTURES = Path("/usr/share/sip-tester")
"""What Debian's package brings: speech in packets of 30 ms, and a key each as RFC 4733 has it."""

_HOST = "127.0.0.1"


def missing() -> str:
    """Why it cannot be used here; empty: it can."""
    return "" if shutil.which("sipp") else "sipp is not installed (Debian: sip-tester)"


@dataclass(frozen=True)
class SippDone:
    """How a scenario came out. `messages`: all that passed. `media_port`: where its RTP was."""

    name: str
    exit_status: int
    completed: int
    failed: int
    messages: str
    errors: str
    media_port: int

    @property
    def worked(self) -> bool:
        """Each call went through its scenario, and there was one. sipp's exit status does not tell by itself."""
        return self.exit_status == 0 and self.failed == 0 and self.completed > 0

    @property
    def received(self) -> list[str]:
        """The messages that came, in order."""
        parts = self.messages.split("-----------------------------------------------")
        return [part.split("\n\n", 1)[1] for part in parts if " received [" in part[:200]]

    @property
    def answers(self) -> dict[str, list[str]]:
        """The responses that came for each Call-ID, in order, as "200 INVITE"."""
        found: dict[str, list[str]] = {}
        for message in self.received:
            if message.startswith("SIP/2.0 "):
                rows = dict(line.split(": ", 1) for line in message.splitlines() if ": " in line)
                answer = f"{message.split()[1]} {rows['CSeq'].split()[1]}"
                found.setdefault(rows["Call-ID"], []).append(answer)
        return found

    def __str__(self) -> str:
        counts = f"exit status {self.exit_status}, {self.completed} completed, {self.failed} failed"
        return f"sipp {self.name}: {counts}\n{self.errors}\n{self.messages[-6000:]}"


@dataclass(frozen=True)
class Player:
    """A sipp that runs."""

    name: str
    program: Program
    folder: Path
    media_port: int
    longest_s: float

    async def done(self) -> SippDone:
        """Wait until its scenario is over."""
        exit_status = await self.program.ends(self.longest_s + 5)
        counts = _counts(self._file("csv"))
        if counts is None:
            raise self.program.failed("no statistics")
        messages, errors = _text(self._file("messages")), _text(self._file("errors"))
        return SippDone(self.name, exit_status, *counts, messages, errors, self.media_port)

    async def rings(self) -> None:
        """Wait until it has sent 180."""
        messages = self._file("messages")
        await self.program.until(lambda: "180 Ringing" in _text(messages), 10, "it rings")

    def _file(self, kind: str) -> Path:
        return self.folder / f"{self.name}.{kind}"


async def call(
    name: str,
    scenario: str,
    *,
    folder: Path,
    to: int,
    service: str,
    host: str = _HOST,
    options: Sequence[str] = (),
    longest_s: float = 20,
) -> SippDone:
    """Call the server on port `to` of this machine. `host`: the address that we call from."""
    options = [*options, "-s", service, f"{_HOST}:{to}"]
    async with _playing(
        name, scenario, folder=folder, host=host, port=free_ports(), options=options, longest_s=longest_s
    ) as player:
        return await player.done()


@asynccontextmanager
async def called_by(
    name: str,
    scenario: str,
    *,
    folder: Path,
    port: int,
    host: str = _HOST,
    options: Sequence[str] = (),
    longest_s: float = 30,
) -> AsyncIterator[Player]:
    """Somebody on `port` who can be called while the block lasts."""
    async with _playing(
        name, scenario, folder=folder, host=host, port=port, options=options, longest_s=longest_s
    ) as player:
        await player.program.until(lambda: is_bound(port), 5, f"port {port} is open")
        yield player


@asynccontextmanager
async def _playing(
    name: str,
    scenario: str,
    *,
    folder: Path,
    host: str,
    port: int,
    options: Sequence[str],
    longest_s: float,
) -> AsyncIterator[Player]:
    (folder / f"{name}.xml").write_text(scenario)
    media_port = free_ports(4, step=2)
    command: list[str | Path] = [
        "sipp",
        "-sf",
        folder / f"{name}.xml",
        "-i",
        host,
        "-mi",
        host,
        "-p",
        str(port),
    ]
    command += ["-mp", str(media_port), "-nostdin", "-timeout", f"{longest_s:g}s", "-timeout_error"]
    command += ["-trace_msg", "-message_file", folder / f"{name}.messages"]
    command += ["-trace_err", "-error_file", folder / f"{name}.errors"]
    command += ["-trace_stat", "-stf", folder / f"{name}.csv", "-fd", "1"]
    command += options
    if "-m" not in options:
        command += ["-m", "1"]
    async with running(name, command, folder=folder) as program:
        yield Player(name, program, folder, media_port, longest_s)


def _counts(path: Path) -> tuple[int, int] | None:
    """Calls that worked and calls that did not, of all the time."""
    if not path.exists():
        return None
    *_, last = csv.DictReader(path.read_text().splitlines(), delimiter=";")
    return int(last["SuccessfulCall(C)"]), int(last["FailedCall(C)"])


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
