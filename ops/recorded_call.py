"""What a call of tests/traces/ is made of, whatever carrier it comes by."""

from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

import trio

from gateway.audio.tones import sine
from gateway.contracts import Agent, VoiceBackend
from gateway.dialplan.actions import Action
from gateway.dialplan.actions.answer import Answer
from gateway.dialplan.actions.converse import Converse
from gateway.dialplan.plan import Dialplan, Plan
from gateway.settings import Settings
from gateway.tools import PythonTool

__all__ = ["COUGH", "SPEECH", "WORD", "Listener", "RecordedCall", "greeted"]

SPEECH = sine(300, 900, level_dbfs=-14)
WORD = sine(300, 400, level_dbfs=-14)
COUGH = sine(300, 120, level_dbfs=-14)
P = TypeVar("P")


class Listener(Protocol):
    """Whoever listens to the agent."""

    async def speaking(self) -> None: ...

    async def quiet(self, seconds: float) -> None: ...


class RecordedCall(NamedTuple, Generic[P]):
    """`talk`: what the caller does; the call may end before. `shows`: facts that are there, or the call shows nothing.

    `voices`: those of the call, new.
    """

    talk: Callable[[P], Awaitable[None]]
    voices: Callable[[], tuple[VoiceBackend, ...]]
    shows: tuple[str, ...] = ()
    settings: Settings = Settings()
    fallback: tuple[Action, ...] = ()
    greeting: str | None = None

    @property
    def dialplan(self) -> Dialplan:
        tool = PythonTool.of(look_up)
        agent = Agent(name="reception", instructions="Be brief.", greeting=self.greeting, tools=(tool,))
        plan = Plan(
            name="reception",
            steps=(Answer(), Converse(agent="reception")),
            fallback=self.fallback,
            agents={"reception": agent},
            destinations=("front_desk",),
        )
        return Dialplan(
            plans={plan.name: plan},
            default=plan.name,
            destinations={"front_desk": "+15550001999"},
            tools={tool.name: tool},
        )


async def look_up(name: str) -> str:
    """The telephone number of somebody."""
    await trio.sleep(0.3)
    return f"{name} has the number 12#"


async def greeted(caller: Listener) -> None:
    """The agent has said its first words."""
    await caller.speaking()
    await caller.quiet(0.3)
