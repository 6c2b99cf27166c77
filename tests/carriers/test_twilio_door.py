"""Twilio's whole conversation about a call with our door: webhooks, stream, and what comes after it."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from gateway.carriers.twilio.calls import IncomingCall, TwilioCalls
from gateway.carriers.twilio.leg import TwilioLeg
from gateway.carriers.twilio.leg_core import TwilioLegCore
from gateway.carriers.twilio.media import PATH, MediaRoute
from gateway.carriers.twilio.public_url import PublicUrl
from gateway.carriers.twilio.signature import SignatureCheck
from gateway.carriers.twilio.twiml import SORRY, connect_stream
from gateway.carriers.twilio.webhooks import AfterRoute, SignedForms, StatusRoute, VoiceRoute
from gateway.contracts import CallerAudio, EndReason, LegEnded, LegLost
from gateway.incoming import Admission, Admit, Refuse
from gateway.net.doors import Door, PostRoute
from gateway.net.tasks import open_tasks
from gateway.testing.fake_twilio import FakeTwilio, TwilioAccount
from gateway.testing.twilio_call import EndedBy
from gateway.testing.twilio_caller import Caller

Clock = trio.testing.MockClock
ORIGIN = "https://gateway.example"
TOKEN = "the auth token"


async def echo(leg: TwilioLeg, incoming: IncomingCall) -> None:
    """A call that repeats what it hears, until its end."""
    core = TwilioLegCore(incoming.call_sid)
    reason = EndReason.CARRIER_LOST
    try:
        while True:
            core.receive(await leg.receive(), trio.current_time())
            for event in core.events():
                if isinstance(event, CallerAudio) and len(event.payload) == 160:
                    core.play(event.payload, trio.current_time())
                elif isinstance(event, LegEnded):
                    reason = event.reason
            for message in core.outgoing():
                await leg.send(message)
    except LegLost:
        await leg.finish(reason)


def ends_with(
    reason: EndReason, *, after_s: float = 0.5
) -> Callable[[TwilioLeg, IncomingCall], Awaitable[None]]:
    async def host(leg: TwilioLeg, incoming: IncomingCall) -> None:
        with trio.move_on_after(after_s):
            while True:
                await leg.receive()
        if reason is EndReason.TRANSFERRED:
            await leg.transfer("desk")
        await leg.finish(reason)

    return host


class Gateway:
    """A door with our routes. `hosted`: the calls that came to be."""

    def __init__(
        self, host: Callable[[TwilioLeg, IncomingCall], Awaitable[None]], admission: Admission | None = None
    ) -> None:
        self.hosted: list[str] = []
        self.refused: list[str] = []
        self.stream_events: list[str] = []
        self._host = host
        self._admission = admission or Admit()
        numbers = itertools.count(1)
        url = PublicUrl(ORIGIN)
        check = SignatureCheck([TOKEN], url)
        calls = TwilioCalls(
            lambda _: self._admission,
            lambda token: connect_stream(
                action_url=url.http("/twilio/after"),
                stream_url=url.websocket(PATH + token),
                status_url=url.http("/twilio/status"),
            ),
            lambda: f"token-{next(numbers)}",
        )
        forms = SignedForms(check, self.refused.append)
        media = MediaRoute(
            check,
            calls,
            self._hosts,
            destinations={"desk": "+15550109999"},
            rest=None,
            on_refused=self.refused.append,
            on_zombie=lambda *_: None,
        )
        posts: dict[str, PostRoute] = {
            "/twilio/voice": VoiceRoute(forms, calls),
            "/twilio/after": AfterRoute(forms, calls),
            "/twilio/status": StatusRoute(forms, calls, lambda *news: self.stream_events.append(news[1])),
        }
        self._door = Door(posts, {PATH: media})

    async def _hosts(self, leg: TwilioLeg, incoming: IncomingCall) -> None:
        self.hosted.append(incoming.call_sid)
        await self._host(leg, incoming)

    @asynccontextmanager
    async def rung(self, account: dict[str, Any] | None = None, **call: Any) -> AsyncIterator[Caller]:
        """A call to this gateway."""
        async with open_tasks() as nursery:

            async def dial() -> trio.abc.Stream:
                ours, theirs = trio.testing.memory_stream_pair()
                nursery.start_soon(self._door.serve_stream, ours)
                return theirs

            settings = {"auth_token": TOKEN, **(account or {})}
            number = TwilioAccount(account_sid="AC" + "1" * 32, public_url=ORIGIN, dial=dial, **settings)
            async with FakeTwilio(number) as twilio:
                async with twilio.call(from_="+15550100001", to="+15550100002", **call) as caller:
                    yield caller
            nursery.cancel_scope.cancel()


async def test_a_caller_is_taken_heard_and_answered(autojump_clock: Clock) -> None:
    gateway = Gateway(echo)

    async with gateway.rung() as caller:
        await caller.says(b"\x00\x40" * 4000)
        await caller.speaking()
        await caller.quiet(1)
        ending = await caller.hangs_up()

    assert ending.by is EndedBy.CALLER
    assert caller.warnings == []
    assert gateway.hosted == [caller.call_sid]
    assert gateway.refused == []
    assert gateway.stream_events == ["stream-started", "stream-stopped"]


@pytest.mark.parametrize(
    ("reason", "by", "texts"),
    [
        (EndReason.PLAN_ENDED, EndedBy.HANGUP, []),
        (EndReason.AGENT_HUNG_UP, EndedBy.HANGUP, []),
        (EndReason.VOICE_UNAVAILABLE, EndedBy.HANGUP, []),
        (EndReason.DRAINED, EndedBy.HANGUP, [SORRY]),
        (EndReason.BUG, EndedBy.HANGUP, [SORRY]),
    ],
)
async def test_a_call_that_we_end_ends_at_twilio(
    autojump_clock: Clock, reason: EndReason, by: EndedBy, texts: list[str]
) -> None:
    gateway = Gateway(ends_with(reason))

    async with gateway.rung() as caller:
        ending = await caller.ended()

    assert ending.by is by
    assert caller.texts == texts
    assert gateway.hosted == [caller.call_sid]


async def test_a_transfer_is_dialled_when_the_stream_is_closed(autojump_clock: Clock) -> None:
    gateway = Gateway(ends_with(EndReason.TRANSFERRED))

    async with gateway.rung() as caller:
        await caller.ended()

    assert caller.dialled == ["+15550109999"]


@pytest.mark.parametrize("reason", ["busy", "rejected"])
async def test_a_call_that_is_not_admitted_is_rejected(autojump_clock: Clock, reason: str) -> None:
    gateway = Gateway(echo, Refuse("busy") if reason == "busy" else Refuse("rejected"))

    async with gateway.rung() as caller:
        ending = await caller.ended()

    assert (ending.by, ending.detail) == (EndedBy.REJECT, reason)
    assert gateway.hosted == []


async def test_r25_a_webhook_that_twilio_repeats_is_one_call(autojump_clock: Clock) -> None:
    gateway = Gateway(echo)

    async with gateway.rung(voice_deliveries=3) as caller:
        await caller.silence(0.5)
        await caller.hangs_up()

    answers = {exchange.answer.body for exchange in caller.exchanges[:3] if exchange.answer is not None}
    assert len(answers) == 1
    assert gateway.hosted == [caller.call_sid]


async def test_a_call_whose_socket_breaks_goes_on_with_another(autojump_clock: Clock) -> None:
    gateway = Gateway(echo)

    async with gateway.rung() as caller:
        await caller.silence(0.5)
        caller.loses_socket()
        await caller.until(lambda: len(caller.streams) == 2)
        await caller.says(b"\x00\x40" * 4000)
        await caller.speaking()
        ending = await caller.hangs_up()

    assert ending.by is EndedBy.CALLER
    assert gateway.hosted == [caller.call_sid] * 2
    assert gateway.refused == []


async def test_a_call_whose_sockets_keep_breaking_ends_with_an_apology(autojump_clock: Clock) -> None:
    gateway = Gateway(echo)

    async with gateway.rung() as caller:
        for number in (1, 2, 3):
            await caller.until(lambda number=number: len(caller.streams) == number)  # type: ignore[misc]
            await caller.silence(0.1)
            caller.loses_socket()
        ending = await caller.ended()

    assert ending.by is EndedBy.HANGUP
    assert caller.texts == [SORRY]
    assert gateway.hosted == [caller.call_sid] * 3


async def test_an_account_with_another_token_gets_nowhere(autojump_clock: Clock) -> None:
    gateway = Gateway(echo)

    async with gateway.rung({"auth_token": "another token"}) as caller:
        ending = await caller.ended()

    assert ending.by is EndedBy.FAILED
    assert gateway.refused == ["signature"]
    assert gateway.hosted == []
