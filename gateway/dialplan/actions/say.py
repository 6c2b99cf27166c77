from typing import ClassVar

import msgspec

from gateway.config.shape import Flaw
from gateway.contracts import CallControl, Milestone
from gateway.dialplan.scope import Scope


class Say(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="say"):
    """Speak a text and wait until the caller has heard it. Needs a synthesizer. `voice` of None: its own."""

    text: str
    voice: str | None = None

    ends_call: ClassVar[bool] = False
    in_fallback: ClassVar[bool] = True

    def begin(self, call: CallControl) -> Milestone | None:
        call.say(self.text, self.voice)
        return Milestone.SAID

    def check(self, scope: Scope) -> Flaw | None:
        if self.text.strip():
            return None
        return Flaw((*scope.at, "text"), "expected words to speak", self.text)
