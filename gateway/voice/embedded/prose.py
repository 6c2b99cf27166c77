"""What a model writes, as sentences that can be spoken, while it is still writing."""

import re

from gateway.voice.embedded.spoken import sentences

__all__ = ["Prose"]

# What is not meant for the ear: its opening, and what ends it.
_BLOCKS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<tool_call>": "</tool_call>",
    "```": "```",
}
_OPENING = re.compile("|".join(map(re.escape, _BLOCKS)))
_LONGEST_OPENING = max(map(len, _BLOCKS))

_MARKER = re.compile(r"\A\s*(?:#{1,6}\s+|>\s*|[-+\u2022\u2013]\s+|(?P<number>\d{1,2})[.)]\s+)")
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")
_UNDERLINE = re.compile(r"(?<!\w)_+|_+(?!\w)")
_PICTURES = re.compile("[\u2190-\u21ff\u2500-\u27bf\ufe0e\ufe0f\u200d\U0001f000-\U0001faff]")


class Prose:
    """Takes text as it comes and gives whole sentences: without markup, code, pictures and thoughts.

    Whatever the pieces are in which the text comes, the sentences are the same.
    """

    def __init__(self) -> None:
        self._raw = ""  # may be the beginning of a block
        self._until: str | None = None  # what ends the block that we are in
        self._line = ""  # no whole sentence yet
        self._at_start = True  # of a line

    def write(self, text: str) -> list[str]:
        """Take more text; return the sentences that are whole now."""
        self._raw += text
        plain = []
        while (found := self._next_edge()) is not None:
            if self._until is None:
                plain.append(self._raw[: found.start()])
                self._until = _BLOCKS[found[0]]
            else:
                self._until = None
            self._raw = self._raw[found.end() :]
        kept = self._kept()
        if self._until is None:
            plain.append(self._raw[: len(self._raw) - kept])
        self._raw = self._raw[len(self._raw) - kept :]
        return self._read("".join(plain))

    def end(self) -> list[str]:
        """There is no more text; return what is left of it."""
        rest = self._read(self._raw) if self._until is None else []
        parts = self._sentences()
        self._raw = self._line = ""
        return [*rest, *_sayable(parts)]

    def _next_edge(self) -> re.Match[str] | None:
        if self._until is None:
            return _OPENING.search(self._raw)
        return re.search(re.escape(self._until), self._raw)

    def _kept(self) -> int:
        """How many of the last characters may belong to an edge."""
        edges = _BLOCKS if self._until is None else [self._until]
        longest = min(_LONGEST_OPENING + 1, len(self._raw))
        tails = (self._raw[len(self._raw) - length :] for length in range(longest, 0, -1))
        return next((len(tail) for tail in tails if any(edge.startswith(tail) for edge in edges)), 0)

    def _read(self, plain: str) -> list[str]:
        found: list[str] = []
        # Marks of emphasis stand between a full stop and the space after it, where nobody looks for them.
        *whole, rest = re.sub("[*`]", "", plain).split("\n")
        for line in whole:
            self._line += line
            found += _sayable(_ended(self._sentences()))
            self._line, self._at_start = "", True
        self._line += rest
        parts = self._sentences()
        if len(parts) > 1:
            space = " " if self._line[-1:].isspace() else ""
            self._line, self._at_start = parts.pop() + space, False
            found += _sayable(parts)
        return found

    def _sentences(self) -> list[str]:
        line = self._line
        if self._at_start:
            line = _MARKER.sub(
                lambda marker: f"{marker['number']}: " if marker["number"] else "", line, count=1
            )
        return sentences(_LINK.sub(r"\1", line))


def _ended(parts: list[str]) -> list[str]:
    """A line that ends is the end of a sentence, whether it has a full stop or not."""
    if parts and parts[-1][-1].isalnum():
        parts[-1] += "."
    return parts


def _sayable(parts: list[str]) -> list[str]:
    cleaned = [_clean(part) for part in parts]
    return [part for part in cleaned if any(letter.isalnum() for letter in part)]


def _clean(sentence: str) -> str:
    for marks in (_TAG, _UNDERLINE, _PICTURES):
        sentence = marks.sub("", sentence)
    return " ".join(sentence.replace("|", " ").split())
