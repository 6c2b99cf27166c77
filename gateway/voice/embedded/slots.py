"""What a caller fills in: a number, a time, a day, found in his words or keyed in."""

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from gateway.voice.embedded import times
from gateway.voice.embedded.script import Slot, SlotType
from gateway.voice.embedded.words import number_at, words_of

__all__ = ["KEYED", "Filled", "find", "fits", "keyed", "yes_or_no"]


class Filled(NamedTuple):
    """A value, how it is said, and the words that remain without it, for the other slots."""

    value: str | int
    spoken: str
    rest: Sequence[str] = ()


KEYED: frozenset[SlotType] = frozenset(("digits", "number", "time", "yesno", "choice"))
"""What a keypad can answer."""

# What a recognizer writes for a number that is said alone.
_HOMOPHONES = {"for": 4, "fore": 4, "to": 2, "too": 2, "till": 2, "won": 1, "ate": 8, "tree": 3, "tan": 10}
_DIGIT_SOUNDS = {"oh": 0, "o": 0, "for": 4, "to": 2, "too": 2, "won": 1, "ate": 8}
_REPEATED = {"double": 2, "triple": 3}
_COUNTED = frozenset(("people", "persons", "person", "guests", "adults", "seats", "friends"))
_COUNTED_BY = frozenset(("for", "of", "party", "be", "are"))

_YES_WORDS = "yes yeah yep yup sure correct right exactly absolutely fine perfect great good ok okay"
_YES = frozenset(_YES_WORDS.split())
_NO = frozenset(("no", "nope", "nah", "wrong", "not", "incorrect", "never"))

_NAME_LEAD = re.compile(
    r"(?:(?:um+|uh+|hi|hello|yes|yeah|sure|okay|ok|well|it is|it's|this is|my name is|my name's|the name is|"
    r"name is|call me|that is|that's|i am|i'm)\b[\s,.]*)+",
    re.IGNORECASE,
)
_LONGEST_NAME = 4  # words; more is a sentence


def find(slot: Slot, text: str, words: Sequence[str], *, asked: bool) -> Filled | None:
    """Look for a slot's value in what was said; None when there is none.

    `words`: those of `text` that no other slot has taken. `asked`: this was the question, so a bare "seven"
    will do; otherwise only words that leave no doubt.
    """
    if slot.type == "time":
        return _time(slot, words, asked=asked)
    if slot.type == "day":
        return _day(words)
    if slot.type == "number":
        return _number(words, asked=asked)
    return _ANSWERS[slot.type](slot, text) if asked else None


def keyed(slot: Slot, keys: str) -> Filled | None:
    """Read what was keyed in for a slot; None when it is no value of it."""
    if slot.type == "digits":
        return Filled(keys, _speak_digits(keys))
    if slot.type == "yesno":
        return {"1": Filled("yes", "yes"), "2": Filled("no", "no")}.get(keys)
    if slot.type == "choice":
        chosen = slot.choices[int(keys) - 1 : int(keys)] if int(keys) else ()
        return Filled(chosen[0], chosen[0]) if chosen else None
    return find(slot, keys, [keys], asked=True) if slot.type in KEYED else None


def fits(slot: Slot, value: str | int) -> bool:
    """Tell whether a value is within the slot's bounds."""
    size = _size(slot, value)
    low = size if slot.at_least is None else _bound(slot, slot.at_least)
    high = size if slot.at_most is None else _bound(slot, slot.at_most)
    return low <= size <= high


def _size(slot: Slot, value: str | int) -> int:
    if slot.type == "time":
        return times.clock_minutes(str(value))
    return value if isinstance(value, int) else len(value)


def _bound(slot: Slot, bound: str | int) -> int:
    return times.clock_minutes(str(bound)) if slot.type == "time" else int(bound)


