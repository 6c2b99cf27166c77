"""A machine with two addresses: who calls one of them hears, and is heard, at that one."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest
import structlog
import trio

from gateway.carriers.sip.door import SipDoor
from gateway.carriers.sip.setting_texts import Listen, PortRange
from gateway.carriers.sip.settings import SipSettings, TrunkSettings
from gateway.contracts import CallLeg, EndReason
from gateway.incoming import Admit, NewCall
from gateway.telemetry.metrics import Metrics
from gateway.wire.sdp.description import decode
from gateway.wire.sip.flow import Address
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.parser import parse_datagram

ADDRESSES = ("127.0.0.1", "127.0.0.2")
OFFER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


async def answers(leg: CallLeg, _new: NewCall) -> None:
    await leg.answer()
    await trio.sleep_forever()


async def hangs_up(leg: CallLeg, _new: NewCall) -> None:
    await leg.answer()
    await leg.finish(EndReason.AGENT_HUNG_UP)


class Caller:
    """Calls the gateway at one of its addresses, which is `called`."""

    def __init__(self, socket: trio.socket.SocketType, called: Address) -> None:
        self.called = called
        self._socket = socket
        self._here = socket.getsockname()[1]

    async def asks(self, method: str, body: str = "", *, to_tag: str = "") -> None:
        host, port = self.called
        head = [
            f"{method} sip:100@{host}:{port} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self._here};branch=z9hG4bK{method}{host};rport",
            "Max-Forwards: 70",
            "From: <sip:caller@127.0.0.1>;tag=a",
            f"To: <sip:100@{host}>{to_tag}",
            f"Call-ID: to-{host}",
            f"CSeq: 1 {method}",
            f"Contact: <sip:caller@127.0.0.1:{self._here}>",
            "Content-Type: application/sdp",
            f"Content-Length: {len(body)}",
        ]
        await self._socket.sendto("\r\n".join([*head, "", body]).encode(), self.called)

    async def is_answered(self) -> Response:
        """The 200 to an INVITE."""
        await self.asks("INVITE", OFFER)
        while True:
            response = parse_datagram((await self._socket.recvfrom(4000))[0])
            if isinstance(response, Response) and response.status >= 200:
                return response

    async def is_asked(self) -> tuple[Request, Address]:
        """The next request that comes, and from where."""
        while True:
            data, sender = await self._socket.recvfrom(4000)
            request = parse_datagram(data)
            if isinstance(request, Request):
                return request, Address(*sender[:2])


@asynccontextmanager
async def caller_of(host: str, hosts: Callable[[CallLeg, NewCall], Awaitable[None]]) -> AsyncIterator[Caller]:
    """Who may call a gateway at `host`, which is there as long as the block."""
    with trio.fail_after(5), trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as socket:
        await socket.bind(("127.0.0.1", 0))
        async with trio.open_nursery() as nursery:
            door = SipDoor(
                SipSettings(
                    listen=tuple(Listen("UDP", each, 0) for each in ADDRESSES), rtp_ports=PortRange(0, 0)
                ),
                {"here": TrunkSettings(networks=(ip_network("127.0.0.0/8"),))},
                {},
                admit=lambda _new: Admit(),
                host=hosts,
                spawn=nursery.start_soon,
                destinations={},
                metrics=Metrics(),
                log=structlog.get_logger(),
            )
            await nursery.start(door.run)
            yield Caller(socket, next(at for _, at in door.bound if at.host == host))
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("called", ADDRESSES)
async def test_audio_is_taken_where_the_call_came(called: str):
    async with caller_of(called, answers) as caller:
        response = await caller.is_answered()

    description = decode(response.body)
    assert (response.status, description.media[0].port % 2) == (200, 0)
    assert f"c=IN IP4 {called}" in response.body.decode()


@pytest.mark.parametrize("called", ADDRESSES)
async def test_we_hang_up_from_where_the_call_came(called: str):
    async with caller_of(called, hangs_up) as caller:
        answer = await caller.is_answered()
        await caller.asks("ACK", to_tag=";tag=" + answer.headers["To"].partition(";tag=")[2])
        request, sender = await caller.is_asked()

    assert (request.method, sender) == ("BYE", caller.called)
    assert request.headers["Via"].startswith(f"SIP/2.0/UDP {called}:{caller.called.port};")
