"""How good the media of a call was, as its leg measured it."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from gateway.report.markup import text
from gateway.report.story import Story

__all__ = ["measured", "quality", "score"]

_FACT = "media.quality"

# ITU-T G.107, Annex B, table B.1: what users say of a call with so high a score.
_VERDICTS: Final = (
    (4.34, "very satisfied"),
    (4.03, "satisfied"),
    (3.60, "some users dissatisfied"),
    (3.10, "many users dissatisfied"),
    (2.58, "nearly all users dissatisfied"),
)


class _Figure(NamedTuple):
    label: str
    shown: Callable[[Any], str]


def _ms(value: float) -> str:
    return f"{value:g} ms"


# In the order in which they are shown. What is not here is shown behind them, by its own name.
_FIGURES: Mapping[str, _Figure] = {
    "mos": _Figure("quality (MOS, E-model)", lambda value: f"{value:.2f}, {_verdict(value)}"),
    "jitter_ms": _Figure("jitter", _ms),
    "worst_jitter_ms": _Figure("jitter at worst", _ms),
    "loss_percent": _Figure("lost", lambda value: f"{value:g} %"),
    "round_trip_ms": _Figure("round trip", _ms),
    "received_packets": _Figure("packets received", str),
    "lost_packets": _Figure("packets lost", str),
    "late_packets": _Figure("packets too late", str),
    "far_lost_packets": _Figure("packets that the far end missed", str),
    "concealed_ms": _Figure("made up where packets lacked", _ms),
    "restarts": _Figure("restarts of their stream", str),
}


def quality(story: Story) -> str:
    """The section of the page; empty where nothing was measured."""
    figures = measured(story)
    known = [(_FIGURES[name].label, _shown(name, figures[name])) for name in _FIGURES if name in figures]
    others = [(name.replace("_", " "), str(value)) for name, value in figures.items() if name not in _FIGURES]
    rows = "".join(
        f'<div><dt class="text">{text(label)}</dt><dd class="text">{text(value)}</dd></div>'
        for label, value in (*known, *others)
    )
    if not rows:
        return ""
    return (
        '<section aria-labelledby="quality-title"><h2 id="quality-title">Media quality</h2>'
        f'<dl class="about">{rows}</dl></section>'
    )


def measured(story: Story) -> dict[str, Any]:
    """What was told last, without what is not known."""
    told = [event.fields for event in story.events if event.kind == "fact" and event.name == _FACT]
    return {name: value for name, value in told[-1].items() if value is not None} if told else {}


def score(story: Story) -> float | None:
    """The mean opinion score; None: nobody knows."""
    mos = measured(story).get("mos")
    return mos if isinstance(mos, int | float) else None


def _shown(name: str, value: object) -> str:
    """What has another shape than it should is shown as it is."""
    return _FIGURES[name].shown(value) if isinstance(value, int | float) else str(value)


def _verdict(mos: float) -> str:
    return next((verdict for least, verdict in _VERDICTS if mos >= least), "not recommended")
