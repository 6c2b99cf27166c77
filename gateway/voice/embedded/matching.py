"""Which of some wishes did the caller mean? Phrases compared word by word, forgiving what a recognizer mishears."""

import difflib
import functools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from gateway.voice.embedded.words import number_at, words_of

__all__ = ["SURE", "Match", "Phrasebook", "nearest"]

_PLAUSIBLE = 0.6
SURE = 0.85
"""A score from which a phrase is meant even where another kind of answer was expected."""

_ALIKE = (
    0.81  # how much two words share that pass for each other: "close" and "clothes", not "table" and "cable"
)
_SHORTEST_ALIKE = 4  # shorter words differ too easily: "menu" and "men", "book" and "cook" stay apart

# Words that every wish may contain, as may numbers.
_COMMON_WORDS = (
    "a about all am an and any are as at be can could did do does er for from give got had has have hello "
    "hi i if in is it just like may me my need of oh ok okay on or our please shall so some than that the "
    "there this to uh um us want was we well what which will with would you your"
)
_COMMON = frozenset(_COMMON_WORDS.split())
_ENDINGS = ("ings", "ing", "ions", "ion", "ies", "ed", "es", "y", "s", "e")


class Match(NamedTuple):
    """An intent and how much of it was there, 0 to 1."""

    intent: str
    score: float


class _Word(NamedTuple):
    word: str
    stem: str


class Phrasebook:
    """The phrases of all intents. A rare word says more about a wish than one that many share."""

    def __init__(self, phrases: Mapping[str, Sequence[str]]) -> None:
        self._phrases = {intent: [_phrase(phrase) for phrase in said] for intent, said in phrases.items()}
        spread = Counter(
            stem for said in self._phrases.values() for stem in {w.stem for phrase in said for w in phrase}
        )
        self._weight = {stem: 1 / count for stem, count in spread.items()}

    def best(self, words: Sequence[str], among: Iterable[str]) -> Match | None:
        """Find the likeliest intent, or None when nothing said is like any of them."""
        said = _telling(words)
        phrases = {intent: self._phrases[intent] for intent in among}
        known = {word for of_intent in phrases.values() for phrase in of_intent for word in phrase}
        alike = {word: [_alike(word, other) for other in said] for word in known}
        best = max(
            (
                Match(intent, self._likeness(alike, p))
                for intent, of_intent in phrases.items()
                for p in of_intent
            ),
            key=lambda match: match.score,
            default=None,
        )
        return best if best is not None and best.score >= _PLAUSIBLE else None

    def _likeness(self, alike: Mapping[_Word, Sequence[float]], phrase: Sequence[_Word]) -> float:
        """How much of the phrase was said; that little else was said counts for a third of it."""
        weights = [self._weight[word.stem] for word in phrase]
        covered = sum(max(alike[word]) * w for word, w in zip(phrase, weights, strict=True)) / sum(weights)
        if covered < _PLAUSIBLE:
            return 0.0
        meant: list[float] = [max(column) for column in zip(*(alike[word] for word in phrase), strict=True)]
        return covered * (0.7 + 0.3 * sum(meant) / len(meant))


@functools.lru_cache(maxsize=4096)
def _phrase(phrase: str) -> tuple[_Word, ...]:
    """Every dialogue reads the phrases of its script; they need to be taken apart only once."""
    return tuple(_telling(words_of(phrase)))


def _telling(words: Sequence[str]) -> list[_Word]:
    telling = [w for w in words if w not in _COMMON and number_at([w], 0) is None] or words
    return [_Word(word, _stem(word)) for word in telling]


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word


def _alike(one: _Word, other: _Word) -> float:
    if one.stem == other.stem:
        return 1.0
    return max(_similarity(one.word, other.word), _similarity(one.stem, other.stem))


@functools.lru_cache(maxsize=4096)
def _similarity(one: str, other: str) -> float:
    shorter, longer = sorted((len(one), len(other)))
    if shorter < _SHORTEST_ALIKE or 2 * shorter < _ALIKE * (shorter + longer):
        return 0.0
    alike = _ratio()(one, other)
    return alike if alike >= _ALIKE else 0.0


@functools.cache
def _ratio() -> Callable[[str, str], float]:
    try:
        from rapidfuzz.distance import Indel
    except ImportError:  # the scripted voice talks on machines for which the models have no wheels
        return lambda one, other: difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()
    return Indel.normalized_similarity


def nearest(value: str, allowed: Sequence[str]) -> str:
    """Return the allowed value that is written most like this one; the first of equals."""
    return max(allowed, key=lambda other: _ratio()(value, other))
