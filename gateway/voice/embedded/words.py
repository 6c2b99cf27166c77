"""A transcript as plain words, the same however a recognizer happens to write them."""

import re
from collections.abc import Sequence

__all__ = ["number_at", "words_of"]

_CONTRACTIONS = {
    "'m": " am", "'re": " are", "'ve": " have", "'ll": " will", "'d": " would", "n't": " not", "'s": " is",
}  # fmt: skip
_SPELLINGS = (
    (r"[\u2018\u2019]", "'"),
    (r"\bo'? ?clock\b", "oclock"),
    (r"\bcan't\b", "can not"),
    (r"\bwon't\b", "will not"),
    (r"\blet's\b", "let us"),
    (r"\bgood[- ]bye?\b|\bbye[- ]bye\b|\bgood ?buy\b", "goodbye"),
    (r"\bto[- ]morrow\b", "tomorrow"),
    (r"\bto[- ](night|day)\b", r"to\1"),
    (r"(?<=\d)\s?([ap])\.?\s?m\b\.*", r" \1m"),
    (r"\b([ap])\. ?m\b\.*|\b(p) m\b\.*", r"\1\2m"),
    (r"\b(\d{1,2})\.(\d\d)\b", r"\1:\2"),
    (r"(?<=\d),(?=\d{3}\b)", ""),
)

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_NUMBERS = {word: value for value, word in enumerate(_ONES.split())} | {
    word: 10 * value for value, word in enumerate(_TENS.split(), 2)
}


def words_of(text: str) -> list[str]:
    """Lower-case words without punctuation: "I'd like 7.30 p.m., to-morrow" is i would like 7:30 pm tomorrow."""
    text = text.lower()
    for pattern, spelling in _SPELLINGS:
        text = re.sub(pattern, spelling, text)
    for short, long in _CONTRACTIONS.items():
        text = re.sub(rf"{short}\b", long, text)
    return re.findall(r"\d{1,2}:\d\d|\d+(?=[ap]m\b)|\d+|[^\W\d_]+", text)


def number_at(words: Sequence[str], at: int) -> tuple[int, int] | None:
    """Read the number that begins at a word, as (value, words used): digits, or words below one hundred."""
    if at >= len(words):
        return None
    word = words[at]
    if word.isascii() and word.isdigit() and len(word) <= 4:
        return int(word), 1
    value = _NUMBERS.get(word)
    if value is None:
        return None
    if value >= 20 and at + 1 < len(words) and 1 <= _NUMBERS.get(words[at + 1], 0) <= 9:
        return value + _NUMBERS[words[at + 1]], 2
    return value, 1
