"""SIP's door on sockets: what it says to a registrar when it goes, and to who calls it then."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest
import structlog
import trio

from gateway.carriers.sip.door import SipDoor
from gateway.carriers.sip.setting_texts import Listen, PortRange
from gateway.carriers.sip.settings import SipSettings, TrunkSettings
from gateway.config import ConfigError, Secret
from gateway.contracts import CallLeg
from gateway.incoming import Admit, NewCall
from gateway.telemetry.metrics import Metrics
from gateway.wire.sip.message import Request, Response, response_to
from gateway.wire.sip.parser import parse_datagram
from gateway.wire.sip.uri import SipUri

LOCAL = "127.0.0.1"
LONGEST_S = 5


class Registrar:
    """`asked`: what came. It answers when it is told to."""

    def __init__(self, socket: trio.socket.SocketType) -> None:
        self.asked: list[Request] = []
        self._socket = socket
        self._sender: tuple[str, int] = ("", 0)

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    async def hears(self) -> Request:
        """The next new request."""
        while True:
            data, self._sender = await self._socket.recvfrom(4000)
            request = parse_datagram(data)
            assert isinstance(request, Request)
            if not self.asked or request.headers["CSeq"] != self.asked[-1].headers["CSeq"]:
                self.asked.append(request)
                return request

    async def answers(self, status: int = 200) -> None:
        response = response_to(self.asked[-1], status, to_tag="r")
        response.headers["Contact"] = self.asked[-1].headers["Contact"]
        await self._socket.sendto(response.encode(), self._sender)

    async def asks(self, port: int, method: str) -> Response:
        """A request outside of any call, and its answer."""
        host, ours = self._socket.getsockname()[:2]
        rows = [
            f"{method} sip:{LOCAL}:{port} SIP/2.0",
            f"Via: SIP/2.0/UDP {host}:{ours};branch=z9hG4bKasked;rport",
            "Max-Forwards: 70",
            f"From: <sip:{host}>;tag=a",
            f"To: <sip:{LOCAL}>",
            "Call-ID: asked",
            f"CSeq: 1 {method}",
            f"Contact: <sip:{host}:{ours}>",
            "Content-Length: 0",
        ]
        await self._socket.sendto("\r\n".join([*rows, "", ""]).encode(), (LOCAL, port))
        while True:
            data, _ = await self._socket.recvfrom(4000)
            response = parse_datagram(data)
            if isinstance(response, Response) and response.headers["CSeq"] == f"1 {method}":
                return response


async def host(_leg: CallLeg, _new: NewCall) -> None:
    raise AssertionError("nobody calls")


@asynccontextmanager
async def registering(external_host: str = "") -> AsyncIterator[tuple[SipDoor, Registrar]]:
    """A door that registers, and has been taken."""
    with (
        trio.fail_after(LONGEST_S),
        trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as socket,
    ):
        await socket.bind((LOCAL, 0))
        registrar = Registrar(socket)
        async with trio.open_nursery() as nursery:
            door = SipDoor(
                SipSettings(
                    listen=(Listen("UDP", LOCAL, 0),),
                    rtp_ports=PortRange(0, 0),
                    external_host=external_host,
                ),
                {
                    "pbx": TrunkSettings(
                        address=SipUri(host=LOCAL, port=registrar.port),
                        networks=(ip_network(LOCAL),),
                        register=True,
                        user="voicebot",
                        ping_s=0.0,
                    )
                },
                {"pbx": Secret("open sesame")},
                admit=lambda _new: Admit(),
                host=host,
                spawn=nursery.start_soon,
                destinations={},
                metrics=Metrics(),
                log=structlog.get_logger(),
            )
            await nursery.start(door.run)
            await registrar.hears()
            await registrar.answers()
            yield door, registrar
            nursery.cancel_scope.cancel()


async def test_a_registrar_on_our_side_of_the_nat_is_told_where_we_are_there():
    async with registering(external_host="203.0.113.7") as (_, registrar):
        (asked,) = registrar.asked

    assert f"@{LOCAL}:" in asked.headers["Contact"]


async def test_a_file_of_tls_that_cannot_be_used_is_named():
    settings = SipSettings(listen=(Listen("TLS", LOCAL, 0),), certificate="none.pem", key="none.key")
    door = SipDoor(
        settings,
        {},
        {},
        admit=lambda _new: Admit(),
        host=host,
        spawn=lambda *_: None,
        destinations={},
        metrics=Metrics(),
        log=structlog.get_logger(),
    )

    with pytest.raises(ConfigError, match=r'^sip\.certificate = "none\.pem": cannot be read: No such file'):
        await door.run()


async def test_a_door_that_drains_unregisters_at_once_and_has_parted_when_that_is_known():
    async with registering() as (door, registrar):
        await trio.sleep(0.1)

        door.drain()
        with trio.fail_after(0.5):
            asked = await registrar.hears()
        with trio.move_on_after(0.1) as too_early:
            await door.parted()
        await registrar.answers()
        await door.parted()

    assert (asked.method, asked.headers["Expires"]) == ("REGISTER", "0")
    assert too_early.cancelled_caught


async def test_a_door_that_drains_tells_who_asks_and_who_calls():
    async with registering() as (door, registrar):
        await trio.sleep(0.1)
        door.drain()
        port = door.bound[0][1].port

        asked = await registrar.asks(port, "OPTIONS")
        called = await registrar.asks(port, "INVITE")

    assert [asked.status, called.status] == [503, 503]
    assert "Retry-After" in called.headers
