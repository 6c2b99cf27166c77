from typing import ClassVar

import msgspec

from gateway.config.shape import Flaw
from gateway.contracts import CallControl, Milestone
from gateway.dialplan.scope import Scope


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="answer"):
    """Take the call. Some carriers have done so before the plan begins; then nothing happens."""

    ends_call: ClassVar[bool] = False
    in_fallback: ClassVar[bool] = False

    def begin(self, call: CallControl) -> Milestone | None:
        call.answer()
        return Milestone.ANSWERED

    def check(self, scope: Scope) -> Flaw | None:  # noqa: ARG002 - right everywhere
        return None
