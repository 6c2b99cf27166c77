"""How a server core gets its answers: from a brain at once, or as a job for a model."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from gateway.voice.embedded.asked import Asked
from gateway.voice.embedded.brain import Brain, Turn
from gateway.voice.embedded.chat_request import ChatRequest, chat_request
from gateway.voice.embedded.conversation import Digit, Heard, Input
from gateway.voice.embedded.items import Tool

__all__ = ["BrainMind", "Mind", "ModelMind", "rest_of"]


class Mind(Protocol):
    """One session's."""

    def remember(self, inputs: Sequence[Input], said: str, *, begun: bool) -> None:
        """Learn that in an earlier session `said` was the answer, or a piece of it, to `inputs`."""

    def answer(self, asked: Asked) -> Turn | ChatRequest:
        """Decide what a response says, or what a model has to be asked for it."""


class ModelMind:
    """A model is told the whole conversation each time: there is nothing to remember."""

    def remember(self, inputs: Sequence[Input], said: str, *, begun: bool) -> None:
        pass

    def answer(self, asked: Asked) -> Turn | ChatRequest:
        """Ask the model, unless there is nothing to answer."""
        request = chat_request(asked)
        return request if request is not None else Turn("")


class BrainMind:
    """A brain that answers at once has its own memory, and lives through an earlier session once more."""

    def __init__(self, brain: Brain) -> None:
        self._brain = brain
        self._unsaid = Turn("")  # of an answer that broke off in an earlier session

    def remember(self, inputs: Sequence[Input], said: str, *, begun: bool) -> None:
        """Have the brain hear it again: what it would have answered has been said, or the beginning of it."""
        # An answer that broke off more than once comes in several pieces.
        going_on = not inputs and self._unsaid.say
        self._unsaid = rest_of(self._unsaid if going_on else self._think(inputs, begun=begun), said)

    def answer(self, asked: Asked) -> Turn:
        """Ask the brain. A function that the client does not offer counts as done."""
        match asked.terms.wish:
            case "carry_on":
                turn, self._unsaid = self._unsaid, Turn("")
            case "idle":
                turn = self._brain.silence()
            case "answer":
                turn = self._think(asked.inputs, begun=asked.begun)
        return self._with(asked.terms.tools, turn)

    def _think(self, inputs: Sequence[Input], *, begun: bool) -> Turn:
        if not inputs and not begun:
            return self._brain.begin()
        turns = [self._ask(given) for given in inputs]
        return Turn(
            " ".join(turn.say for turn in turns if turn.say),
            next((turn.matched for turn in reversed(turns) if turn.matched is not None), None),
            tuple(act for turn in turns for act in turn.actions),
        )

    def _ask(self, given: Input) -> Turn:
        if isinstance(given, Heard):
            return self._brain.heard(given.text)
        if isinstance(given, Digit):
            return self._brain.digit(given.digit)
        return self._brain.told(given.name, given.output)

    def _with(self, tools: Iterable[Tool], turn: Turn) -> Turn:
        offered = {tool.name for tool in tools}
        done = [self._brain.told(act.name, "").say for act in turn.actions if act.name not in offered]
        acts = tuple(act for act in turn.actions if act.name in offered)
        return turn._replace(say=" ".join([turn.say, *done]), actions=acts)


def rest_of(turn: Turn, said: str) -> Turn:
    """What is left of an answer of which `said` was said; nothing, if it was another one."""
    whole, said = " ".join(turn.say.split()), " ".join(said.split())
    if said and whole.startswith(said):
        return turn._replace(say=whole.removeprefix(said).strip())
    return Turn("")
