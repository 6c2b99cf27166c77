"""The servers that SIP is measured with, each in a process of its own, on one core: a gateway, and sip_plain.py."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent

SETTINGS = """
[http]
port = 0
[private]
port = 0
[voice]
backend = "echo"
[sip]
listen = ["udp:127.0.0.1:0"]
rtp_ports = "0"
[trunks.bench]
networks = ["127.0.0.1"]
calls = 2000
calls_per_s = 2000
[calls]
folder = "{folder}"
max_active = 2000
[log]
level = "warning"
"""


@dataclass(frozen=True)
class Server:
    """`rtp_port`: of the plain one."""

    process: subprocess.Popen[str]
    sip_port: int
    rtp_port: int = 0

    def cpu_ms(self) -> float:
        """User and system time of all its threads."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6

    def rss_kb(self) -> int:
        match = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())
        return int(match[1]) if match else 0


def cores() -> tuple[set[int], set[int]]:
    """One for the server, and the rest for who calls it; the same where there is only one."""
    all_of_them = sorted(os.sched_getaffinity(0))
    return {all_of_them[0]}, set(all_of_them[1:] or all_of_them)


@contextmanager
def started(
    command: list[str], on: set[int], environ: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | (environ or {}),
        text=True,
    )
    os.sched_setaffinity(process.pid, on)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def gateway(*, recorded: bool) -> Iterator[Server]:
    """A gateway whose voice is `echo`. `recorded`: with a trace and a recording of every call."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "gateway.toml")
        config.write_text(SETTINGS.format(folder=f"{folder}/calls" if recorded else ""))
        command = [sys.executable, "-m", "gateway", "serve", "--config", str(config)]
        with started(command, cores()[0], {"OPENBLAS_NUM_THREADS": "1"}) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if port := re.search(r"udp:127\.0\.0\.1:(\d+)", line):
                    time.sleep(1)  # what a start does once is no call's
                    yield Server(process, int(port[1]))
                    return
        raise SystemExit("the gateway did not start")


@contextmanager
def plain(*, on: set[int] | None = None) -> Iterator[Server]:
    """The baseline."""
    with started([sys.executable, str(HERE / "sip_plain.py")], on or cores()[0]) as process:
        assert process.stdout is not None
        sip_port, rtp_port = map(int, process.stdout.readline().split())
        yield Server(process, sip_port, rtp_port)
