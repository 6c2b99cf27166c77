"""The timeline: waveforms, words, cuts, marks and flags on one axis, the time since the call began."""

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np

from gateway.report.markup import Places, moment, text
from gateway.report.story import Cut, Event, Mark, Story, Utterance
from gateway.report.waveform import Outline

__all__ = ["MOST_FLAGS", "TROUBLE", "draw", "legend", "pixels_per_second"]

# Of longer calls the rest is in the list of events, or there too counted only.
MOST_FLAGS = 1500
_MOST_MARKS = 20_000

_WIDEST_PX = 60_000
_PIXELS_PER_SECOND = 60.0

# Of a fact that is bad news the last word says so.
TROUBLE = ("troubled", "lost", "failed", "refused", "overran", "busy", "truncated", "raised")

_LEGEND = (
    "Words stand where they were to be heard. Dashed: the caller interrupts. Hatched: how far he heard the answer,"
    " between the least and the most that can be. Struck out: what he did not hear, estimated by proportion."
)
_LEGEND_OF_MARKS = " Marks: sent above, returned below; red: returned by a clear."

_ROOM_US = 2_000_000

_TICKS_S = (1, 5, 10, 30, 60, 300, 600)


def pixels_per_second(length_us: int) -> float:
    """The scale on which a call of that length is shown at first."""
    return round(min(_PIXELS_PER_SECOND, _WIDEST_PX / max(length_us / 1e6, 1)), 2)


def legend(story: Story) -> str:
    """What the lanes show."""
    return _LEGEND + (_LEGEND_OF_MARKS if story.marks else "")


def draw(story: Story, outlines: Sequence[Outline], began_us: int, length_us: int, places: Places) -> str:
    """All lanes. `outlines`: of caller and agent, or none; they begin at `began_us`."""
    lanes = [_ruler(length_us, places)]
    for who, outline in zip(("caller", "agent"), outlines, strict=False):
        lanes.append(_wave(who, outline, began_us, places))
    spoken = [(who, [u for u in story.utterances if u.who == who]) for who in ("caller", "agent")]
    lanes += [_words(who, utterances, places) for who, utterances in spoken]
    if story.marks:
        lanes.append(_marks(story.marks, length_us, places))
    lanes.append(_flags(story.events, places))
    lanes += [
        f'<div class="cut {places.of(cut.t_us)}" title="cut at {moment(cut.t_us)}"></div>'
        for cut in story.cuts
    ]
    return "\n".join(lanes)


