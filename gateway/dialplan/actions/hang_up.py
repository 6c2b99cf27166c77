from typing import ClassVar

import msgspec

from gateway.config.shape import Flaw
from gateway.contracts import CallControl, EndReason, Milestone
from gateway.dialplan.scope import Scope


class HangUp(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="hang_up"):
    """End the call when the caller has heard what was said."""

    ends_call: ClassVar[bool] = True
    in_fallback: ClassVar[bool] = True

    def begin(self, call: CallControl) -> Milestone | None:
        call.hang_up(EndReason.PLAN_ENDED)
        return None

    def check(self, scope: Scope) -> Flaw | None:  # noqa: ARG002 - right everywhere; what follows it is not
        return None
