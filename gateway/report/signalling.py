"""The ladder of a call: its messages between the far end and the gateway, from top to bottom."""

from collections.abc import Sequence

from gateway.report import happenings as h
from gateway.report.ladder import Rung
from gateway.report.markup import fields, text, timed

__all__ = ["MOST_RUNGS", "signalling"]

# A call of hours has some hundred; a peer that repeats itself without end is not to fill the page.
MOST_RUNGS = 1000
_LONGEST_TEXT = 4000

_LEGEND = (
    "Each message as it passed at the gateway; a click shows its headers and its description of the session. Dashed:"
    " the same message again, as SIP repeats what is not answered. A trace has the addresses of media, and"
    " no headers that name people or hosts, no phone numbers, credentials or keys."
)


def signalling(rungs: Sequence[Rung]) -> str:
    """The section of the page; empty where there is no message to show."""
    if not rungs:
        return ""
    left = len(rungs) - MOST_RUNGS
    more = f'<p class="quiet">{left} more are not shown; the trace has them.</p>' if left > 0 else ""
    steps = "\n".join(map(_rung, rungs[:MOST_RUNGS]))
    return (
        '<section aria-labelledby="signalling-title"><h2 id="signalling-title">Signalling</h2>'
        '<div class="ladder"><div class="ends" aria-hidden="true"><b>far end</b><b>gateway</b></div>'
        f'<ol class="rungs">{steps}</ol></div>{more}<p class="legend">{_LEGEND}</p></section>'
    )


def _rung(rung: Rung) -> str:
    time = f'<span class="time">{timed(rung.t_us)}</span>'
    if rung.signal is None:
        note = f'<b class="text">{text(rung.name)}</b> {fields(rung.fields)}'
        return f'<li class="note">{time}<div class="between"><p>{note}</p></div></li>'
    kinds = ["sent" if rung.signal.sent else "received"]
    if rung.again:
        kinds.append("again")
    if rung.signal.line[:1] in {"4", "5", "6"}:
        kinds.append("refusal")
    return (
        f'<li class="{" ".join(kinds)}">{time}<div class="between">{_message(rung, rung.signal)}</div></li>'
    )


def _message(rung: Rung, signal: h.Signal) -> str:
    way = "sent" if signal.sent else "received"
    about = [text(signal.cseq), text(signal.transport)]
    if signal.sdp:
        about.append("SDP")
    if rung.asked_us is not None and not rung.again:
        about.append(f"after {_time(rung.t_us - rung.asked_us)}")
    if rung.again:
        about.append(
            f"<em>again (no. {rung.again + 1}), {_time(rung.t_us - rung.first_us)} after the first</em>"
        )
    arrow = (
        f'<span class="line"><span class="way">{way} </span><b class="text">{text(signal.line)}</b> '
        f'<span class="quiet">{" · ".join(about)}</span></span><span class="arrow"></span>'
    )
    if not (signal.headers or signal.sdp):
        return f'<div class="message">{arrow}</div>'
    return f'<details class="message"><summary>{arrow}</summary>{_content(signal)}</details>'


def _content(signal: h.Signal) -> str:
    lines = [f"{name}: {value}" for name, value in signal.headers]
    parts = ["\n".join(lines), "\n".join(signal.sdp.splitlines())]
    return "".join(f"<pre>{text(_bounded(part))}</pre>" for part in parts if part)


def _bounded(words: str) -> str:
    return words if len(words) <= _LONGEST_TEXT else f"{words[:_LONGEST_TEXT]}…"


def _time(us: int) -> str:
    return f"{us / 1000:.0f} ms" if us < 1_000_000 else f"{us / 1e6:.2f} s"
