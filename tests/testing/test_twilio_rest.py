"""The fake's REST API, asked with httpx, ends and redirects the fake's calls."""

import httpx
import pytest
import trio
from trio.testing import MockClock

from gateway.net.websocket import WebSocket
from gateway.testing.fake_twilio import FakeTwilio
from gateway.testing.twilio_call import EndedBy
from gateway.testing.twilio_caller import Caller
from gateway.testing.twilio_rest import FakeTwilioRest, RestRequest
from gateway.testing.twilio_twiml import TwimlInvalid
from tests.testing.gateway_double import ACCOUNT_SID, CONNECT, HANGUP, TOKEN, GatewayDouble, ring


async def listens(websocket: WebSocket) -> None:
    while True:
        await websocket.receive()


def a_gateway(**pages: str) -> GatewayDouble:
    named = {f"/{name}": page for name, page in pages.items()}
    return GatewayDouble({"/voice": CONNECT, "/after": HANGUP, **named}, listens)


async def update(rest: FakeTwilioRest, call_sid: str, password: str = TOKEN, **form: str) -> httpx.Response:
    url = f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT_SID}/Calls/{call_sid}.json"
    async with httpx.AsyncClient(transport=httpx.MockTransport(rest), auth=(ACCOUNT_SID, password)) as client:
        return await client.post(url, data=form)


async def test_completed_hangs_up_and_asks_no_action(autojump_clock: MockClock) -> None:
    gateway = a_gateway()

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        rest = FakeTwilioRest(twilio)
        response = await update(rest, caller.call_sid, Status="completed")
        ending = await caller.ended()

    assert (response.status_code, response.json()["status"]) == (200, "completed")
    assert ending.by is EndedBy.REST
    assert gateway.closed == [1000]
    assert [post.path for post in gateway.posts] == ["/voice"]
    assert rest.requests == [RestRequest(caller.call_sid, {"Status": "completed"}, 200)]


async def test_new_twiml_takes_the_call_from_its_stream_and_asks_no_action(autojump_clock: MockClock) -> None:
    gateway = a_gateway()
    twiml = "<Response><Dial>+15550100009</Dial></Response>"

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        response = await update(FakeTwilioRest(twilio), caller.call_sid, Twiml=twiml)
        ending = await caller.ended()

    assert response.json()["status"] == "in-progress"
    assert caller.dialled == ["+15550100009"]
    assert gateway.closed == [1000]
    assert [post.path for post in gateway.posts] == ["/voice"]
    assert ending.by is EndedBy.LAST_VERB


async def test_a_url_is_fetched_and_wins_over_twiml(autojump_clock: MockClock) -> None:
    gateway = a_gateway(other="<Response><Say>there</Say></Response>")

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        url = "https://gateway.example/other?a=1&b=2"
        await update(FakeTwilioRest(twilio), caller.call_sid, Url=url, Twiml=HANGUP)
        await caller.ended()

    assert gateway.posts[1].path == "/other?a=1&b=2"
    assert gateway.posts[1].signed


async def test_wrong_twiml_is_raised_in_the_test(autojump_clock: MockClock) -> None:
    async def redirected(caller: Caller, rest: FakeTwilioRest) -> None:
        await update(rest, caller.call_sid, Twiml="<Response><Sing/></Response>")
        await caller.ended()

    with pytest.raises(TwimlInvalid):
        async with a_gateway().called_by_twilio() as twilio, ring(twilio) as caller:
            await redirected(caller, FakeTwilioRest(twilio))


async def test_a_call_that_never_was_is_20404(autojump_clock: MockClock) -> None:
    async with a_gateway().called_by_twilio() as twilio:
        response = await update(FakeTwilioRest(twilio), "CA" + "0" * 32, Status="completed")

    assert (response.status_code, response.json()["code"]) == (404, 20404)


async def test_hanging_up_a_call_that_has_ended_is_20404(autojump_clock: MockClock) -> None:
    async with a_gateway().called_by_twilio() as twilio, ring(twilio) as caller:
        await caller.hangs_up()
        response = await update(FakeTwilioRest(twilio), caller.call_sid, Status="completed")

    assert (response.status_code, response.json()["code"]) == (404, 20404)


async def test_redirecting_a_call_that_has_ended_is_21220(autojump_clock: MockClock) -> None:
    async with a_gateway().called_by_twilio() as twilio, ring(twilio) as caller:
        await caller.hangs_up()
        response = await update(FakeTwilioRest(twilio), caller.call_sid, Twiml=HANGUP)

    assert (response.status_code, response.json()["code"]) == (400, 21220)


async def test_the_next_requests_can_be_refused_with_20429(autojump_clock: MockClock) -> None:
    async with a_gateway().called_by_twilio() as twilio, ring(twilio) as caller:
        rest = FakeTwilioRest(twilio)
        rest.refuses_next(2)
        answers = [await update(rest, caller.call_sid, Status="completed") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].json()["code"] == 20429


async def test_wrong_credentials_are_20003(autojump_clock: MockClock) -> None:
    async with a_gateway().called_by_twilio() as twilio, ring(twilio) as caller:
        response = await update(FakeTwilioRest(twilio), caller.call_sid, password="wrong", Status="completed")
        still_up = caller.ending is None

    assert (response.status_code, response.json()["code"]) == (401, 20003)
    assert still_up


async def test_twiml_beyond_4000_characters_is_refused(autojump_clock: MockClock) -> None:
    long = f"<Response><Say>{'a' * 4000}</Say></Response>"

    async with a_gateway().called_by_twilio() as twilio, ring(twilio) as caller:
        response = await update(FakeTwilioRest(twilio), caller.call_sid, Twiml=long)

    assert response.status_code == 400


@pytest.mark.parametrize("form", [{}, {"Status": "canceled"}])
async def test_an_update_that_says_nothing_is_refused(
    autojump_clock: MockClock, form: dict[str, str]
) -> None:
    async with a_gateway().called_by_twilio() as twilio, ring(twilio) as caller:
        response = await update(FakeTwilioRest(twilio), caller.call_sid, **form)

    assert response.status_code == 400


async def test_the_first_of_two_ends_stands(autojump_clock: MockClock) -> None:
    async with a_gateway().called_by_twilio() as twilio, ring(twilio) as caller:
        rest = FakeTwilioRest(twilio)
        await update(rest, caller.call_sid, Status="completed")
        await update(rest, caller.call_sid, Twiml=HANGUP)
        ending = await caller.hangs_up()

    assert ending.by is EndedBy.REST


async def test_a_pause_is_cut_short_by_rest(autojump_clock: MockClock) -> None:
    gateway = GatewayDouble(
        {"/voice": CONNECT, "/after": "<Response><Pause length='600'/></Response>"}, closes
    )
    began = trio.current_time()

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        await caller.until(lambda: len(caller.verbs) == 2)
        await update(FakeTwilioRest(twilio), caller.call_sid, Status="completed")
        ending = await caller.ended()

    assert ending.by is EndedBy.REST
    assert trio.current_time() - began < 5


async def closes(websocket: WebSocket) -> None:
    await websocket.receive()


async def test_calls_of_other_accounts_are_not_found(autojump_clock: MockClock) -> None:
    async with a_gateway().called_by_twilio() as twilio, ring(twilio) as caller:
        path = f"/2010-04-01/Accounts/AC{'9' * 32}/Calls/{caller.call_sid}.json"
        response = FakeTwilioRest(twilio)(httpx.Request("POST", f"https://api.twilio.com{path}"))

    assert isinstance(twilio, FakeTwilio)
    assert response.status_code == 404
