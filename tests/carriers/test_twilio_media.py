"""Streams from their upgrade to their end: over WebSockets in memory, in virtual time."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from urllib.parse import parse_qs

import httpx
import pytest
import trio
import trio.testing

from gateway.carriers.twilio import twiml
from gateway.carriers.twilio.calls import IncomingCall, TwilioCalls
from gateway.carriers.twilio.leg import TwilioLeg
from gateway.carriers.twilio.media import MediaRoute
from gateway.carriers.twilio.public_url import PublicUrl
from gateway.carriers.twilio.rest import TwilioRest
from gateway.carriers.twilio.signature import SignatureCheck, sign
from gateway.contracts import EndReason, LegLost, TransferFailed
from gateway.incoming import Admit
from gateway.net.doors import Answer, Head
from gateway.net.websocket import WebSocket, WebSocketClosed, accept, connect

Clock = trio.testing.MockClock

AUTH_TOKEN = "canary-token"
DESK = "+15550109999"
IN_PROGRESS = "in-progress"
UPGRADE = (  # RFC 6455 §1.3
    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13"
)


def incoming(number: int = 1, caller: str = "+15550100001") -> IncomingCall:
    return IncomingCall(
        call_sid=f"CA{number:032x}",
        account_sid="AC" + "1" * 32,
        caller=caller,
        called="+15550100002",
        params={},
    )


def upgrade(token: str, *headers: tuple[str, str], signed: str | None = None) -> Head:
    """Twilio's upgrade with a token. `signed`: another URL to be signed instead of its own."""
    target = f"/twilio/media/{token}"
    signature = sign(AUTH_TOKEN, signed or f"wss://gw.example.com{target}")
    return Head(method="GET", target=target, headers=(*headers, ("x-twilio-signature", signature)))


Host = Callable[[TwilioLeg, IncomingCall], Awaitable[None]]


class Gateway:
    """The route and its table. `rest_requests`: the forms that Twilio's REST API was sent."""

    def __init__(self, host: Host, *, rest: bool = True, rest_status: int = 200) -> None:
        tokens = iter(f"token-{number}" for number in range(1, 100))
        self.refused: list[str] = []
        self.zombies: list[tuple[str, str]] = []
        self.rest_requests: list[dict[str, list[str]]] = []
        self._rest_status = rest_status
        self.calls = TwilioCalls(lambda _: Admit(), lambda token: f"<{token}>", lambda: next(tokens))
        client = httpx.AsyncClient(transport=httpx.MockTransport(self._api))
        self.route = MediaRoute(
            SignatureCheck([AUTH_TOKEN], PublicUrl("https://gw.example.com")),
            self.calls,
            host,
            destinations={"desk": DESK},
            rest=TwilioRest("AC" + "1" * 32, AUTH_TOKEN, client, random.Random(1)) if rest else None,
            on_refused=self.refused.append,
            on_zombie=lambda sid, detail: self.zombies.append((sid, detail)),
        )

    async def _api(self, request: httpx.Request) -> httpx.Response:
        if self._rest_status == 0:
            await trio.sleep_forever()
        self.rest_requests.append(parse_qs(request.content.decode()))
        return httpx.Response(self._rest_status)

    def ring(self, number: int = 1, caller: str = "+15550100001") -> str:
        """A call comes in: the token of its stream."""
        return self.calls.voice(incoming(number, caller), trio.current_time()).strip("<>")

    def ask(self, number: int = 1) -> str:
        """Twilio asks how a call goes on."""
        return self.calls.after(incoming(number), IN_PROGRESS, trio.current_time())

    @asynccontextmanager
    async def stream(self, head: Head) -> AsyncIterator[WebSocket]:
        """Twilio's end of a stream; when the block is left, the gateway is done with it."""
        ours, theirs = trio.testing.memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.serve, head, ours)
            async with connect(
                "ws://gw.example.com" + head.target, stream=theirs, ping_every_s=None
            ) as websocket:
                yield websocket

    async def serve(self, head: Head, stream: trio.abc.Stream) -> None:
        """The gateway's end of a stream."""
        async with accept(stream, ping_every_s=None) as websocket:
            await self.route.serve(head, websocket)


def ends_with(reason: EndReason) -> Host:
    """A call that ends at once, politely."""

    async def host(leg: TwilioLeg, incoming: IncomingCall) -> None:
        await leg.finish(reason)

    return host


