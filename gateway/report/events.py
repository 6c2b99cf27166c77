"""The list of everything that happened, to be searched."""

from gateway.report.markup import fields, text, timed
from gateway.report.story import Event, Mark, Story
from gateway.report.timeline import TROUBLE

__all__ = ["MOST_EVENTS", "MOST_MARKS", "event_list"]

# A page of an hour's call with all its marks would be mostly marks.
MOST_EVENTS = 5000
MOST_MARKS = 2000

# What the filter shows at first.
_KINDS = {
    "fact": ("facts", True),
    "request": ("requests", True),
    "report": ("their results", True),
    "carrier": ("the carrier", True),
    "mark": ("marks", False),
}


def event_list(story: Story) -> str:
    """The filter and the table under it."""
    marks = [_mark_event(mark) for mark in story.marks[:MOST_MARKS]]
    shown = sorted([*story.events[:MOST_EVENTS], *marks], key=lambda event: event.t_us)
    left = len(story.events) + len(story.marks) - len(shown)
    more = f'<p class="quiet">{left} more are not shown; the trace has them.</p>' if left else ""
    boxes = "".join(
        f'<label><input type="checkbox" data-kind-shown="{kind}"{" checked" if checked else ""}>{name}</label>'
        for kind, (name, checked) in _KINDS.items()
    )
    return (
        '<div class="filter" role="search">'
        f'<input type="search" id="search" placeholder="Filter" aria-label="Filter events">{boxes}'
        '<span class="quiet number" id="shown" role="status"></span></div>'
        '<table class="events"><thead><tr><th>time</th><th>event</th><th>with</th></tr></thead>'
        f"<tbody>{''.join(map(_row, shown))}</tbody></table>{more}"
    )


def _mark_event(mark: Mark) -> Event:
    back = "never"
    if mark.returned_us is not None:
        back = f"after {(mark.returned_us - mark.sent_us) / 1000:.0f} ms"
        back += ", by a clear" if mark.cleared else ""
    return Event(t_us=mark.sent_us, kind="mark", name="mark", fields={"name": mark.name, "returned": back})


def _row(event: Event) -> str:
    trouble = ' class="trouble"' if event.name.rpartition(".")[2] in TROUBLE else ""
    return (
        f'<tr data-kind="{text(event.kind)}"><td>{timed(event.t_us)}</td>'
        f'<td{trouble}><span class="text">{text(event.name)}</span></td><td>{fields(event.fields)}</td></tr>'
    )
