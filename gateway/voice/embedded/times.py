"""Times of day and days in a caller's words: "half past seven in the evening", "next Friday"."""

import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

from gateway.voice.embedded.words import number_at

__all__ = ["Day", "Moment", "clock_minutes", "find_day", "find_time", "speak_time"]

_NOON = 12 * 60
_DAY = 24 * 60
_PLAIN_DAY = (8 * 60, 20 * 60 - 1)  # what a bare "seven" means where nobody says when one may come

_BEFORE = frozenset(("at", "around", "about", "by", "before", "after", "from"))
_PM = frozenset(("pm", "afternoon", "evening", "night", "tonight"))
_FRACTIONS = {"half": 30, "quarter": 15}
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTH_NAMES = "january february march april may june july august september october november december"
_MONTHS = frozenset(_MONTH_NAMES.split())
_ORDINAL_NAMES = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)
_ORDINALS = {name: day for day, name in enumerate(_ORDINAL_NAMES.split(), 1)} | {"thirtieth": 30}
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


class Moment(NamedTuple):
    """A time, in minutes after midnight, and the words without it."""

    minutes: int
    rest: list[str]


class Day(NamedTuple):
    """A day as the caller named it, and the words without it."""

    name: str
    rest: list[str]


class _Read(NamedTuple):
    minutes: int
    used: int
    plain: bool  # nothing but a number, which could be anything


def clock_minutes(clock: str) -> int:
    """Minutes after midnight of "19:30". Raises `ValueError` for what is no time of day."""
    match = _CLOCK.fullmatch(clock)
    if match is None:
        raise ValueError(f"{clock!r} is no time of day like '19:30'")
    return int(match[1]) * 60 + int(match[2])


def speak_time(minutes: int) -> str:
    """A time as people write it for reading out: "7:30 pm"."""
    hour, minute = divmod(minutes, 60)
    half = "am" if hour < 12 else "pm"
    return f"{(hour + 11) % 12 + 1}:{minute:02} {half}" if minute else f"{(hour + 11) % 12 + 1} {half}"


def find_time(
    words: Sequence[str], *, asked: bool, earliest: int | None = None, latest: int | None = None
) -> Moment | None:
    """Find a time of day. Without `asked`, a bare number is none.

    `earliest`, `latest` in minutes after midnight decide what "seven" means when the caller does not.
    """
    low, high = _PLAIN_DAY
    for at in range(len(words)):
        read = _read_time(words, at)
        if read is None:
            continue
        end = at + read.used
        led = at > 0 and words[at - 1] in _BEFORE
        followed = words[end : end + 1] in (["in"], ["this"], ["tonight"])
        if read.plain and not (asked or led or followed):
            continue
        minutes = _in_its_half(
            read.minutes, words, low if earliest is None else earliest, high if latest is None else latest
        )
        return Moment(minutes, [*words[: at - led], *words[end:]])
    return None


def find_day(words: Sequence[str]) -> Day | None:
    """Find a day as the caller named it: today, tomorrow, "friday", "next friday", "may 3"."""
    for at, word in enumerate(words):
        if word in {"today", "tonight"}:
            return Day("today", [w for i, w in enumerate(words) if i != at or w == "tonight"])
        if word == "tomorrow":
            return Day("tomorrow", [*words[:at], *words[at + 1 :]])
        weekday = word if word in _WEEKDAYS else word.removesuffix("s")
        if weekday in _WEEKDAYS:
            following = at > 0 and words[at - 1] == "next"
            return Day(
                f"next {weekday}" if following else weekday, [*words[: at - following], *words[at + 1 :]]
            )
        if word in _MONTHS:
            return _find_date(words, at)
    return None


def _find_date(words: Sequence[str], at: int) -> Day | None:
    after = _read_day_of_month(words, at + 1)
    if after is not None:
        day, used = after
        return Day(f"{words[at]} {day}", [*words[:at], *words[at + 1 + used :]])
    for start in range(max(0, at - 4), at):  # "the twenty first of may"
        before = _read_day_of_month(words, start)
        if before is not None and [*words[start + before[1] : at]] in ([], ["of"]):
            return Day(f"{words[at]} {before[0]}", [*words[:start], *words[at + 1 :]])
    return None