async def listens(leg: TwilioLeg, incoming: IncomingCall) -> None:
    """A call that lasts as long as its stream."""
    try:
        while True:
            await leg.receive()
    except LegLost:
        await leg.finish(EndReason.CARRIER_LOST)


async def closed(websocket: WebSocket) -> int:
    """The code with which the gateway closes."""
    try:
        while True:
            await websocket.receive()
    except WebSocketClosed as error:
        return error.code


# -- who may stream: everything before the upgrade


async def test_a_signed_upgrade_with_its_token_is_welcome(autojump_clock: Clock) -> None:
    gateway = Gateway(listens)

    assert gateway.route.refuse(upgrade(gateway.ring())) is None
    assert gateway.refused == []


def _strangers() -> Iterable[tuple[str, str, Callable[[str], Head]]]:
    """name, kind, and the upgrade for a token that is good."""
    evil = "wss://evil.example.com/twilio/media/"
    yield "no token", "token", lambda _: upgrade("")
    yield "wrong token", "token", lambda _: upgrade("token-9")
    yield "token with more behind", "token", lambda token: upgrade(token + "/x")
    yield "browser", "origin", lambda token: upgrade(token, ("origin", "https://gw.example.com"))
    yield "browser without a name", "origin", lambda token: upgrade(token, ("origin", ""))
    yield "unsigned", "unsigned", lambda token: Head(method="GET", target=f"/twilio/media/{token}")
    yield (
        "signed with https",
        "signature",
        lambda t: upgrade(t, signed=f"https://gw.example.com/twilio/media/{t}"),
    )
    yield (
        "signed for another",
        "signature",
        lambda token: upgrade(token, signed="wss://gw.example.com/twilio/media/x"),
    )
    for name in ("host", "forwarded", "x-forwarded-host", "x-original-host"):
        yield (
            f"forged {name}",
            "signature",
            lambda token, name=name: upgrade(token, (name, "evil.example.com"), signed=evil + token),  # type: ignore[misc]
        )


@pytest.mark.parametrize(
    ("kind", "head"),
    [(kind, head) for _, kind, head in _strangers()],
    ids=[name for name, _, _ in _strangers()],
)
async def test_a_stranger_is_turned_away_before_the_upgrade_and_spoils_no_token(
    autojump_clock: Clock, kind: str, head: Callable[[str], Head]
) -> None:
    gateway = Gateway(listens)
    token = gateway.ring()

    answer = gateway.route.refuse(head(token))

    assert answer == Answer(403, b"")
    assert gateway.refused == [kind]
    assert gateway.route.refuse(upgrade(token)) is None


async def test_a_token_that_is_used_or_too_old_is_turned_away(autojump_clock: Clock) -> None:
    gateway = Gateway(ends_with(EndReason.CALLER_HUNG_UP))
    used, old = gateway.ring(1), gateway.ring(2)
    async with gateway.stream(upgrade(used)) as websocket:
        await closed(websocket)
    await trio.sleep(30)

    answers = [gateway.route.refuse(upgrade(token)) for token in (used, old)]

    assert answers == [Answer(403, b"")] * 2
    assert gateway.refused == ["token"] * 2


async def test_the_token_of_another_call_leads_to_that_call_alone(autojump_clock: Clock) -> None:
    hosted = []

    async def host(leg: TwilioLeg, incoming: IncomingCall) -> None:
        hosted.append(incoming.call_sid)
        await leg.finish(EndReason.CALLER_HUNG_UP)

    gateway = Gateway(host)
    gateway.ring(1)

    async with gateway.stream(upgrade(gateway.ring(2))) as websocket:
        await closed(websocket)

    assert hosted == [f"CA{2:032x}"]


async def test_of_two_upgrades_with_one_token_the_second_is_closed(autojump_clock: Clock) -> None:
    gateway = Gateway(listens)
    token = gateway.ring()

    async with gateway.stream(upgrade(token)) as first:
        async with gateway.stream(upgrade(token)) as second:
            code = await closed(second)
        await first.aclose()

    assert code == 1008
    assert gateway.refused == ["token"]


# -- the leg


