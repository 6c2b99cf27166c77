"""A caller's way through a script: plain rules, no model, the same answer to the same words."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from gateway.voice.embedded.brain import Act, Turn
from gateway.voice.embedded.form import Form, Understood
from gateway.voice.embedded.matching import SURE, Phrasebook
from gateway.voice.embedded.script import GLOBALS, Action, Script, State
from gateway.voice.embedded.words import words_of

__all__ = ["Dialogue"]

_OFFER_KEYS_AT, _TRANSFER_AT = 2, 3  # answers in a row that were not understood
_HANG_UP_AT = 3  # silences in a row: nobody is there

_KEYPAD = {
    "digits": "You can also type it on your keypad, and press the pound key at the end.",
    "number": "You can also type it on your keypad, and press the pound key.",
    "time": "You can also type the hour and two digits for the minutes, and press the pound key.",
    "yesno": "Press 1 for yes, or 2 for no.",
}
_GLOBAL_KEYS = {"0": "operator", "*": "repeat"}


class _Result(NamedTuple):
    """What to say when the result of a function is known."""

    done: str
    failed: str


class Dialogue:
    """A `Brain` that follows a script. Beyond it: 0 and "operator" transfer, * repeats, "goodbye" hangs up.

    Silence asks again and at last hangs up. Words that are not understood ask again, then offer keys, then
    transfer. Words at any time that belong to a wish of the state come before the answer to its question.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        own = {name: intent.phrases for name, intent in script.intents.items()}
        everywhere = {name: (*phrases, *own.get(name, ())) for name, phrases in GLOBALS.items()}
        self._phrasebook = Phrasebook(own | everywhere)
        self._visited: set[str] = set()
        self._misses = 0
        self._silences = 0
        self._results: dict[str, _Result] = {}
        self._move(script.start)
        self._said = self._here.prompt  # for a repetition

    def begin(self) -> Turn:
        """Say the prompt of the start."""
        return self._say(None, self._here.prompt, self._form.question if self._form else "")

    def heard(self, text: str) -> Turn:
        """Answer a transcript. One without words is no turn: nothing is said and nothing counted."""
        words = words_of(text)
        if not words:
            return Turn("")
        self._silences = 0
        wish = self._phrasebook.best(words, (*self._here.expect, *GLOBALS))
        if wish is not None and (self._form is None or wish.score >= SURE):
            return self._grant(wish.intent, text, words)
        understood = self._form.hear(text, words) if self._form is not None else None
        if understood is not None:
            return self._go_on(understood)
        return self._grant(wish.intent, text, words) if wish is not None else self._miss()

    def digit(self, digit: str) -> Turn:
        """Answer one key. While a number is being keyed in, nothing is said."""
        self._silences = 0
        if digit == "*" or (digit == "0" and not (self._form is not None and self._form.takes_zero)):
            return self._grant(_GLOBAL_KEYS[digit])
        if self._form is not None:
            understood = self._form.press(digit)
            if understood is None:
                return self._miss()
            return Turn("", understood.matched) if understood.more else self._go_on(understood)
        wish = self._here.dtmf.get(digit)
        return self._grant(wish) if wish is not None else self._miss()

    def silence(self) -> Turn:
        """Take what was keyed in so far; without that, ask whether somebody is there."""
        understood = self._form.pause() if self._form is not None else None
        if understood is not None:
            return self._go_on(understood)
        self._silences += 1
        if self._silences >= _HANG_UP_AT:
            return self._act(None, self._script.goodbye)
        return Turn(_join(self._script.still_there, self._question))

    def told(self, name: str, output: str) -> Turn:
        """Say what the script has for the result of a function.

        It has failed if the result is a JSON object with an `error`, or another text that speaks of one.
        """
        result = self._results.pop(name, None)
        if result is None:
            return Turn("")
        text = result.failed if _failed(output) else result.done
        return self._say(None, text, self._question) if text else Turn("")

    @property
    def _here(self) -> State:
        return self._script.states[self._state]

    @property
    def _question(self) -> str:
        return self._form.question if self._form is not None else self._here.again or self._here.prompt

    def _grant(self, wish: str, text: str = "", words: Sequence[str] = ()) -> Turn:
        self._misses = 0
        if wish == "repeat":
            return Turn(self._said, wish)
        if wish == "operator":
            return self._act(wish, self._script.operator)
        if wish == "goodbye":
            return self._act(wish, self._script.goodbye)
        intent = self._script.intents[wish]
        if intent.goto is None:
            return self._say(wish, intent.answer, self._question)
        return self._enter(intent.goto, wish, intent.answer, text=text, words=words)

    def _move(self, state: str) -> None:
        self._state = state
        self._visited.add(state)
        here, script = self._here, self._script
        form = Form(here, change=script.change, more_digits=script.more_digits)
        self._form = form if here.slots else None

    def _enter(
        self, state: str, matched: str | None, *first: str, text: str = "", words: Sequence[str] = ()
    ) -> Turn:
        again = state in self._visited
        self._move(state)
        here = self._here
        prompt = here.again if again and here.again else here.prompt
        if self._form is not None:
            noticed = self._form.notice(text, words)
            remark = noticed.remark if noticed is not None else ""
            if not self._form.complete:
                return self._say(matched, *first, prompt, remark, self._form.question)
        elif here.action is None:
            if here.goto is not None and not here.expect:
                return self._enter(here.goto, matched, *first, prompt)
            return self._say(matched, *first, prompt)
        return self._finish(matched, *first, prompt)

    def _go_on(self, understood: Understood) -> Turn:
        self._misses = 0
        if self._form is not None and self._form.complete:
            return self._finish(understood.matched, understood.remark)
        return self._say(understood.matched, understood.remark, self._question)

    def _finish(self, matched: str | None, *first: str) -> Turn:
        """The state has what it wanted: act, and go on."""
        action, goto, form = self._here.action, self._here.goto, self._form
        values, spoken = (form.values, form.spoken) if form is not None else ({}, {})
        if action is not None:
            act = self._call(action, values, spoken)
            first = (*first, action.say.format_map(spoken))
            if goto is None or action.call in self._results:  # what comes next waits for the result
                self._move(goto or self._state)
                return self._say(matched, *first)._replace(actions=(act,))
            turn = self._enter(goto, matched, *first)
            return turn._replace(actions=(act, *turn.actions))
        return self._enter(goto or self._state, matched, *first)

    def _act(self, matched: str | None, action: Action) -> Turn:
        act = self._call(action, {}, {})
        return self._say(matched, action.say)._replace(actions=(act,))

    def _call(self, action: Action, values: Mapping[str, str | int], spoken: Mapping[str, str]) -> Act:
        if action.done or action.failed:
            result = _Result(action.done.format_map(spoken), action.failed.format_map(spoken))
            self._results[action.call] = result
        whole = {f"{{{name}}}": value for name, value in values.items()}
        arguments = {
            key: whole[text] if text in whole else text.format_map(values)
            for key, text in action.arguments.items()
        }
        return Act(action.call, arguments)

    def _miss(self) -> Turn:
        self._misses += 1
        if self._misses >= _TRANSFER_AT:
            self._misses = 0
            return self._act(None, self._script.operator)
        question, keys = "", self._here.keys
        if self._form is not None:
            question, keys = self._form.question, _KEYPAD.get(self._form.answered_by, "")
        return Turn(_join(self._script.sorry, question, keys if self._misses >= _OFFER_KEYS_AT else ""))

    def _say(self, matched: str | None, *parts: str) -> Turn:
        self._said = _join(*parts)
        return Turn(self._said, matched)


def _failed(output: str) -> bool:
    try:
        result = msgspec.json.decode(output)
    except msgspec.DecodeError:
        return "error" in output.lower() or "failed" in output.lower()
    return isinstance(result, dict) and bool(result.get("error"))


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)
