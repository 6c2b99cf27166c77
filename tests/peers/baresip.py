"""baresip: a softphone without a sound card. It says a WAV, records what it hears, and is told by TCP what to do."""

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from tests.peers.certificates import Certificates
from tests.peers.listening import read_channels
from tests.peers.ports import free_ports
from tests.peers.processes import Program, running

__all__ = ["Phone", "missing", "phoning"]

_MODULES = Path("/usr/lib/baresip/modules")


def missing() -> str:
    """Why it cannot be used here; empty: it can."""
    return (
        ""
        if shutil.which("baresip") and _MODULES.exists()
        else "baresip is not installed (Debian: baresip-core)"
    )


_CONFIG = """
poll_method epoll
sip_listen 127.0.0.1:{sip}
sip_certificate {certificates.both}
sip_cafile {certificates.ca}
call_local_timeout 60
audio_source aufile,{wav}
audio_player aubridge,{name}
audio_alert aubridge,alert{name}
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
audio_txmode thread
rtp_ports {rtp}-{last_rtp}
rtp_timeout 30
rtcp_mux no
jitter_buffer_delay 1-10
net_interface 127.0.0.1
module_path {modules}
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module srtp.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control}
snd_path {recordings}
"""


@dataclass(frozen=True)
class Phone:
    """`events`: what it told, as (class, type, parameter)."""

    program: Program
    stream: trio.SocketStream
    events: list[dict[str, Any]]
    recordings: Path

    async def dial(self, uri: str) -> None:
        """Call somebody, and wait until the call stands."""
        await self._command("dial", uri)
        await self.told("CALL_ESTABLISHED", 8)

    async def press(self, digit: str) -> None:
        await self._command("sndcode", digit)

    async def hang_up(self) -> None:
        """End the call, and wait until it is over."""
        await self._command("hangup")
        await self.told("CALL_CLOSED", 4)

    async def told(self, event: str, longest_s: float) -> dict[str, Any]:
        """Wait for an event of this type."""
        await self.program.until(lambda: bool(self.all(event)), longest_s, event)
        return self.all(event)[-1]

    def all(self, event: str) -> list[dict[str, Any]]:
        return [each for each in self.events if each.get("type") == event]

    @property
    def heard(self) -> bytes:
        """What it recorded of the other side, once the call is over."""
        found = sorted(self.recordings.glob("*-dec.wav"))
        if not found:
            raise self.program.failed("recorded nothing")
        return read_channels(found[0])[0]

    async def _command(self, command: str, parameters: str = "") -> None:
        text = json.dumps({"command": command, "params": parameters, "token": "test"})
        await self.stream.send_all(f"{len(text)}:{text},".encode())


@asynccontextmanager
async def phoning(
    name: str,
    *,
    folder: Path,
    wav: Path,
    certificates: Certificates,
    account: str = "",
    transport: str = "udp",
    encryption: str = "",
) -> AsyncIterator[Phone]:
    """A telephone that is on while the block lasts. What it recorded is whole when the block is left.

    `wav`: what it says. `account`: more parameters of its account. `encryption`: "srtp-mand", "srtp" or none.
    """
    home = folder / name
    recordings = home / "recordings"
    recordings.mkdir(parents=True)
    sip, rtp, control = free_ports(2), free_ports(20, step=2), free_ports()
    config = _CONFIG.format(
        sip=sip,
        certificates=certificates,
        wav=wav,
        name=name,
        rtp=rtp,
        last_rtp=rtp + 19,
        modules=_MODULES,
        control=control,
        recordings=recordings,
    )
    (home / "config").write_text(config)
    (home / "contacts").touch()
    secured = f";mediaenc={encryption}" if encryption else ""
    own = f"sip:{name}@127.0.0.1:{sip + (transport == 'tls')};transport={transport}"  # TLS listens one port above
    (home / "accounts").write_text(
        f"<{own}>;regint=0;answermode=auto;audio_codecs=pcma/8000/1,pcmu/8000/1{secured}{account}\n"
    )
    async with running(name, ["baresip", "-f", home, "-4", "-s", "-v"], folder=home) as program:
        stream = await _connect(program, control)
        async with stream, trio.open_nursery() as nursery:
            phone = Phone(program, stream, [], recordings)
            nursery.start_soon(_follow, stream, phone.events)
            yield phone
            nursery.cancel_scope.cancel()


async def _connect(program: Program, port: int) -> trio.SocketStream:
    for _ in range(100):
        try:
            return await trio.open_tcp_stream("127.0.0.1", port)
        except OSError:
            await trio.sleep(0.05)
    raise program.failed(f"does not listen on {port}")


async def _follow(stream: trio.SocketStream, events: list[dict[str, Any]]) -> None:
    """Read its netstrings."""
    text = b""
    while more := await stream.receive_some():
        text += more
        while b":" in text:
            length, _, rest = text.partition(b":")
            if len(rest) <= int(length):
                break
            events.append(json.loads(rest[: int(length)]))
            text = rest[int(length) + 1 :]
