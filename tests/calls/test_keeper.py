"""A call's connections to its voices: made, read, written, ended."""

import json
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway import contracts as c
from gateway.calls.keeper import Keeper
from tests.calls.puppet import Puppet, PuppetConnection

AGENTS = {"reception": c.Agent(name="reception")}


class Desk:
    """A call's keeper, and what it told the call: text is what the talking session said."""

    def __init__(self, **backends: c.VoiceBackend) -> None:
        self.fed: list[str | c.Command] = []
        self.fed_at: list[float] = []
        self.then: Callable[[str | c.Command], None] = lambda _input: None
        self.keeper = Keeper(backends, AGENTS, feed_voice=self._feed, feed_command=self._feed)

    def _feed(self, given: str | c.Command) -> None:
        self.fed.append(given)
        self.fed_at.append(trio.current_time())
        self.then(given)

    def opens(self, session: int, backend: str = "puppet") -> None:
        self.keeper.open(c.OpenVoice(session=session, agent="reception", backend=backend))

    def tells(self, session: int, text: str, caller_ms: int = 0) -> None:
        self.keeper.put(c.VoiceMessage(json.dumps({"type": text}), caller_ms, session))

    @property
    def ended(self) -> list[c.VoiceEnded]:
        return [each for each in self.fed if isinstance(each, c.VoiceEnded)]

    @property
    def said(self) -> list[str]:
        """Types of the events that the talking session said."""
        return [json.loads(each)["type"] for each in self.fed if isinstance(each, str)]

    @property
    def standby_said(self) -> list[tuple[int, str]]:
        said = [each for each in self.fed if isinstance(each, c.StandbySaid)]
        return [(each.session, json.loads(each.event)["type"]) for each in said]


@asynccontextmanager
async def keeping(desk: Desk) -> AsyncIterator[trio.Nursery]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.keeper.run)
        yield nursery
        nursery.cancel_scope.cancel()


class Failing:
    """A backend of which no connection can be had."""

    traits = c.VoiceTraits(name="failing")

    def __init__(self, error: BaseException, *, after_s: float = 0.0) -> None:
        self._error = error
        self._after_s = after_s

    @asynccontextmanager
    async def connect(self, _agent: c.Agent) -> AsyncIterator[c.VoiceConnection]:
        await trio.sleep(self._after_s)
        raise self._error
        yield PuppetConnection()

    async def run(self) -> None:
        await trio.sleep_forever()


