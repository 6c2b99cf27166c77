"""The tools that the agent calls, and what they answer. A core."""

from collections.abc import Callable, Collection
from typing import assert_never

from gateway.calls.call_tools import EndCall, Refusal, Tones, Transfer, meant
from gateway.contracts import Fact, Output, RunTool
from gateway.voice.session_core import SessionCore
from gateway.voice.session_events import ToolCalled

__all__ = ["ToolCalls"]


class ToolCalls:
    """The tools that run. Their answers reach the model in the order in which it called them.

    `own`: the agent's tools by name. `destinations`: the plan's. `emit` takes outputs in order.
    """

    def __init__(
        self, own: Collection[str], destinations: Collection[str], emit: Callable[[Output], None]
    ) -> None:
        self._own = own
        self._destinations = destinations
        self._emit = emit
        # By call, in order: the answer that waits for one before it.
        self._running: dict[str, str | None] = {}
        self._told = False  # answers, after which the agent has not been asked to go on

    @property
    def running(self) -> bool:
        return bool(self._running)

    def called(self, session: SessionCore, call: ToolCalled) -> EndCall | Transfer | Tones | None:
        """The agent calls a tool: what the call has to do about it, if it is not one that runs by itself."""
        self._emit(Fact("tool.called", {"tool": call.name}))
        asked = meant(call, self._own, self._destinations)
        match asked:
            case EndCall() | Transfer():  # nobody waits for an answer
                return asked
            case RunTool():
                self._running[call.call] = None
                self._emit(asked)
                return None
            case Tones():
                self._running[call.call] = None
                self.answered(session, call.call, "The digits were sent.")
                return asked
            case Refusal(text):
                self._running[call.call] = None
                self.answered(session, call.call, text)
                return None
            case never:
                assert_never(never)

    def answered(self, session: SessionCore, call: str, output: str, *, failed: bool = False) -> None:
        """Tell the voice, behind the answers of those that were called before. Nobody may wait for it any more."""
        if call not in self._running:
            return
        self._running[call] = output
        ready: list[tuple[str, str]] = []
        for each, answer in list(self._running.items()):
            if answer is None:
                break
            ready.append((each, answer))
            del self._running[each]
        if not ready:
            return
        self._told = True
        self._emit(Fact("tool.failed" if failed else "tool.answered"))
        for each, answer in ready:
            session.tool_answered(each, answer, respond=False)

    @property
    def due(self) -> bool:
        """All are answered, and the agent has to be asked to go on: once, not after each."""
        return self._told and not self._running

    def asked(self) -> None:
        """The agent is asked, or will be for another reason."""
        self._told = False
