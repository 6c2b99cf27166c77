"""What the operator is told of calls by SIP that came: what they were answered, and why nobody took them."""

import random
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs
from trio.testing import MockClock

from gateway.incoming import Refuse
from gateway.wire.sip.digest import DigestClient
from tests.carriers.sip_exchange import Exchange, exchange, return_at_once
from tests.carriers.sip_sides import uri_of

UNREADABLE = (
    b"INVITE sip:us@us.example SIP/2.0\r\nVia: SIP/2.0/UDP them.example;branch=z9hG4bKodd\r\nMax-Forwards: 70\r\n"
    b"From: <sip:+15550001234@them.example>;tag=a\r\nTo: <sip:us@us.example>\r\nCall-ID: odd\r\n"
    b"CSeq: 1 INVITE\r\nContact: <sip:them.example\r\nContent-Length: 4\r\n\r\n"
)
G729 = b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 18\r\n"


def counted(ex: Exchange) -> dict[str, float]:
    """Answers to calls that came, by status."""
    lines = ex.metrics.expose().decode().splitlines()
    found = [re.fullmatch(r'gw_sip_invites_total\{status="(\d+)"\} (\S+)', line) for line in lines]
    return {each[1]: float(each[2]) for each in found if each}


def told(log: list[Any]) -> list[Any]:
    return [
        {name: line[name] for name in ("trunk", "status", "reason")}
        for line in log
        if line["event"] == "call.refused"
    ]


@pytest.fixture
def log() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


async def refused(ex: Exchange, *rows: tuple[str, str], body: bytes = G729) -> None:
    """They call, and are refused."""
    them = ex.them.agent
    them.hears = lambda *_: None
    them.endpoint = msgspec.structs.replace(them.endpoint, expires_s=None)  # no second try with a longer one
    them.call(uri_of("us"), body, rows=rows)
    await ex.rest(2.0)


async def test_a_call_with_no_codec_of_ours_is_told_and_counted_once(
    autojump_clock: MockClock, log: list[Any]
):
    async with exchange() as ex:
        ex.network.loses = lambda sent: sent.what == "ACK"  # so the answer comes again
        await refused(ex)

        assert told(log) == [{"trunk": "them", "status": 488, "reason": "no G.711"}]
        assert counted(ex) == {"488": 1.0}
        assert ex.left() == {}


@pytest.mark.parametrize(
    ("row", "status", "reason"),
    [
        (("Require", "100rel"), 420, "Bad Extension, 100rel"),
        (("Accept", "text/plain"), 406, "Not Acceptable"),
        (("Session-Expires", "5"), 422, "Session Interval Too Small"),
    ],
)
async def test_a_call_that_the_user_agent_refuses_is_told_and_counted_once(
    autojump_clock: MockClock, log: list[Any], row: tuple[str, str], status: int, reason: str
):
    async with exchange() as ex:
        ex.network.loses = lambda sent: sent.what == "ACK"
        await refused(ex, row)

        assert told(log) == [{"trunk": "them", "status": status, "reason": reason}]
        assert counted(ex) == {str(status): 1.0}
        assert ex.left() == {}


async def test_a_call_that_is_refused_once_it_is_known_whose_it_is_is_told(
    autojump_clock: MockClock, log: list[Any]
):
    async with exchange(auth="digest") as ex:
        credentials = DigestClient("gateway", "open sesame", random.Random(1))
        ex.them.agent.endpoint = msgspec.structs.replace(ex.them.agent.endpoint, credentials=credentials)
        await refused(ex, ("Session-Expires", "5"))

        assert [line["status"] for line in told(log)] == [422]
        assert counted(ex) == {"401": 1.0, "422": 1.0}


async def test_an_invite_that_cannot_be_read_is_told(autojump_clock: MockClock, log: list[Any]):
    async with exchange() as ex:
        ex.receive(UNREADABLE, "them")
        await ex.rest()

        assert [(line["trunk"], line["status"]) for line in told(log)] == [("them", 400)]
        assert counted(ex) == {"400": 1.0}


async def test_a_call_beyond_a_trunks_limit_is_told(autojump_clock: MockClock, log: list[Any]):
    async with exchange(calls=1) as ex:
        for _ in range(2):
            ex.them.calls_up("us")
            await ex.rest()

        assert told(log) == [{"trunk": "them", "status": 503, "reason": "At Most 1 calls at a time"}]
        assert counted(ex) == {"200": 1.0, "503": 1.0}


async def test_of_many_calls_that_are_refused_all_are_counted_and_some_are_told(
    autojump_clock: MockClock, log: list[Any]
):
    async with exchange(calls_per_s=100) as ex:
        ex.them.agent.hears = lambda *_: None
        for _ in range(30):
            ex.them.agent.call(uri_of("us"), G729)
        await ex.rest()

        assert counted(ex) == {"488": 30.0}
        assert len(told(log)) == 10


async def test_a_call_that_the_log_knows_of_already_is_only_counted(
    autojump_clock: MockClock, log: list[Any]
):
    async with exchange() as ex:
        ex.admission = lambda _new: Refuse("rejected", "plan")
        ex.them.calls_up("us")
        await ex.rest()

        assert told(log) == []
        assert counted(ex) == {"603": 1.0}


async def test_a_call_that_a_bug_ends_before_it_is_answered_is_counted(autojump_clock: MockClock):
    async with exchange() as ex:
        ex.hosts = return_at_once
        ex.them.calls_up("us")
        await ex.rest()

        assert counted(ex) == {"500": 1.0}
