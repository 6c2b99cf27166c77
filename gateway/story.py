"""What happens in a call, told line by line to whoever started it."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import trio

from gateway.contracts import Fact

__all__ = ["Story"]

_FAR_END: Final = "far end"

# Who did what, of those facts that people want to see.
_LINES: Final[Mapping[str, tuple[str, Callable[[dict[str, Any]], str]]]] = {
    "call.progressed": (
        "call",
        lambda fields: "rings" if fields["status"] == 180 else f"goes on, {fields['status']}",
    ),
    "media.previewed": ("call", lambda _fields: "early media"),
    "call.started": ("call", lambda fields: f"answered, {fields['codec']}"),
    "caller.said": (_FAR_END, lambda fields: fields["text"] or "(nothing that could be understood)"),
    "digit.pressed": (_FAR_END, lambda _fields: "presses a key"),
    "call.held": (_FAR_END, lambda _fields: "puts us on hold"),
    "call.resumed": (_FAR_END, lambda _fields: "is back"),
    "agent.said": ("agent", lambda fields: fields["text"]),
    "turn.answered": (
        "",
        lambda fields: f"first audio {fields['latency_ms'] / 1000:.2f} s after the caller stopped",
    ),
    "response.ended": (
        "",
        lambda fields: f"understood as: {fields['matched']}" if "matched" in fields else "",
    ),
    "agent.interrupted": (
        "",
        lambda fields: (
            f"the caller interrupts; the agent was cut after {fields['heard_low_ms'] / 1000:.1f} s: “{fields['text']} …”"
        ),
    ),
    "tool.called": ("", lambda fields: f"the agent calls {fields['tool']}"),
    "transfer.requested": ("call", lambda fields: f"goes to {fields['destination']}"),
    "session.lost": ("", lambda fields: f"no voice: {fields['detail']}"),
    "clip.failed": ("", lambda fields: f"no voice: {fields['detail']}"),
    "call.ending": ("call", lambda fields: f"ended: {fields['reason']}"),
}


class Story:
    """Watches one call. `say`: takes each line. `far_end`: what they are called at the other end. `opening`: what to say
    when they are there; None: that they have answered.

    `call`: its name, once it has begun. `heard`: what they said. `matched`: as what it was understood.
    `latencies_ms`: how long they waited for each answer.
    """

    def __init__(
        self, say: Callable[[str], None], *, far_end: str = "caller", opening: str | None = None
    ) -> None:
        self.call = ""
        self.heard: list[str] = []
        self.matched: list[str] = []
        self.latencies_ms: list[int] = []
        self._say = say
        self._far_end = far_end
        self._opening = opening
        self._began = trio.current_time()

    def watch(self, call: str, fact: Fact) -> None:
        if not self.call:
            self.call, self._began = call, trio.current_time()
        self._remember(fact)
        who, write = _LINES.get(fact.name, ("", None))
        what = write(fact.fields) if write is not None else ""
        if fact.name == "call.started" and self._opening is not None:
            what = self._opening
        if what:
            who = self._far_end if who == _FAR_END else who
            self._say(f"{trio.current_time() - self._began:7.2f} s  {who:8}{what}")

    def _remember(self, fact: Fact) -> None:
        match fact.name:
            case "caller.said":
                self.heard.append(fact.fields["text"])
            case "turn.answered":
                self.latencies_ms.append(fact.fields["latency_ms"])
            case "response.ended" if "matched" in fact.fields:
                self.matched.append(fact.fields["matched"])