def yes_or_no(words: Sequence[str]) -> str | None:
    """Read "yes" or "no", whichever comes first: "not right" is no."""
    for word in words:
        if word in _YES or word in _NO:
            return "yes" if word in _YES else "no"
    return None


def _time(slot: Slot, words: Sequence[str], *, asked: bool) -> Filled | None:
    earliest, latest = (
        None if bound is None else times.clock_minutes(str(bound)) for bound in (slot.at_least, slot.at_most)
    )
    found = times.find_time(words, asked=asked, earliest=earliest, latest=latest)
    if found is None:
        return None
    minutes, rest = found
    return Filled(f"{minutes // 60:02}:{minutes % 60:02}", times.speak_time(minutes), rest)


def _day(words: Sequence[str]) -> Filled | None:
    found = times.find_day(words)
    if found is None:
        return None
    day, rest = found
    spoken = {"today": "today", "tomorrow": "tomorrow"}.get(day) or f"on {day.title()}"
    spoken = spoken.replace("on Next ", "next ")
    return Filled(day, spoken, rest)


def _number(words: Sequence[str], *, asked: bool) -> Filled | None:
    for at, word in enumerate(words):
        if word == "couple":
            return Filled(2, "2", [*words[:at], *words[at + 1 :]])
        value, used = number_at(words, at) or (0, 0)
        after = words[at + used : at + used + 2]
        counted = _COUNTED.intersection(after[:1]) or [*after] == ["of", "us"]
        if used and (asked or counted or _COUNTED_BY.intersection(words[at - 1 : at])):
            return Filled(value, str(value), [*words[:at], *words[at + used :]])
    if not asked or not words:
        return None
    if not {"alone", "myself"}.isdisjoint(words) or [*words[-2:]] in (["me"], ["just", "me"], ["only", "me"]):
        return Filled(1, "1")
    value = _HOMOPHONES.get(words[-1], 0) if len(words) <= 2 else 0
    return Filled(value, str(value)) if value else None


def _digits(_slot: Slot, text: str) -> Filled | None:
    digits = ""
    times_said = 1
    for word in words_of(text):
        read = number_at([word], 0)
        if word.isdigit():
            digits += word
        elif word in _REPEATED:
            times_said = _REPEATED[word]
            continue
        elif word in _DIGIT_SOUNDS:
            digits += str(_DIGIT_SOUNDS[word]) * times_said
        elif read is not None:
            digits += str(read[0]) * times_said
        times_said = 1
    return Filled(digits, _speak_digits(digits)) if digits else None


def _speak_digits(digits: str) -> str:
    """Group as people do, so that a caller can compare: "415 555 2671"."""
    size = len(digits)
    cuts = [0, *([3, 6] if size == 10 else [3] if size == 7 else range(3, size - 1, 3)), size]
    groups = [digits[start:end] for start, end in itertools.pairwise(cuts)]
    return ", ".join(" ".join(group) for group in groups if group)


def _yesno(_slot: Slot, text: str) -> Filled | None:
    answer = yes_or_no(words_of(text))
    return Filled(answer, answer) if answer is not None else None


def _choice(slot: Slot, text: str) -> Filled | None:
    from gateway.voice.embedded.matching import Phrasebook

    match = Phrasebook({choice: (choice,) for choice in slot.choices}).best(words_of(text), slot.choices)
    return Filled(match.intent, match.intent) if match else None


def _name(_slot: Slot, text: str) -> Filled | None:
    lead = _NAME_LEAD.match(text)
    name = text[lead.end() if lead else 0 :].strip(" .,!?")
    if not name or len(name.split()) > _LONGEST_NAME:
        return None
    return Filled(name, name)


def _text(_slot: Slot, text: str) -> Filled | None:
    return Filled(text, text) if text.strip() else None


_ANSWERS: Mapping[SlotType, Callable[[Slot, str], Filled | None]] = {
    "digits": _digits,
    "yesno": _yesno,
    "choice": _choice,
    "name": _name,
    "text": _text,
}
