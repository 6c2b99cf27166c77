"""Telephone numbers as they are dialled, and patterns over them.

Numbers are E.164: `+`, then 2 to 15 digits, the first not 0 (ITU-T E.164 §6; Twilio writes all numbers so).
In a pattern `?` stands for one digit and `*` for any number of digits.
"""

import re
from fnmatch import fnmatchcase

_NUMBER = re.compile(r"\+[1-9][0-9]{1,14}")
_PATTERN = re.compile(r"\+[1-9*?][0-9*?]*")
_SIP_URI = re.compile(r"sips?:([^\s@<>\"]+@)?[^\s@<>\"]+")
_MOST_DIGITS = 15


def matches(pattern: str, number: str) -> bool:
    """Whether a number is the pattern's. What is no E.164 number (`anonymous`, a SIP user) matches nothing."""
    return _NUMBER.fullmatch(number) is not None and fnmatchcase(number, pattern)


def specificity(pattern: str) -> tuple[int, int, int, str]:
    """A key that sorts patterns from loose to specific: more digits, then more `?`, then fewer `*`.

    What is left are patterns as `+1555*` and `+1*555`: the one whose digits come first counts as more specific. A
    pattern whose numbers are all another's too is the more specific of the two, so no order hides it; a number
    is a pattern without `?` and `*`, and beats all others that match.
    """
    from_the_left = pattern.replace("?", ".")  # so that `*`, `?` and digits sort in this order
    return sum(map(str.isdigit, pattern)), pattern.count("?"), -pattern.count("*"), from_the_left


def normal(pattern: str) -> str:
    """The same pattern in one spelling: `*?*` and `?**` are both `?*`."""
    return re.sub(r"[?*]{2,}", lambda run: "?" * run[0].count("?") + ("*" if "*" in run[0] else ""), pattern)


def why_no_number(text: str) -> str | None:
    """What is wrong with a text that should be an E.164 number, and what it should be; None if it is one."""
    if _NUMBER.fullmatch(text):
        return None
    if set(text) & set("*?"):
        return 'a number has no * or ?; write it as pattern = "…"'
    digits = re.sub(r"[\s()./-]", "", text)
    guess = re.sub(r"^(\+|00)?", "+", digits)
    hint = f'; did you mean "{guess}"?' if _NUMBER.fullmatch(guess) else ""
    return f"expected an E.164 number, + and 2 to {_MOST_DIGITS} digits, as +15550001001{hint}"


def why_no_destination(text: str) -> str | None:
    """What is wrong with a text that should be an E.164 number or a SIP URI; None if it is one."""
    if _SIP_URI.fullmatch(text) or not (right := why_no_number(text)):
        return None
    return f"{right}; or a SIP URI, as sip:desk@example.com"


def why_no_pattern(text: str) -> str | None:
    """Why a pattern can never match an E.164 number, and what would; None if it can."""
    if not text.startswith("+"):
        guess = f"+{text}"
        hint = f'; did you mean "{guess}"?' if _PATTERN.fullmatch(guess) else ""
        return f"can never match: numbers begin with +{hint}"
    if not _PATTERN.fullmatch(text):
        return "can never match: after the + stand digits (the first not 0), ? for one digit, * for any number of them"
    if sum(character != "*" for character in text[1:]) > _MOST_DIGITS:
        return f"can never match: numbers have at most {_MOST_DIGITS} digits"
    if len(text) == 2 and text != "+*":
        return "can never match: numbers have at least 2 digits"
    if not set(text) & set("*?"):
        return f'has no * or ?; write it as number = "{text}"'
    return None