def _read_day_of_month(words: Sequence[str], at: int) -> tuple[int, int] | None:
    skipped = 0
    while at + skipped < len(words) and words[at + skipped] == "the":
        skipped += 1
    at += skipped
    word = words[at] if at < len(words) else ""
    if word in _ORDINALS:
        return _ORDINALS[word], skipped + 1
    tens = {"twenty": 20, "thirty": 30}.get(word)
    if tens is not None and at + 1 < len(words) and _ORDINALS.get(words[at + 1], 99) < 10:
        return tens + _ORDINALS[words[at + 1]], skipped + 2
    read = number_at(words, at)
    if read is None or not 1 <= read[0] <= 31:
        return None
    suffix = at + read[1] < len(words) and words[at + read[1]] in {"st", "nd", "rd", "th"}
    return read[0], skipped + read[1] + suffix


def _read_time(words: Sequence[str], at: int) -> _Read | None:
    word = words[at]
    if word in {"noon", "midday"}:
        return _Read(_NOON, 1, plain=False)
    if word == "midnight":
        return _Read(0, 1, plain=False)
    if _CLOCK.fullmatch(word):
        return _Read(clock_minutes(word), 1 + _marks(words, at + 1), plain=False)
    return _read_past(words, at) or _read_hour(words, at)


def _read_past(words: Sequence[str], at: int) -> _Read | None:
    """Read "half past seven", "quarter to eight", "ten past nine"."""
    number = number_at(words, at)
    fraction, used = (_FRACTIONS[words[at]], 1) if words[at] in _FRACTIONS else number or (0, 0)
    if not 0 < fraction < 60 or at + used >= len(words) or words[at + used] not in {"past", "to", "after"}:
        return None
    hour = number_at(words, at + used + 1)
    if hour is None or not 1 <= hour[0] <= 24:
        return None
    minutes = hour[0] * 60 + (-fraction if words[at + used] == "to" else fraction)
    end = at + used + 1 + hour[1]
    return _Read(minutes % _DAY, end - at + _marks(words, end), plain=False)


def _read_hour(words: Sequence[str], at: int) -> _Read | None:
    """Read "seven", "seven thirty", "7 pm", "eight o'clock", "1930"."""
    hour = number_at(words, at)
    if hour is None:
        return None
    value, used = hour
    if 100 <= value <= 2359 and value % 100 < 60:
        return _Read(value // 100 * 60 + value % 100, used + _marks(words, at + used), plain=False)
    if not 1 <= value <= 24:
        return None
    minute = number_at(words, at + used)
    if minute is not None and minute[0] in {10, 15, 20, 30, 40, 45, 50}:
        end = at + used + minute[1]
        return _Read((value * 60 + minute[0]) % _DAY, end - at + _marks(words, end), plain=False)
    marks = _marks(words, at + used)
    return _Read(value * 60 % _DAY, used + marks, plain=marks == 0)


def _marks(words: Sequence[str], at: int) -> int:
    """Count the words from here that only say that it was a time."""
    marks = 0
    while at + marks < len(words) and words[at + marks] in {"oclock", "am", "pm", "sharp"}:
        marks += 1
    return marks


def _half_of_day(words: Sequence[str]) -> str:
    if not _PM.isdisjoint(words):
        return "pm"
    before_noon = any(word == "am" and last != "i" for last, word in itertools.pairwise(words))
    return "am" if before_noon or "morning" in words else ""


def _in_its_half(minutes: int, words: Sequence[str], earliest: int, latest: int) -> int:
    """Decide between seven in the morning and seven in the evening, first by what was said."""
    if minutes == 0 or minutes >= _NOON + 60:
        return minutes
    morning, evening = minutes % _NOON, minutes % _NOON + _NOON
    half = _half_of_day(words)
    if half:
        return evening if half == "pm" else morning
    fits = [m for m in (evening, morning) if earliest <= m <= latest]
    return fits[0] if fits else minutes
