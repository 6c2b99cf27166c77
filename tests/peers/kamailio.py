"""Kamailio: a proxy that spreads calls over gateways, asks them how they are, and leaves out those that say no."""

import itertools
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template

import trio

from tests.peers.ports import free_ports, is_bound
from tests.peers.processes import Program, running

__all__ = ["Proxy", "missing", "proxy"]


def _modules() -> Path | None:
    return next(Path("/usr/lib").glob("*/kamailio/modules"), None)


def missing() -> str:
    """Why it cannot be used here; empty: it can."""
    if shutil.which("kamailio") and shutil.which("kamcmd") and _modules():
        return ""
    return "kamailio is not installed (Debian: kamailio)"


_CONFIG = Template("""#!KAMAILIO
debug=2
log_stderror=yes
fork=yes
children=2
tcp_children=1
auto_aliases=no
dns=no
rev_dns=no
listen=udp:127.0.0.1:$sip
mpath="$modules/"
loadmodule "ctl.so"
loadmodule "kex.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "dispatcher.so"
modparam("ctl", "binrpc", "unix:$home/control")
modparam("rr", "enable_full_lr", 1)
modparam("tm", "fr_timer", 2000)
modparam("dispatcher", "list_file", "$home/dispatcher.list")
modparam("dispatcher", "flags", 2)
modparam("dispatcher", "ds_ping_method", "OPTIONS")
modparam("dispatcher", "ds_ping_from", "sip:proxy@127.0.0.1")
modparam("dispatcher", "ds_ping_interval", 1)
modparam("dispatcher", "ds_probing_mode", 1)
modparam("dispatcher", "ds_probing_threshold", 1)
modparam("dispatcher", "ds_inactive_threshold", 1)
modparam("dispatcher", "xavp_dst", "_destination_")

request_route {
    if (!mf_process_maxfwd_header("10")) {
        sl_send_reply("483", "Too Many Hops");
        exit;
    }
    if (is_method("CANCEL")) {
        if (t_check_trans()) t_relay();
        exit;
    }
    if (has_totag()) {
        if (loose_route() || is_method("ACK")) t_relay();
        else sl_send_reply("404", "Not here");
        exit;
    }
    t_check_trans();
    if (!is_method("INVITE")) {
        sl_send_reply("405", "Method Not Allowed");
        exit;
    }
    record_route();
    if (!ds_select_dst("1", "4")) {
        sl_send_reply("503", "No gateway");
        exit;
    }
    t_on_failure("NEXT");
    t_relay();
}

failure_route[NEXT] {
    if (t_is_canceled()) exit;
    if (t_check_status("503") || (t_branch_timeout() && !t_branch_replied())) {
        ds_mark_dst("ip");
        if (ds_next_dst()) {
            t_on_failure("NEXT");
            t_relay();
        }
    }
}
""")


@dataclass(frozen=True)
class Proxy:
    program: Program
    home: Path
    sip: int

    async def flags_of(self, port: int) -> str:
        """What it thinks of the gateway on a port. `AP`: it is there and is asked; `IP`: it is left out."""
        done = await trio.run_process(
            ["kamcmd", "-s", f"unix:{self.home}/control", "dispatcher.list"],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            stdin=b"",
        )
        lines = [line.strip() for line in done.stdout.decode().splitlines()]
        for line, following in itertools.pairwise(lines):
            if line == f"URI: sip:127.0.0.1:{port}":
                return following.removeprefix("FLAGS: ")
        return ""

    async def sees(self, port: int, flags: str, longest_s: float = 8) -> None:
        """Wait until it thinks so."""
        with trio.move_on_after(longest_s):
            while await self.flags_of(port) != flags:  # noqa: ASYNC110 - another process decides it
                await trio.sleep(0.1)
            return
        raise self.program.failed(f"{port} is {await self.flags_of(port)!r}, not {flags!r}")


@asynccontextmanager
async def proxy(*, folder: Path, gateways: Sequence[int]) -> AsyncIterator[Proxy]:
    """A proxy before the gateways on these ports, while the block lasts."""
    home = folder / "kamailio"
    home.mkdir(parents=True)
    sip = free_ports()
    (home / "dispatcher.list").write_text("".join(f"1 sip:127.0.0.1:{port} 0 0\n" for port in gateways))
    (home / "kamailio.cfg").write_text(_CONFIG.substitute(sip=sip, modules=_modules(), home=home))
    command: list[str | Path] = [
        "kamailio",
        "-f",
        home / "kamailio.cfg",
        "-DD",
        "-E",
        "-w",
        home,
        "-P",
        home / "pid",
        "-Y",
        home,
    ]
    async with running("kamailio", command, folder=home) as program:
        await program.until(lambda: is_bound(sip), 10, "it listens")
        yield Proxy(program, home, sip)
