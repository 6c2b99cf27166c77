"""What stays of a call: one record, whatever happened, with every total."""

import datetime as dt
from typing import Any

import msgspec

from gateway.contracts import ENDINGS, EndReason, Fact

__all__ = ["CallRecord", "Line"]

# A call of hours stays readable: beyond this the lines are counted, the trace has them all.
_MOST_LINES = 2000


class Line(msgspec.Struct, frozen=True):
    """Something that was said or done. `at_ms`: since the call began."""

    at_ms: int
    what: str
    fields: dict[str, Any]


class CallRecord(msgspec.Struct, kw_only=True):
    """`call.json`. `caller` and `called` are pseudonyms unless numbers are kept. Times are in UTC.

    `headers`: of the carrier's, those that the settings let through. `media`: how good it was, and `released`: what
    the carrier said at the end, where it tells: SIP's status, the cause as Q.850 has it.
    """

    version: int = 1
    call: str
    carrier: str
    carrier_call: str
    direction: str = "inbound"
    caller: str
    called: str
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    plan: str
    backend: str
    started_at: str
    ended_at: str = ""
    duration_ms: int = 0
    reason: EndReason | None = None
    fault: str = ""
    detail: str = ""
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    turn_latency_ms: list[int] = msgspec.field(default_factory=list)
    caller_audio_dropped_ms: int = 0
    media: dict[str, Any] = msgspec.field(default_factory=dict)
    released: dict[str, Any] = msgspec.field(default_factory=dict)
    trace: str = "partial"
    recording: str = "none"
    lines: list[Line] = msgspec.field(default_factory=list)

    def note(self, fact: Fact, now: float) -> None:
        """Count a fact and, where a reader of the record would want it, keep it."""
        name = f"{fact.name}:{fact.fields['what']}" if fact.name == "carrier.troubled" else fact.name
        self.counts[name] = self.counts.get(name, 0) + 1
        match fact.name:
            case "turn.answered":
                self.turn_latency_ms.append(fact.fields["latency_ms"])
            case "media.quality":
                self.media = fact.fields
            case "call.released":
                self.released = fact.fields
            case "call.ending":
                self.detail = fact.fields["detail"]
        if self.counts[name] <= _MOST_LINES and (fact.name != "carrier.troubled" or self.counts[name] == 1):
            self.lines.append(Line(round(now * 1000), fact.name, fact.fields))

    def end(self, reason: EndReason, now: float) -> None:
        self.ended_at = utc_now()
        self.duration_ms = round(now * 1000)
        self.reason = reason
        self.fault = ENDINGS[reason].fault

    def totals(self) -> dict[str, Any]:
        """The canonical line of the log: every total, no word that was said, no number."""
        ordered = sorted(self.turn_latency_ms)
        return {
            "carrier": self.carrier,
            "carrier_call": self.carrier_call,
            "plan": self.plan,
            "backend": self.backend,
            "reason": self.reason.value if self.reason else None,
            "fault": self.fault,
            "detail": self.detail,
            "duration_ms": self.duration_ms,
            "turns": len(ordered),
            "turn_latency_p50_ms": ordered[len(ordered) // 2] if ordered else None,
            "turn_latency_max_ms": ordered[-1] if ordered else None,
            "caller_audio_dropped_ms": self.caller_audio_dropped_ms,
            "media": self.media,
            "trace": self.trace,
            "recording": self.recording,
            "counts": dict(self.counts),
        }


def utc_now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
