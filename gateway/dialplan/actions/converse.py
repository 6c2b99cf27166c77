from typing import ClassVar

import msgspec

from gateway.config.shape import Flaw
from gateway.contracts import CallControl, Milestone
from gateway.dialplan.scope import Scope


class Converse(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="converse"):
    """Let an agent talk with the caller until the agent is done.

    Without `interruptible` what the agent says is heard to its end, whoever speaks meanwhile.
    """

    agent: str
    interruptible: bool = True

    ends_call: ClassVar[bool] = False
    in_fallback: ClassVar[bool] = False

    def begin(self, call: CallControl) -> Milestone | None:
        call.converse(self.agent, interruptible=self.interruptible)
        return Milestone.CONVERSED

    def check(self, scope: Scope) -> Flaw | None:
        return scope.unknown("agent", self.agent, scope.agents)
