"""Written text as it is said: sentences, and codes read digit by digit."""

import re
import unicodedata

__all__ = ["sayable", "sentences", "spell_out"]

LONGEST_SENTENCE = 240  # characters; the synthesizer's time grows with the square of what it reads at once

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

# A full stop after a single letter ("p.m.", "J. Smith") or a title does not end a sentence.
_SENTENCE_END = re.compile(
    r"(?<=[.!?])(?<!\b[A-Za-z]\.)(?<!\b(?:Mr|Ms|Dr|St|No)\.)(?<!\bMrs\.)[\"')\]]*\s+(?=\S)"
)
_MONTH = r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
_PHONE = re.compile(
    r"(?<![\w$€£.,:])(?:\+?\(?\d[\d\s()-]{5,}\d|\d{3}\.\d{3}\.\d{4})(?![\w:%]|[.,]\d)",
)
_YEAR = re.compile(rf"(?:\b(?:in|since|of|until|year)|{_MONTH}(?:\s\d{{1,2}},?)?)\s(?:19|20)\d\d\b")
_CODE = re.compile(
    r"(?<![\w$€£.,:])(?:\d{4,}|(?=[A-Z0-9]*\d)(?=[A-Z0-9]*[A-Z])[A-Z0-9]{3,})(?![\w:%]|[.,]\d)"
)


def sentences(text: str) -> list[str]:
    """Split a text where a speaker would stop, so that the first part can be heard while the next is made.

    No part is longer than `LONGEST_SENTENCE` characters; blank text has no part.
    """
    parts: list[str] = []
    for sentence in _SENTENCE_END.split(" ".join(text.split())):
        rest = sentence
        while len(rest) > LONGEST_SENTENCE:
            cut = max(rest.rfind(", ", 0, LONGEST_SENTENCE), 0) or rest.rfind(" ", 0, LONGEST_SENTENCE)
            cut = cut if cut > 0 else LONGEST_SENTENCE - 1
            parts.append(rest[: cut + 1].strip())
            rest = rest[cut + 1 :]
        parts.append(rest.strip())
    return [part for part in parts if part]


def sayable(text: str) -> str:
    """Leave out what no synthesizer can read: unassigned and control characters, digits that count no tens.

    "\u00b9", "\uff11" and "\u2460" become 1; a digit like the Ethiopic one has no such form.
    """
    plain = unicodedata.normalize("NFKC", text)
    return "".join(
        c for c in plain if (c.isspace() or c.isprintable()) and (c.isdecimal() or not c.isdigit())
    )


def spell_out(text: str) -> str:
    """Write codes and telephone numbers as words: "4719" is a code and not forty-seven nineteen.

    Times, prices, quantities up to three digits and years next to a month or "in" stay as they are.
    """
    years = [match.span() for match in _YEAR.finditer(text)]

    def words(match: re.Match[str]) -> str:
        if any(start <= match.start() and match.end() <= end for start, end in years):
            return match[0]
        groups = re.findall(r"[A-Z0-9]+", match[0])
        plus = "plus " if match[0].startswith("+") else ""
        return plus + ", ".join(" ".join(_DIGITS[int(c)] if c.isdigit() else c for c in g) for g in groups)

    return _CODE.sub(words, _PHONE.sub(words, text))
