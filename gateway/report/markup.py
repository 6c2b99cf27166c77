"""Words and times as HTML. Everything that came from a call goes through `text` on its way to the page."""

import html
import re
from typing import Any

import msgspec

__all__ = ["Places", "fields", "moment", "text", "timed"]

_LONGEST_VALUE = 400

# Control characters have no place in HTML, a lone surrogate none in UTF-8, and what turns the direction of
# writing would turn our own words too.
_UNSHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def text(words: object) -> str:
    """Anything, escaped for elements and for attributes in quotation marks."""
    return html.escape(_UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", str(words)))


def moment(t_us: int) -> str:
    """Minutes and seconds since the call began, to the hundredth: 1:02.35."""
    hundredths = round(t_us / 10_000)
    sign, hundredths = ("-" if hundredths < 0 else ""), abs(hundredths)
    return f"{sign}{hundredths // 6000}:{hundredths // 100 % 60:02}.{hundredths % 100:02}"


def timed(t_us: int) -> str:
    """A moment as a link that moves the play head there."""
    return f'<a href="#at-{max(t_us, 0) / 1e6:.3f}">{moment(t_us)}</a>'


def fields(named: dict[str, Any]) -> str:
    """A fact's fields in one line."""
    return " ".join(f'<span class="key">{text(key)}</span> {_value(value)}' for key, value in named.items())


def _value(value: object) -> str:
    shown = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    cut = shown if len(shown) <= _LONGEST_VALUE else f"{shown[:_LONGEST_VALUE]}…"
    return f'<span class="text">{text(cut)}</span>'


class Places:
    """Where things stand on the timeline, as rules of a style sheet.

    A page that allows no inline style, because words of strangers are on it, can place nothing in an element.
    """

    def __init__(self) -> None:
        self._rules: list[str] = []

    def of(self, from_us: int, to_us: int | None = None) -> str:
        """The classes of an element that stands at a time or, with `to_us`, for a time."""
        name = f"p{len(self._rules)}"
        rule = f"--a:{from_us / 1e6:.3f}"
        if to_us is not None:
            rule += f";--d:{max(to_us - from_us, 0) / 1e6:.3f}"
        self._rules.append(f".{name}{{{rule}}}")
        return f"at {name}" if to_us is None else f"at for {name}"

    def sheet(self, *, length_us: int, pixels_per_second: float) -> str:
        """All rules, with the length of the timeline and its scale."""
        track = f"#track{{--length:{length_us / 1e6:.3f};--s:{pixels_per_second:g}px}}"
        return "\n".join([track, *self._rules])
