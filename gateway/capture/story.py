"""What happens in a call, told line by line to whoever started it."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import trio

from gateway.contracts import Fact

__all__ = ["Story"]

# Who did what, of those facts that people want to see.
_LINES: Final[Mapping[str, tuple[str, Callable[[dict[str, Any]], str]]]] = {
    "call.started": ("call", lambda fields: f"answered, {fields['codec']}"),
    "caller.said": ("caller", lambda fields: fields["text"] or "(nothing that could be understood)"),
    "digit.pressed": ("caller", lambda _fields: "presses a key"),
    "call.held": ("caller", lambda _fields: "puts us on hold"),
    "call.resumed": ("caller", lambda _fields: "is back"),
    "agent.said": ("agent", lambda fields: fields["text"]),
    "turn.answered": (
        "",
        lambda fields: f"first audio {fields['latency_ms'] / 1000:.2f} s after the caller stopped",
    ),
    "agent.interrupted": (
        "",
        lambda fields: (
            f"the caller interrupts; the agent was cut after {fields['heard_low_ms'] / 1000:.1f} s:"
            f" “{fields['text']} …”"
        ),
    ),
    "tool.called": ("", lambda fields: f"the agent calls {fields['tool']}"),
    "transfer.requested": ("call", lambda fields: f"goes to {fields['destination']}"),
    "session.lost": ("", lambda fields: f"no voice: {fields['detail']}"),
    "clip.failed": ("", lambda fields: f"no voice: {fields['detail']}"),
    "call.ending": ("call", lambda fields: f"ended: {fields['reason']}"),
}


class Story:
    """Watches one call. `say`: takes each line. `call`: its name, once it has begun."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.call = ""
        self._say = say
        self._began = trio.current_time()

    def watch(self, call: str, fact: Fact) -> None:
        if not self.call:
            self.call, self._began = call, trio.current_time()
        if fact.name in _LINES:
            who, what = _LINES[fact.name]
            self._say(f"{trio.current_time() - self._began:7.2f} s  {who:8}{what(fact.fields)}")
