"""Was it said? A phrase is looked for among words that a recognizer wrote down, and that it may have misheard."""

import difflib
import functools
import itertools
import math
import re
from collections.abc import Sequence

from gateway.voice.embedded.words import number_at, words_of

__all__ = ["find_phrase", "spoken_words"]

# How much of a phrase may be misheard or missing, short words counting half: one in seven. The recognizer of the
# embedded voice gets about one word in sixty wrong over a telephone, and with more leniency the prompts of one
# dialogue are taken for each other.
_LENIENCE = 0.15
_SHORT = 3  # letters: "is" becomes "did", "a" is lost
_ALIKE = 0.6  # below it a word is not misheard but another one
_SAME = 0.85

_NEGATIONS = frozenset(("never", "no", "none", "not"))
_SOUND_LIKE = {"1": "won", "2": "to too", "4": "for", "8": "ate"}
_HOMOPHONE_COST = 0.1


def spoken_words(text: str) -> list[str]:
    """The words of a text as one hears them: without punctuation, a run of numbers as its digits.

    "seven thirty", "7:30" and "7 30" are all 730, "five five five" is 555.
    """
    words = words_of(re.sub(r"\bcannot\b", "can not", text, flags=re.IGNORECASE))
    numbered: list[str] = []
    at = 0
    while at < len(words):
        number = number_at(words, at)
        numbered.append(re.sub(r"\D", "", words[at]) or words[at] if number is None else str(number[0]))
        at += 1 if number is None else number[1]
    runs = itertools.groupby(numbered, str.isdigit)
    return [word for digits, run in runs for word in (("".join(run),) if digits else run)]


def find_phrase(phrase: str, heard: Sequence[str]) -> int | None:
    """Find a phrase among `spoken_words`: the index behind its last word, or None when it is not there.

    A word may be spelled otherwise, split, joined or misheard, and in a longer phrase one may be another or
    missing. Numbers and negations must be right. Raises `ValueError` for a phrase without words.
    """
    wanted = spoken_words(phrase)
    if not wanted:
        raise ValueError(f"there is no word in {phrase!r}")
    allowed = _LENIENCE * sum(_weight(word) for word in wanted if not word.isdigit())
    costs = _alignment(wanted, heard)
    cost = min(costs)
    return costs.index(cost) if cost <= allowed + 1e-9 else None


def _alignment(wanted: Sequence[str], heard: Sequence[str]) -> list[float]:
    """What it costs to take the words before each index for the wanted ones, wherever these begin (Sellers, 1980)."""
    above = [0.0] * (len(heard) + 1)
    above_that = [math.inf] * (len(heard) + 1)
    for i, word in enumerate(wanted):
        row = [above[0] + _alone(word)]
        for j, other in enumerate(heard):
            costs = [above[j] + _swapped(word, other), above[j + 1] + _alone(word), row[j] + _alone(other)]
            if j:
                costs.append(above[j - 1] + _split(word, heard[j - 1], other))
            if i:
                costs.append(above_that[j] + _split(other, wanted[i - 1], word))
            row.append(min(costs))
        above_that, above = above, row
    return above


def _alone(word: str) -> float:
    """A word that only one side has."""
    return math.inf if word.isdigit() or word in _NEGATIONS else _weight(word)


def _weight(word: str) -> float:
    return 1.0 if len(word) > _SHORT else 0.5


def _split(word: str, first: str, second: str) -> float:
    """One word that became two, or two that became one: "fish market". They are written the same but for that."""
    if math.inf in (_alone(word), _alone(first), _alone(second)):
        return math.inf
    unlike = _unlikeness(word, first + second)
    return unlike if unlike <= 1 - _SAME else math.inf


def _swapped(wanted: str, heard: str) -> float:
    """One word that was taken for another."""
    if wanted == heard:
        return 0.0
    if heard in _SOUND_LIKE.get(wanted, "").split() or wanted in _SOUND_LIKE.get(heard, "").split():
        return _HOMOPHONE_COST
    if _alone(wanted) + _alone(heard) == math.inf:
        return math.inf
    unlike = _unlikeness(wanted, heard)
    return max(_weight(wanted), _weight(heard)) * (unlike if unlike <= 1 - _ALIKE else 1.0)


@functools.lru_cache(maxsize=4096)
def _unlikeness(one: str, other: str) -> float:
    return 1 - difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()
