"""Somebody at the far end of a trunk, on sockets: he is called, and does what a test has him do."""

import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Literal

import structlog
import trio

from gateway.carriers.sip.agent_loop import AgentLoop
from gateway.carriers.sip.dns import system_dns
from gateway.carriers.sip.flows import WayIn, open_flows
from gateway.wire.sdp.agreement import OurMedia
from gateway.wire.sdp.description import decode, encode
from gateway.wire.sdp.offer_answer import OfferAnswer
from gateway.wire.sip.endpoint import Endpoint
from gateway.wire.sip.flow import Address
from gateway.wire.sip.message import Request
from gateway.wire.sip.routing import Addresses
from gateway.wire.sip.session import Session
from gateway.wire.sip.session_words import Offered
from gateway.wire.sip.strangers import Strangers
from gateway.wire.sip.user_agent import Called, Event, Passed, SessionSaid, UserAgent
from gateway.wire.sip.values import Reason

__all__ = ["FarEnd", "far_end"]

LOCAL = "127.0.0.1"
_RTP_HEADER_BYTES = 12


class FarEnd:
    """`heard`: the methods that came, those of a call, in order. `invites`: those that came, first to last.

    `rtp`: payloads that came. `address`: where he is called. `called`: is set when his telephone may ring.
    """

    def __init__(self, challenge: str) -> None:
        self.address = Address(LOCAL, 0)
        self.heard: list[str] = []
        self.invites: list[Request] = []
        self.byes: list[Request] = []
        self.rtp: list[bytes] = []
        self.called = trio.Event()
        self._challenge = challenge
        self._rng = random.Random(1)
        self._session: Session | None = None
        self._answer = b""
        self._strangers = Strangers({"us": [ip_network("127.0.0.0/8")]})
        self._socket = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
        self._loop = AgentLoop(
            self._strangers,
            happens=self._happens,
            advance=lambda _now: None,
            deadline=lambda: None,
            dropped=lambda _why: None,
            log=structlog.get_logger(),
        )
        self._addresses = Addresses({})
        self._agent: UserAgent | None = None
        self._changed = trio.Event()

    @property
    def session(self) -> Session:
        assert self._session is not None
        return self._session

    # -- what he does

    def rings(self, status: int = 180, *, early_media: bool = False) -> None:
        self.session.ring(trio.current_time(), status, self._answer if early_media else None)
        self._did()

    def answers(self) -> None:
        self.session.accept(self._answer, trio.current_time())
        self._did()

    def refuses(self, status: int, *reasons: Reason) -> None:
        self.session.refuse(status, trio.current_time(), tuple(("Reason", str(each)) for each in reasons))
        self._did()

    def hangs_up(self, *reasons: Reason) -> None:
        self.session.hang_up(trio.current_time(), reasons)
        self._did()

    async def hears(self, method: str) -> None:
        """Wait for a request."""
        while method not in self.heard:
            self._changed = trio.Event()
            await self._changed.wait()

    async def hears_media(self, packets: int) -> None:
        while len(self.rtp) < packets:
            self._changed = trio.Event()
            await self._changed.wait()

    # -- what happens

    async def run(self, transport: Literal["UDP", "TCP"], *, task_status: trio.TaskStatus[None]) -> None:
        await self._socket.bind((LOCAL, 0))
        with self._socket:
            async with open_flows(self._loop, [WayIn(transport=transport, host=LOCAL, port=0)]) as flows:
                self.address = flows.bound[0][1]
                self._addresses = Addresses({transport: self.address.port})
                self._agent = UserAgent(self._addresses, self._strangers, self._rng)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._listen)
                    dns = system_dns(self._rng)
                    await nursery.start(self._loop.run, self._agent, flows, dns)
                    task_status.started()

    async def _listen(self) -> None:
        while True:
            data, _ = await self._socket.recvfrom(2000)
            self.rtp.append(data[_RTP_HEADER_BYTES:])
            self._changed.set()

    def _happens(self, event: Event) -> None:
        match event:
            case Called():
                self._invited(event)
            case SessionSaid(session, Offered(bytes(offer))) if session is self._session:
                port = self._socket.getsockname()[1]
                media = OfferAnswer(OurMedia(address=LOCAL, port=port), session_id=1, new_key=os.urandom)
                self._answer = encode(media.answer(decode(offer)))
                self.called.set()
            case Passed(sent=False, message=Request() as request):
                self.heard.append(request.method)
                if request.method == "BYE":
                    self.byes.append(request)
        self._changed.set()

    def _invited(self, called: Called) -> None:
        assert self._agent is not None
        now = trio.current_time()
        request = called.asked.request
        self.invites.append(request)
        if self._challenge and "Proxy-Authorization" not in request.headers:
            self._agent.refuse(called, 407, now, (("Proxy-Authenticate", self._challenge),))
            return
        contact = self._addresses.contact(called.asked.flow, "callee")
        self._session = self._agent.take(called, Endpoint(contact=contact, rng=self._rng), now)

    def _did(self) -> None:
        assert self._agent is not None
        self._agent.touch(self.session, trio.current_time())
        self._loop.carry()


@asynccontextmanager
async def far_end(transport: Literal["UDP", "TCP"] = "UDP", *, challenge: str = "") -> AsyncIterator[FarEnd]:
    """Somebody who can be called while the block lasts. `challenge`: what he says first (407) to who does not know it."""
    far = FarEnd(challenge)
    async with trio.open_nursery() as nursery:
        await nursery.start(far.run, transport)
        yield far
        nursery.cancel_scope.cancel()
