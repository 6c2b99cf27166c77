"""Whole calls with a hosted voice: a fake Twilio on one side, a fake Realtime server on the other, streams between."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import trio

from gateway.audio.tones import sine
from gateway.calls.record import CallRecord
from gateway.config import Secret
from gateway.contracts import Agent
from gateway.dialplan.actions import Action
from gateway.dialplan.actions.answer import Answer
from gateway.dialplan.actions.converse import Converse
from gateway.dialplan.plan import Dialplan, Plan
from gateway.net.tasks import open_tasks
from gateway.testing.fake_realtime import FakeRealtime
from gateway.testing.faulty_table import Fault
from gateway.testing.live import LiveGateway, inline, live_gateway
from gateway.testing.twilio_caller import Caller
from gateway.tools import PythonTool
from gateway.voice.backends.realtime import RealtimeBackend, RealtimeSettings
from gateway.voice.backends.scripted import ScriptedBackend, ScriptedSettings
from gateway.voice.embedded.script import Action as Calls
from gateway.voice.embedded.script import Intent, Script, State

KEY = "sk-canary-Zx81Kc4nN0b0dySaysThis"
HOURS, LOOK_UP = "what are your opening hours", "is there a table"
SPEECH = sine(300, 600, level_dbfs=-14)
SCRIPT = Script(
    start="hall",
    states={
        "hall": State(
            prompt="Good day. How can I help?",
            again="Anything else?",
            expect=("hours", "look_up"),
            dtmf={"1": "hours"},
        ),
        "looking": State(
            action=Calls(call="tables_free", arguments={"day": "today"}, done="There is one."), goto="hall"
        ),
    },
    intents={
        "hours": Intent(phrases=(HOURS,), answer="From nine to five. On Sundays we are closed all day long."),
        "look_up": Intent(phrases=(LOOK_UP,), goto="looking"),
    },
    goodbye=Calls(call="end_call", say="Goodbye!"),
)


async def tables_free(day: str) -> int:
    """How many tables are free."""
    await trio.sleep(0.2)
    return 1 if day == "today" else 0


def plan(*, fallback: tuple[Action, ...] = (), model: str | None = None) -> Dialplan:
    tool = PythonTool.of(tables_free)
    agent = Agent(name="a", instructions="Be brief.", model=model, tools=(tool,))
    talk = Plan(
        name="talk",
        steps=(Answer(), Converse(agent="a")),
        fallback=fallback,
        agents={"a": agent},
        destinations=("desk",),
    )
    return Dialplan(
        plans={"talk": talk},
        default="talk",
        destinations={"desk": "+15550100009"},
        tools={tool.name: tool},
    )


def a_server(*faults: Fault, hears: Iterable[str] = (), **options: Any) -> FakeRealtime:
    voice = ScriptedBackend(ScriptedSettings(hears=tuple(hears)), inline, scripts={"reception": SCRIPT})
    return FakeRealtime(voice, faults, api_key=KEY, **options)


class Connected(NamedTuple):
    """`folder`: where the call is written, when its block has ended."""

    caller: Caller
    live: LiveGateway
    folder: Path

    @property
    def written(self) -> Path:
        (folder,) = self.folder.glob("2*")
        return folder

    @property
    def record(self) -> CallRecord:
        return msgspec.json.decode((self.written / "call.json").read_bytes(), type=CallRecord)

    def facts(self, name: str) -> list[dict[str, Any]]:
        return [fact.fields for fact in self.live.facts_named(name)]

    async def greeted(self) -> None:
        await self.caller.speaking()
        await self.caller.quiet(0.4)


@asynccontextmanager
async def calling(
    server: FakeRealtime,
    folder: Path,
    dialplan: Dialplan | None = None,
    *,
    key: str = KEY,
    **settings: Any,
) -> AsyncIterator[Connected]:
    """Somebody calls a gateway whose voice is at this server."""
    backend = RealtimeBackend(RealtimeSettings(**settings), Secret(key), dial=server.dial)
    async with open_tasks() as nursery:
        nursery.start_soon(server.run)
        async with AsyncExitStack() as stack:
            live = await stack.enter_async_context(live_gateway(dialplan or plan(), backend, folder=folder))
            call = live.twilio.call(from_="+15550100001", to="+15550100002")
            yield Connected(await stack.enter_async_context(call), live, folder)
        nursery.cancel_scope.cancel()
