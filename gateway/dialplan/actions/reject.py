from typing import ClassVar, Literal

import msgspec

from gateway.config.shape import Flaw
from gateway.contracts import CallControl, EndReason, Milestone
from gateway.dialplan.scope import Scope


class Reject(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="reject"):
    """Do not take the call. As the first step of a plan it is carried out at the door, before a call exists."""

    reason: Literal["busy", "rejected"] = "rejected"

    ends_call: ClassVar[bool] = True
    in_fallback: ClassVar[bool] = False

    def begin(self, call: CallControl) -> Milestone | None:
        call.hang_up(EndReason.REJECTED)
        return None

    def check(self, scope: Scope) -> Flaw | None:
        if scope.index == 0:
            return None
        right = "only the first step can reject; use hang_up to end a call that was taken"
        return Flaw((*scope.at, "do"), right, "reject")
