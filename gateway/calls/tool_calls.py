"""The tools that the agent of a call asks for, and what they answer. A core."""

from collections.abc import Callable, Collection
from typing import assert_never

from gateway.calls.call_tools import EndCall, Refusal, Tones, Transfer, meant
from gateway.contracts import Fact, Output, RunTool
from gateway.voice.session_core import SessionCore
from gateway.voice.session_events import ToolCalled
from gateway.voice.tool_answers import ToolAnswers

__all__ = ["ToolCalls"]


class ToolCalls:
    """What a call does about the tools that its agent calls.

    `own`: the agent's tools by name. `destinations`: the plan's. `emit` takes outputs in order.
    """

    def __init__(
        self, own: Collection[str], destinations: Collection[str], emit: Callable[[Output], None]
    ) -> None:
        self._own = own
        self._destinations = destinations
        self._emit = emit
        self._answers = ToolAnswers()

    @property
    def running(self) -> bool:
        return self._answers.running

    def called(self, session: SessionCore, call: ToolCalled) -> EndCall | Transfer | Tones | None:
        """The agent calls a tool: what the call has to do about it, if it is not one that runs by itself."""
        self._emit(Fact("tool.called", {"tool": call.name}))
        asked = meant(call, self._own, self._destinations)
        match asked:
            case EndCall() | Transfer():  # nobody waits for an answer
                return asked
            case RunTool():
                self._answers.began(call.call)
                self._emit(asked)
                return None
            case Tones():
                self._answers.began(call.call)
                self.answered(session, call.call, "The digits were sent.")
                return asked
            case Refusal(text):
                self._answers.began(call.call)
                self.answered(session, call.call, text)
                return None
            case never:
                assert_never(never)

    def answered(self, session: SessionCore, call: str, output: str, *, failed: bool = False) -> None:
        """Tell the voice, behind the answers of those that were called before. Nobody may wait for it any more."""
        ready = self._answers.done(call, output)
        if ready:
            self._emit(Fact("tool.failed" if failed else "tool.answered"))
        for each, answer in ready:
            session.tool_answered(each, answer, respond=False)

    @property
    def due(self) -> bool:
        """All are answered, and the agent has to be asked to go on: once, not after each."""
        return self._answers.due

    def asked(self) -> None:
        """The agent is asked, or will be for another reason."""
        self._answers.asked()