async def test_messages_pass_both_ways(autojump_clock: Clock) -> None:
    got: list[str | bytes] = []

    async def host(leg: TwilioLeg, incoming: IncomingCall) -> None:
        await leg.answer()
        got.extend([await leg.receive(), await leg.receive()])
        await leg.send("to Twilio")
        await leg.finish(EndReason.CALLER_HUNG_UP)

    gateway = Gateway(host)

    async with gateway.stream(upgrade(gateway.ring())) as websocket:
        await websocket.send("text")
        await websocket.send(b"bytes")
        heard = await websocket.receive()
        await closed(websocket)

    assert got == ["text", b"bytes"]
    assert heard == "to Twilio"


async def test_a_stream_that_twilio_closes_is_a_lost_leg_both_ways(autojump_clock: Clock) -> None:
    lost = []

    async def host(leg: TwilioLeg, incoming: IncomingCall) -> None:
        for work in (leg.receive, lambda: leg.send("x")):
            with pytest.raises(LegLost) as error:
                await work()
            lost.append(str(error.value))

    gateway = Gateway(host)

    async with gateway.stream(upgrade(gateway.ring())) as websocket:
        await websocket.aclose(1001, "going")

    assert lost[0] == "1001 going"
    assert len(lost) == 2


async def test_release_can_be_repeated(autojump_clock: Clock) -> None:
    async def host(leg: TwilioLeg, incoming: IncomingCall) -> None:
        leg.release()
        leg.release()

    gateway = Gateway(host)

    async with gateway.stream(upgrade(gateway.ring())) as websocket:
        assert await closed(websocket) == 1006


# -- how a call goes on


@pytest.mark.parametrize(
    ("reason", "answer"),
    [
        (EndReason.PLAN_ENDED, twiml.hang_up()),
        (EndReason.AGENT_HUNG_UP, twiml.hang_up()),
        (EndReason.DRAINED, twiml.apologize()),
        (EndReason.BUG, twiml.apologize()),
        (EndReason.CARRIER_LOST, "<token-2>"),
    ],
)
async def test_when_twilio_sees_the_close_the_answer_to_its_question_stands(
    autojump_clock: Clock, reason: EndReason, answer: str
) -> None:
    gateway = Gateway(ends_with(reason))

    async with gateway.stream(upgrade(gateway.ring())) as websocket:
        code = await closed(websocket)
        answers = [gateway.ask() for _ in range(2)]

    assert code == 1000
    assert answers == [answer] * 2
    assert gateway.rest_requests == []


async def test_a_leg_that_twilio_asks_about_is_finished_at_once(autojump_clock: Clock) -> None:
    gateway = Gateway(ends_with(EndReason.PLAN_ENDED))

    async with gateway.stream(upgrade(gateway.ring())) as websocket:
        await closed(websocket)
        gateway.ask()
        began = trio.current_time()

    assert trio.current_time() == began


@pytest.mark.parametrize(
    ("caller", "caller_id"),
    [
        ("+15550100001", "+15550100001"),
        ("anonymous", "+15550100002"),
        ("sip:alice@example.com", "+15550100002"),
        ('"><Dial>+19005550100</Dial>', "+15550100002"),
    ],
)
async def test_a_transfer_dials_the_number_behind_its_key_with_a_number_that_twilio_allows(
    autojump_clock: Clock, caller: str, caller_id: str
) -> None:
    async def host(leg: TwilioLeg, incoming: IncomingCall) -> None:
        await leg.transfer("desk")
        await leg.finish(EndReason.TRANSFERRED)

    gateway = Gateway(host)

    async with gateway.stream(upgrade(gateway.ring(caller=caller))) as websocket:
        await closed(websocket)
        answer = gateway.ask()

    assert answer == twiml.dial(DESK, caller_id=caller_id)


@pytest.mark.parametrize("destination", ["", "sales", DESK, "+19005550100"])
async def test_only_a_key_of_the_dialplan_can_be_dialled(autojump_clock: Clock, destination: str) -> None:
    failures = []

    async def host(leg: TwilioLeg, incoming: IncomingCall) -> None:
        with pytest.raises(TransferFailed) as error:
            await leg.transfer(destination)
        failures.append(str(error.value))
        await leg.finish(EndReason.PLAN_ENDED)

    gateway = Gateway(host)

    async with gateway.stream(upgrade(gateway.ring())) as websocket:
        await closed(websocket)
        answer = gateway.ask()

    assert failures == ["there is no such destination"]
    assert answer == twiml.hang_up()


