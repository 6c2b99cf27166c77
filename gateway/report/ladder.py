"""The messages that set up, changed and ended a call, in order, with what came of them. A core.

A trace does not keep the addresses and tags by which a message could be told from its repetition: one that is the same
in everything that it does keep, and goes the same way, is the same message again.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from gateway.report import happenings as h

__all__ = ["Rung", "rungs"]

# Facts that say how a call goes on; what it says and does meanwhile is told elsewhere on the page.
_TOLD = frozenset(
    {
        *("call.started", "call.held", "call.resumed", "call.released", "call.ending", "carrier.troubled"),
        *("transfer.requested", "transfer.refused", "transfer.asked", "transfer.told"),
    }
)


class Rung(msgspec.Struct, frozen=True, kw_only=True):
    """One message, or something that happened between two.

    `signal`: None where it is no message; then `name` and `fields` say what it is. `again`: how often the same message
    passed before, and `first_us` when first. `asked_us`: of an answer, when what it answers first passed.
    """

    t_us: int
    signal: h.Signal | None = None
    name: str = ""
    fields: dict[str, Any] = {}
    again: int = 0
    first_us: int = 0
    asked_us: int | None = None


def rungs(happenings: Iterable[h.Happening]) -> Sequence[Rung]:
    """Empty where no message passed: the carrier has none."""
    found: list[Rung] = []
    passed: dict[tuple[object, ...], list[int]] = {}
    asked: dict[tuple[bool, str], int] = {}
    for happening in happenings:
        match happening:
            case h.Signal():
                found.append(_message(happening, passed, asked))
            case h.CarrierTold(t_us, name, fields):
                found.append(Rung(t_us=t_us, name=name, fields=fields))
            case h.Told(t_us, name, fields) if name in _TOLD:
                found.append(Rung(t_us=t_us, name=name, fields=fields))
            case h.KeyPressed():
                found.append(Rung(t_us=happening.t_us, name="key pressed", fields={"digit": happening.digit}))
            case _:
                pass
    return found if passed else ()


def _message(
    signal: h.Signal, passed: dict[tuple[object, ...], list[int]], asked: dict[tuple[bool, str], int]
) -> Rung:
    before = passed.setdefault((*signal[1:-2], tuple(signal.headers), signal.sdp), [])
    before.append(signal.t_us)
    answers = signal.line[:1].isdigit()
    if not answers:
        asked.setdefault((signal.sent, signal.cseq), signal.t_us)
    return Rung(
        t_us=signal.t_us,
        signal=signal,
        again=len(before) - 1,
        first_us=before[0],
        asked_us=asked.get((not signal.sent, signal.cseq)) if answers else None,
    )