class Breaking(Puppet):
    """Its connections end with this error a second after they were made."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    @asynccontextmanager
    async def connect(self, agent: c.Agent) -> AsyncIterator[PuppetConnection]:
        async with super().connect(agent) as connection, trio.open_nursery() as nursery:
            nursery.start_soon(self._break)
            yield connection
            nursery.cancel_scope.cancel()

    async def _break(self) -> None:
        await trio.sleep(1)
        raise self._error


def heard(connection: PuppetConnection) -> list[Any]:
    return [event["type"] for event in connection.heard]


# -- one session


async def test_a_session_that_is_asked_for_is_opened(autojump_clock: MockClock):
    puppet = Puppet()
    desk = Desk(puppet=puppet)
    async with keeping(desk):
        desk.opens(1)
        await trio.sleep(1)

        assert desk.fed == [c.VoiceOpened(session=1)]
        assert puppet.open == 1


async def test_what_waits_for_a_session_is_sent_in_its_order_when_it_stands(autojump_clock: MockClock):
    puppet = Puppet(takes_s=1.0)
    desk = Desk(puppet=puppet)
    async with keeping(desk):
        desk.opens(1)
        for text in "abc":
            desk.tells(1, text)
        await trio.sleep(2)

        assert heard(puppet.sessions[0]) == ["a", "b", "c"]


async def test_what_the_session_says_reaches_the_call_in_its_order(autojump_clock: MockClock):
    puppet = Puppet()
    desk = Desk(puppet=puppet)
    async with keeping(desk):
        desk.opens(1)
        await trio.sleep(1)
        for text in "abc":
            puppet.sessions[0].says(type=text)
        await trio.sleep(1)

    assert desk.said == ["a", "b", "c"]


async def test_a_session_that_breaks_is_told_once(autojump_clock: MockClock):
    puppet = Puppet()
    desk = Desk(puppet=puppet)
    async with keeping(desk):
        desk.opens(1)
        await trio.sleep(1)

        puppet.sessions[0].lost.set()
        await trio.sleep(1)

    assert desk.ended == [c.VoiceEnded(session=1, refused=False, detail="the puppet's strings were cut")]
    assert puppet.open == 0


async def test_at_the_end_of_the_call_every_connection_is_closed(autojump_clock: MockClock):
    puppet = Puppet()
    desk = Desk(puppet=puppet)
    async with keeping(desk):
        desk.opens(1)
        desk.opens(2)
        await trio.sleep(1)
        assert puppet.open == 2

    assert puppet.open == 0
    assert desk.ended == []


# -- two sessions


async def test_what_the_second_session_says_is_the_standbys(autojump_clock: MockClock):
    puppet = Puppet()
    desk = Desk(puppet=puppet)
    async with keeping(desk):
        desk.opens(1)
        await trio.sleep(1)
        desk.opens(2)
        await trio.sleep(1)
        first, second = puppet.sessions
        first.says(type="of the first")
        second.says(type="of the second")
        await trio.sleep(1)

    assert desk.said == ["of the first"]
    assert desk.standby_said == [(2, "of the second")]


async def test_the_older_session_talks_even_if_the_younger_one_opens_first(autojump_clock: MockClock):
    slow, puppet = Puppet(takes_s=2.0), Puppet()
    desk = Desk(slow=slow, puppet=puppet)
    async with keeping(desk):
        desk.opens(1, "slow")
        desk.opens(2)
        await trio.sleep(1)
        puppet.sessions[0].says(type="of the second")
        await trio.sleep(2)
        slow.sessions[0].says(type="of the first")
        await trio.sleep(1)

    assert desk.said == ["of the first"]
    assert desk.standby_said == [(2, "of the second")]


async def test_when_the_first_is_closed_the_second_talks(autojump_clock: MockClock):
    puppet = Puppet()
    desk = Desk(puppet=puppet)
    async with keeping(desk):
        desk.opens(1)
        await trio.sleep(1)
        desk.opens(2)
        await trio.sleep(1)

        desk.keeper.close(1)
        puppet.sessions[1].says(type="a")
        await trio.sleep(1)

        assert desk.said == ["a"]
        assert puppet.open == 1


async def test_every_session_gets_what_is_meant_for_it(autojump_clock: MockClock):
    puppet = Puppet()
    desk = Desk(puppet=puppet)
    async with keeping(desk):
        desk.opens(1)
        await trio.sleep(1)
        desk.opens(2)
        await trio.sleep(1)
        desk.tells(2, "b")
        desk.tells(1, "a")
        await trio.sleep(1)

    assert [heard(session) for session in puppet.sessions] == [["a"], ["b"]]


async def test_nothing_of_a_closed_session_enters_the_call(autojump_clock: MockClock):
    puppet = Puppet()
    desk = Desk(puppet=puppet)
    async with keeping(desk):
        desk.opens(1)
        await trio.sleep(1)
        puppet.sessions[0].says(type="too late")

        desk.keeper.close(1)
        puppet.sessions[0].lost.set()
        await trio.sleep(1)

    assert desk.fed == [c.VoiceOpened(session=1)]


async def test_a_session_that_is_closed_by_what_it_said_says_no_more(autojump_clock: MockClock):
    puppet = Puppet()
    desk = Desk(puppet=puppet)
    desk.then = lambda given: desk.keeper.close(1) if isinstance(given, str) else None
    async with keeping(desk):
        desk.opens(1)
        await trio.sleep(1)

        puppet.sessions[0].says(type="the last word")
        puppet.sessions[0].says(type="one more")
        await trio.sleep(1)

    assert desk.said == ["the last word"]


async def test_a_session_that_is_closed_before_it_opened_never_does(autojump_clock: MockClock):
    puppet = Puppet(takes_s=1.0)
    desk = Desk(puppet=puppet)
    async with keeping(desk):
        desk.opens(1)
        await trio.sleep(0.5)

        desk.keeper.close(1)
        await trio.sleep(10)

    assert desk.fed == []
    assert puppet.sessions == []


async def test_a_session_that_is_closed_in_the_instant_it_is_asked_for_never_opens(autojump_clock: MockClock):
    puppet = Puppet()
    desk = Desk(puppet=puppet)
    async with keeping(desk):
        desk.opens(1)
        desk.keeper.close(1)
        await trio.sleep(1)

    assert desk.fed == []
    assert puppet.open == 0


async def test_what_is_for_a_closed_session_is_for_nobody(autojump_clock: MockClock):
    puppet = Puppet()
    desk = Desk(puppet=puppet)
    async with keeping(desk):
        desk.opens(1)
        await trio.sleep(1)
        desk.keeper.close(1)

        desk.tells(1, "a")
        desk.keeper.drop(1)
        desk.keeper.close(1)
        await trio.sleep(1)

    assert heard(puppet.sessions[0]) == []
    assert desk.ended == []


async def test_the_loss_of_one_session_leaves_the_other_alone(autojump_clock: MockClock):
    puppet = Puppet()
    desk = Desk(puppet=puppet)
    async with keeping(desk):
        desk.opens(1)
        await trio.sleep(1)
        desk.opens(2)
        await trio.sleep(1)

        puppet.sessions[1].lost.set()
        await trio.sleep(1)
        puppet.sessions[0].says(type="a")
        await trio.sleep(1)

    assert [ended.session for ended in desk.ended] == [2]
    assert desk.said == ["a"]


async def test_a_session_that_is_asked_for_because_another_was_lost_is_opened(autojump_clock: MockClock):
    puppet = Puppet()
    desk = Desk(puppet=puppet)
    desk.then = lambda given: desk.opens(given.session + 1) if isinstance(given, c.VoiceEnded) else None
    async with keeping(desk):
        desk.opens(1)
        await trio.sleep(1)
        puppet.sessions[0].lost.set()
        await trio.sleep(1)
        puppet.sessions[1].says(type="a")
        await trio.sleep(1)

    assert [each.session for each in desk.fed if isinstance(each, c.VoiceOpened)] == [1, 2]
    assert desk.said == ["a"]


# -- how a connection fails


async def test_a_connection_that_is_not_had_in_five_seconds_is_lost(autojump_clock: MockClock):
    desk = Desk(puppet=Puppet(takes_s=60.0))
    async with keeping(desk):
        began = trio.current_time()
        desk.opens(1)
        await trio.sleep(10)

    assert desk.fed == [c.VoiceEnded(session=1, refused=False, detail="no connection within 5 s")]
    assert desk.fed_at[0] - began == pytest.approx(5.0)


async def test_a_connection_that_was_had_in_time_may_last_for_hours(autojump_clock: MockClock):
    desk = Desk(puppet=Puppet(takes_s=4.9))
    async with keeping(desk):
        desk.opens(1)
        await trio.sleep(7200)

    assert desk.fed == [c.VoiceOpened(session=1)]


async def test_a_voice_that_does_not_read_is_lost_after_two_to_three_seconds(autojump_clock: MockClock):
    puppet = Puppet()
    desk = Desk(puppet=puppet)
    async with keeping(desk):
        desk.opens(1)
        await trio.sleep(10)
        puppet.sessions[0].deaf = True
        stalled_at = trio.current_time()

        desk.tells(1, "a")
        await trio.sleep(10)

    assert [ended.detail for ended in desk.ended] == ["did not read for 2 s"]
    assert 2.0 < desk.fed_at[-1] - stalled_at <= 3.0


async def test_a_voice_that_has_nothing_to_read_is_not_lost(autojump_clock: MockClock):
    puppet = Puppet()
    desk = Desk(puppet=puppet)
    async with keeping(desk):
        desk.opens(1)
        desk.tells(1, "a")
        await trio.sleep(600)

    assert desk.ended == []


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (c.SessionLost("broke"), c.VoiceEnded(session=1, refused=False, detail="broke")),
        (c.SessionRefused("bad key"), c.VoiceEnded(session=1, refused=True, detail="bad key")),
        (c.SessionBusy("full", 2.0), c.VoiceEnded(session=1, refused=False, detail="full", busy_s=2.0)),
        (c.SessionBusy("full"), c.VoiceEnded(session=1, refused=False, detail="full", busy_s=0.0)),
        (trio.TooSlowError(), c.VoiceEnded(session=1, refused=False, detail="TooSlowError")),
        (
            ExceptionGroup("both", [c.SessionLost("reading"), c.SessionLost("writing")]),
            c.VoiceEnded(session=1, refused=False, detail="reading"),
        ),
        (
            ExceptionGroup("deep", [ExceptionGroup("deeper", [c.SessionBusy("full", 1.0)])]),
            c.VoiceEnded(session=1, refused=False, detail="full", busy_s=1.0),
        ),
        (
            ExceptionGroup("both", [c.SessionLost("broke"), c.SessionRefused("bad key")]),
            c.VoiceEnded(session=1, refused=True, detail="bad key"),
        ),
    ],
    ids=["lost", "refused", "busy", "busy, for how long?", "too slow", "two", "nested", "refusal wins"],
)
@pytest.mark.parametrize("kind", [Failing, Breaking])
async def test_how_a_connection_failed_is_told_once(
    autojump_clock: MockClock,
    kind: Callable[[BaseException], c.VoiceBackend],
    error: BaseException,
    ended: c.VoiceEnded,
):
    desk = Desk(puppet=kind(error))
    async with keeping(desk):
        desk.opens(1)
        await trio.sleep(10)

    assert desk.ended == [ended]


async def test_a_bug_in_a_backend_is_the_calls(autojump_clock: MockClock):
    desk = Desk(puppet=Failing(ZeroDivisionError("a bug")))
    desk.opens(1)

    with pytest.raises(ExceptionGroup) as caught:
        await desk.keeper.run()

    assert caught.group_contains(ZeroDivisionError)
    assert desk.fed == []


async def test_a_connection_that_fails_after_it_was_closed_is_not_told(autojump_clock: MockClock):
    desk = Desk(puppet=Breaking(c.SessionLost("broke")))
    async with keeping(desk):
        desk.opens(1)
        await trio.sleep(0.5)

        desk.keeper.close(1)
        await trio.sleep(10)

    assert desk.fed == [c.VoiceOpened(session=1)]


async def test_a_session_that_is_dropped_is_lost_at_once(autojump_clock: MockClock):
    puppet = Puppet()
    desk = Desk(puppet=puppet)
    async with keeping(desk):
        desk.opens(1)
        await trio.sleep(1)

        desk.keeper.drop(1)

        assert [ended.detail for ended in desk.ended] == ["did not take what it was sent"]
        await trio.sleep(1)
        assert puppet.open == 0
        assert len(desk.ended) == 1


# -- what waits, and what is dropped


async def test_of_the_callers_audio_the_last_three_seconds_wait(autojump_clock: MockClock):
    puppet = Puppet(takes_s=4.0)
    desk = Desk(puppet=puppet)
    async with keeping(desk):
        desk.opens(1)
        desk.tells(1, "control")
        for frame in range(200):
            desk.tells(1, f"audio {frame}", caller_ms=20)
        await trio.sleep(5)

    assert heard(puppet.sessions[0]) == ["control"] + [f"audio {frame}" for frame in range(50, 200)]
    assert desk.keeper.dropped_ms == 1000


async def test_what_was_dropped_is_counted_over_all_sessions(autojump_clock: MockClock):
    desk = Desk(puppet=Puppet(takes_s=4.0))
    async with keeping(desk):
        for session in (1, 2):
            desk.opens(session)
            for _ in range(160):
                desk.tells(session, "audio", caller_ms=20)
        desk.keeper.close(1)
        await trio.sleep(1)

    assert desk.keeper.dropped_ms == 400


async def test_a_mark_is_reached_when_the_talking_session_has_read_so_far(autojump_clock: MockClock):
    puppet = Puppet(takes_s=1.0)
    desk = Desk(puppet=puppet)
    async with keeping(desk):
        desk.opens(1)
        desk.opens(2)
        desk.tells(1, "a")
        began, mark = trio.current_time(), desk.keeper.talking
        assert mark is not None

        await mark.outbox.carried(mark.messages)

        assert mark.session == 1
        assert trio.current_time() - began == pytest.approx(1.0)


async def test_a_mark_of_a_session_that_is_closed_keeps_nobody_waiting(autojump_clock: MockClock):
    desk = Desk(puppet=Puppet(takes_s=math.inf))
    async with keeping(desk):
        desk.opens(1)
        desk.tells(1, "a")
        mark = desk.keeper.talking
        assert mark is not None

        desk.keeper.close(1)
        with trio.fail_after(1):
            await mark.outbox.carried(mark.messages)

        assert desk.keeper.talking is None