async def test_a_call_that_broke_without_an_ending_hears_an_apology(autojump_clock: Clock) -> None:
    async def host(leg: TwilioLeg, incoming: IncomingCall) -> None:
        """Forgets to finish."""

    gateway = Gateway(host)

    async with gateway.stream(upgrade(gateway.ring())) as websocket:
        await closed(websocket)

    assert gateway.ask() == twiml.apologize()


async def test_a_stream_that_twilio_has_lost_is_lost_here_too_and_goes_on_as_a_new_one(
    autojump_clock: Clock,
) -> None:
    gateway = Gateway(listens)

    async with gateway.stream(upgrade(gateway.ring())) as old:
        answer = gateway.ask()
        code = await closed(old)
        async with gateway.stream(upgrade(answer.strip("<>"))) as new:
            await new.aclose()

    assert answer == "<token-2>"
    assert code == 1006
    assert gateway.refused == []


# -- by REST


async def test_a_call_that_twilio_does_not_ask_about_is_hung_up_by_rest_after_a_second(
    autojump_clock: Clock,
) -> None:
    gateway = Gateway(ends_with(EndReason.PLAN_ENDED))
    began = trio.current_time()

    async with gateway.stream(upgrade(gateway.ring())) as websocket:
        await closed(websocket)

    assert gateway.rest_requests == [{"Status": ["completed"]}]
    assert trio.current_time() - began == pytest.approx(1.0)
    assert gateway.zombies == []


async def test_a_peer_that_does_not_answer_our_close_delays_the_hanging_up_by_no_more(
    autojump_clock: Clock,
) -> None:
    gateway = Gateway(ends_with(EndReason.CARRIER_SILENT))
    head = upgrade(gateway.ring())
    ours, deaf = trio.testing.memory_stream_pair()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(gateway.serve, head, ours)
        await deaf.send_all(f"GET {head.target} HTTP/1.1\r\nHost: gw\r\n{UPGRADE}\r\n\r\n".encode())
        await trio.sleep(1.1)

    assert gateway.rest_requests == [{"Status": ["completed"]}]


async def test_a_transfer_that_twilio_does_not_ask_for_is_made_by_rest(autojump_clock: Clock) -> None:
    async def host(leg: TwilioLeg, incoming: IncomingCall) -> None:
        await leg.transfer("desk")
        await leg.finish(EndReason.TRANSFERRED)

    gateway = Gateway(host)

    async with gateway.stream(upgrade(gateway.ring())) as websocket:
        await closed(websocket)

    assert gateway.rest_requests == [{"Twiml": [twiml.dial(DESK, caller_id="+15550100001")]}]


async def test_a_caller_who_hung_up_is_not_hung_up_again(autojump_clock: Clock) -> None:
    gateway = Gateway(ends_with(EndReason.CALLER_HUNG_UP))
    began = trio.current_time()

    async with gateway.stream(upgrade(gateway.ring())) as websocket:
        await closed(websocket)

    assert gateway.rest_requests == []
    assert trio.current_time() == began


async def test_without_credentials_the_leg_still_waits_for_twilio_to_ask(autojump_clock: Clock) -> None:
    """A draining gateway closes its door when the last call is gone: Twilio has to have asked by then."""
    gateway = Gateway(ends_with(EndReason.PLAN_ENDED), rest=False)
    began = trio.current_time()

    async with gateway.stream(upgrade(gateway.ring())) as websocket:
        await closed(websocket)

    assert trio.current_time() == began + 1
    assert gateway.ask() == twiml.hang_up()


async def test_a_call_that_cannot_be_hung_up_is_reported(autojump_clock: Clock) -> None:
    gateway = Gateway(ends_with(EndReason.PLAN_ENDED), rest_status=401)

    async with gateway.stream(upgrade(gateway.ring())) as websocket:
        await closed(websocket)

    assert gateway.zombies == [(f"CA{1:032x}", "Twilio's REST API: 401 (0)")]


async def test_a_hanging_up_that_the_teardown_cuts_short_is_reported(autojump_clock: Clock) -> None:
    async def host(leg: TwilioLeg, incoming: IncomingCall) -> None:
        with trio.move_on_after(2):
            await leg.finish(EndReason.PLAN_ENDED)

    gateway = Gateway(host, rest_status=0)

    async with gateway.stream(upgrade(gateway.ring())) as websocket:
        await closed(websocket)

    assert [sid for sid, _ in gateway.zombies] == [f"CA{1:032x}"]