def _ruler(length_us: int, places: Places) -> str:
    most = 1000
    step_s = next((step for step in _TICKS_S if length_us / 1e6 / step <= most), 3600)
    step_s = max(step_s, next((s for s in _TICKS_S if s * pixels_per_second(length_us) >= 50), 600))
    ticks = [
        f'<span class="{places.of(at_s * 1_000_000)}">{at_s // 60}:{at_s % 60:02}</span>'
        for at_s in range(0, length_us // 1_000_000 + 1, step_s)
    ]
    return f'<div class="lane ruler" aria-hidden="true">{"".join(ticks)}</div>'


def _wave(who: str, outline: Outline, began_us: int, places: Places) -> str:
    columns = len(outline.low)
    to_us = began_us + round(columns * outline.column_s * 1e6)
    shape = f'<polygon points="{_points(outline)}"/>'
    svg = (
        f'<svg class="{places.of(began_us, to_us)}" viewBox="0 0 {columns} 200" preserveAspectRatio="none"'
        f' role="img" aria-label="Waveform of the {who}">{shape}</svg>'
    )
    return f'<div class="lane wave {who}"><span class="name">{who}</span>{svg}</div>'


def _points(outline: Outline) -> str:
    """Along the upper edge and back along the lower one; where nothing changes, nothing is said."""
    loudest = float(max(np.abs(outline.low).max(), np.abs(outline.high).max(), 0.1))
    above = np.minimum(99, np.rint(100 - outline.high / loudest * 98)).astype(int)
    below = np.maximum(101, np.rint(100 - outline.low / loudest * 98)).astype(int)
    forth = [f"{x},{above[x]}" for x in _corners(above)]
    back = [f"{x},{below[x]}" for x in reversed(_corners(below))]
    return " ".join([f"0,{above[0]}", *forth, *back, f"0,{below[0]}"])


def _corners(edge: np.ndarray) -> list[int]:
    same = np.zeros(len(edge), bool)
    same[1:-1] = (edge[1:-1] == edge[:-2]) & (edge[1:-1] == edge[2:])
    return [int(x) for x in np.flatnonzero(~same)]


def _words(who: str, utterances: Sequence[Utterance], places: Places) -> str:
    said = []
    for utterance, following in zip_longest(utterances, utterances[1:]):
        words = text(utterance.text or "…")
        if utterance.cut is not None:
            words = _cut_words(utterance.text, utterance.cut)
        # Short words may reach into the silence behind them.
        free_us = utterance.to_us + _ROOM_US if following is None else following.from_us
        ends_us = max(utterance.to_us, min(utterance.from_us + _ROOM_US, free_us))
        said.append(
            f'<div class="said {places.of(utterance.from_us, ends_us)}" title="{text(utterance.text)}"'
            f' data-from="{utterance.from_us / 1e6:.3f}" data-to="{utterance.to_us / 1e6:.3f}">'
            f'<span class="text" dir="auto">{words}</span></div>'
        )
        said += [f'<div class="spoken {places.of(*span)}"></div>' for span in utterance.spans]
        if utterance.cut is not None and utterance.cut.low_us is not None:
            said.append(_bound(utterance.cut, places))
    return f'<div class="lane words {who}"><span class="name">{who}</span>{"".join(said)}</div>'


def _cut_words(words: str, cut: Cut) -> str:
    rest = words.removeprefix(cut.heard) if words.startswith(cut.heard) else ""
    return f"{text(cut.heard)} <i>(estimated)</i> <s>{text(rest)}</s>"


def _bound(cut: Cut, places: Places) -> str:
    low_us, high_us = cut.low_us or 0, cut.high_us or cut.low_us or 0
    title = f"heard at least {cut.low_ms / 1000:.2f} s of it, at most {cut.high_ms / 1000:.2f} s"
    return f'<div class="bound {places.of(low_us, high_us)}" title="{title}"></div>'


def _marks(marks: Sequence[Mark], length_us: int, places: Places) -> str:
    shown = marks[:_MOST_MARKS]
    sent = "".join(f"M{mark.sent_us // 1000} 2V9" for mark in shown)
    back = {True: "", False: ""}
    for mark in shown:
        if mark.returned_us is not None:
            back[mark.cleared] += f"M{mark.returned_us // 1000} 11V18"
    paths = f'<path d="{sent}"/><path class="returned" d="{back[False]}"/><path class="cleared" d="{back[True]}"/>'
    svg = f'<svg class="{places.of(0, length_us)}" viewBox="0 0 {length_us // 1000} 20" preserveAspectRatio="none" aria-hidden="true">{paths}</svg>'
    return f'<div class="lane marks"><span class="name">marks</span>{svg}</div>'


def _flags(events: Sequence[Event], places: Places) -> str:
    facts = [event for event in events if event.kind == "fact"]
    flags = "".join(_flag(event, places) for event in facts[:MOST_FLAGS])
    return f'<div class="lane flags"><span class="name">events</span>{flags}</div>'


def _flag(event: Event, places: Places) -> str:
    kind, shown = "", ""
    if event.name.rpartition(".")[2] in TROUBLE:
        kind, shown = " trouble", "!"
    elif event.name == "digit.pressed":
        kind, shown = " key", text(event.fields.get("digit", ""))
    href = f"#at-{event.t_us / 1e6:.3f}"
    title = f"{moment(event.t_us)} {text(event.name)}"
    return f'<a class="flag{kind} {places.of(event.t_us)}" href="{href}" title="{title}" tabindex="-1">{shown}</a>'
