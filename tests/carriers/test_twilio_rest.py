"""Ending calls by REST, against an API that is busy, broken, slow or rude."""

import base64
import random
from collections.abc import Callable
from urllib.parse import parse_qs

import httpx
import pytest
import trio

from gateway.carriers.twilio.rest import RestFailed, TwilioRest

ACCOUNT = "AC" + "1" * 32
CALL = "CA" + "2" * 32
SECRET = "canary-secret"


class Api:
    """Answers with each of `statuses` in turn, then with the last one for ever."""

    def __init__(self, *statuses: int, code: int = 0) -> None:
        self.requests: list[httpx.Request] = []
        self.times_s: list[float] = []
        self._statuses = list(statuses)
        self._code = code

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.times_s.append(trio.current_time())
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        return httpx.Response(status, json={"code": self._code, "message": "no"})


def rest(api: Callable[[httpx.Request], object], deadline_s: float = 60.0) -> TwilioRest:
    client = httpx.AsyncClient(transport=httpx.MockTransport(api))  # type: ignore[arg-type]  # an async one
    return TwilioRest(ACCOUNT, SECRET, client, random.Random(7), deadline_s=deadline_s)


async def test_a_call_is_hung_up_by_completing_it() -> None:
    api = Api(200)

    await rest(api).hang_up(CALL)

    [request] = api.requests
    assert request.method == "POST"
    assert str(request.url) == f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Calls/{CALL}.json"
    assert parse_qs(request.content.decode()) == {"Status": ["completed"]}
    assert (
        request.headers["authorization"]
        == "Basic " + base64.b64encode(f"{ACCOUNT}:{SECRET}".encode()).decode()
    )


async def test_a_call_is_redirected_by_giving_it_other_twiml() -> None:
    api = Api(200)

    await rest(api).redirect(CALL, "<Response><Hangup/></Response>")

    assert parse_qs(api.requests[0].content.decode()) == {"Twiml": ["<Response><Hangup/></Response>"]}


@pytest.mark.parametrize(("status", "code"), [(404, 20404), (400, 21220)])
async def test_that_the_caller_is_gone_is_what_was_wanted(status: int, code: int) -> None:
    api = Api(status, code=code)

    await rest(api).hang_up(CALL)

    assert len(api.requests) == 1


async def test_a_busy_or_broken_api_is_asked_again_with_growing_pauses(
    autojump_clock: trio.testing.MockClock,
) -> None:
    api = Api(429, 503, 500, 200)

    await rest(api).hang_up(CALL)

    pauses = [later - earlier for earlier, later in zip(api.times_s, api.times_s[1:], strict=False)]
    assert len(pauses) == 3
    assert 0.1 <= pauses[0] <= 0.2 <= pauses[1] <= 0.4 <= pauses[2] <= 0.8


async def test_it_gives_up_after_its_deadline_and_says_what_it_was_told(
    autojump_clock: trio.testing.MockClock,
) -> None:
    api = Api(503)
    began = trio.current_time()

    with pytest.raises(RestFailed, match="503"):
        await rest(api, deadline_s=60.0).hang_up(CALL)

    assert trio.current_time() - began == pytest.approx(60.0)
    assert len(api.requests) < 25


async def test_an_api_that_never_answers_ends_at_the_deadline_too(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def silent(request: httpx.Request) -> httpx.Response:
        await trio.sleep_forever()
        raise AssertionError

    with pytest.raises(RestFailed, match="no answer"):
        await rest(silent, deadline_s=5.0).hang_up(CALL)


async def test_an_api_out_of_reach_is_tried_again(autojump_clock: trio.testing.MockClock) -> None:
    answers: list[int] = [0, 0, 200]

    async def unreachable(request: httpx.Request) -> httpx.Response:
        status = answers.pop(0)
        if not status:
            raise httpx.ConnectError("refused")
        return httpx.Response(status)

    await rest(unreachable).hang_up(CALL)

    assert answers == []


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_refusal_is_not_repeated_and_holds_no_credentials(status: int) -> None:
    api = Api(status, code=20003)

    with pytest.raises(RestFailed) as failed:
        await rest(api).hang_up(CALL)

    assert len(api.requests) == 1
    assert str(failed.value) == f"Twilio's REST API: {status} (20003)"
    assert SECRET not in repr(failed.value)
    assert failed.value.__cause__ is None
    assert failed.value.__context__ is None


async def test_an_answer_that_is_no_json_is_judged_by_its_status() -> None:
    async def rude(request: httpx.Request) -> httpx.Response:
        return httpx.Response(400, content=b"<html>" + b"[" * 10_000)

    with pytest.raises(RestFailed, match=r"400 \(0\)"):
        await rest(rude).hang_up(CALL)


async def test_twiml_too_long_for_the_api_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="4001"):
        await rest(Api(200)).redirect(CALL, "x" * 4001)
