"""The slots of one state, on their way to being filled and confirmed."""

from collections.abc import Sequence
from typing import NamedTuple

from gateway.voice.embedded.script import Slot, State
from gateway.voice.embedded.slots import KEYED, Filled, find, fits, keyed, yes_or_no

__all__ = ["Form", "Understood"]

# What leaves its words to the other slots goes first: "at seven" is no number of people.
_EVIDENT = {"time": 0, "day": 1, "number": 2}
_MOST_KEYS = 20


class Understood(NamedTuple):
    """What an answer meant: a slot, "yes" or "no".

    `remark`: what must be said about it before the next question. `more`: the caller is still keying it in.
    """

    matched: str
    remark: str = ""
    more: bool = False


class Form:
    """Asks for each slot of a state, takes several from one sentence, and has the whole confirmed.

    `change`: said when the caller does not confirm. `more_digits`: said when digits are missing.
    """

    def __init__(self, state: State, *, change: str, more_digits: str) -> None:
        self.complete = False
        self._slots = state.slots
        self._confirm = state.confirm
        self._change = change
        self._more_digits = more_digits
        self._filled: dict[str, Filled] = {}
        self._keys = ""  # keyed in, or said, but not enough yet

    @property
    def asked(self) -> Slot | None:
        """The slot to ask for; None when all are filled."""
        return next((slot for slot in self._slots if slot.name not in self._filled), None)

    @property
    def question(self) -> str:
        """What to ask next."""
        if self._keys:
            return self._more_digits
        return self.asked.prompt if self.asked is not None else self._confirm.format_map(self.spoken)

    @property
    def answered_by(self) -> str:
        """The type of the answer that `question` wants."""
        return self.asked.type if self.asked is not None else "yesno"

    @property
    def values(self) -> dict[str, str | int]:
        return {name: filled.value for name, filled in self._filled.items()}

    @property
    def spoken(self) -> dict[str, str]:
        return {name: filled.spoken for name, filled in self._filled.items()}

    def notice(self, text: str, words: Sequence[str]) -> Understood | None:
        """Take what a sentence says without having been asked: "a table for two tomorrow at eight"."""
        rest: Sequence[str] = words
        understood = None
        for slot in sorted(self._slots, key=lambda slot: _EVIDENT.get(slot.type, len(_EVIDENT))):
            found = find(slot, text, rest, asked=False)
            if found is not None:
                rest = found.rest
                understood = self._fill(slot, found) or understood
        return understood

    def hear(self, text: str, words: Sequence[str]) -> Understood | None:
        """Take the answer to `question`; None when it is none."""
        asked = self.asked
        before = self.values
        noticed = self.notice(text, words)
        if asked is None:
            return self._confirmed(yes_or_no(words), noticed, changed=self.values != before)
        if asked.name in self._filled or (noticed is not None and noticed.remark):
            return noticed
        found = find(asked, text, words, asked=True)
        return (self._fill(asked, found) if found is not None else None) or noticed

    def press(self, digit: str) -> Understood | None:
        """Take one key; None when no key answers the question."""
        asked = self.asked
        if asked is None:
            answer = {"1": "yes", "2": "no"}.get(digit)
            return self._confirmed(answer, None, changed=False)
        if asked.type not in KEYED or len(self._keys) >= _MOST_KEYS:
            return None
        if not digit.isdigit():
            return self.pause() if digit == "#" else None
        self._keys += digit
        full = asked.type == "digits" and len(self._keys) == asked.at_most
        whole = full or asked.type in {"yesno", "choice"}
        return self.pause() if whole else Understood(asked.name, more=True)

    @property
    def takes_zero(self) -> bool:
        """A 0 would be a digit of what the caller keys in."""
        return bool(self._keys) or self.answered_by == "digits"

    def pause(self) -> Understood | None:
        """Take what was keyed in so far; None when that is nothing of use."""
        asked, keys = self.asked, self._keys
        self._keys = ""
        found = keyed(asked, keys) if asked is not None and keys else None
        return self._fill(asked, found) if asked is not None and found is not None else None

    def _fill(self, slot: Slot, found: Filled) -> Understood | None:
        if slot.type == "digits" and self._keys:  # the rest of a number that was said in parts
            found = keyed(slot, self._keys + str(found.value)) or found
        if not fits(slot, found.value):
            least = slot.at_least if slot.type == "digits" and isinstance(slot.at_least, int) else 0
            if len(str(found.value)) < least:
                self._keys = str(found.value)
                return Understood(slot.name)
            self._keys = ""
            return Understood(slot.name, slot.outside) if slot.outside else None
        self._keys = ""
        self._filled[slot.name] = found
        self.complete = self.asked is None and not self._confirm
        return Understood(slot.name)

    def _confirmed(
        self, answer: str | None, noticed: Understood | None, *, changed: bool
    ) -> Understood | None:
        if changed or answer is None:
            return noticed
        if answer == "yes":
            self.complete = True
            return Understood("yes")
        self._filled.clear()
        return Understood("no", self._change)
