from typing import ClassVar

import msgspec

from gateway.config.shape import Flaw
from gateway.contracts import CallControl, Milestone
from gateway.dialplan.scope import Scope


class Transfer(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="transfer"):
    """Connect the caller with a destination. `to`: its name in `[destinations]`, never a number."""

    to: str

    ends_call: ClassVar[bool] = True
    in_fallback: ClassVar[bool] = True

    def begin(self, call: CallControl) -> Milestone | None:
        call.transfer(self.to)
        return None

    def check(self, scope: Scope) -> Flaw | None:
        return scope.unknown("to", self.to, scope.destinations, what="destination")
