"""One answer under way: spoken sentence by sentence as it becomes known, then the functions it calls."""

from collections import deque
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.voice.embedded.asked import Terms
from gateway.voice.embedded.brain import Act, Decided, Failure, Thought, Turn, Words
from gateway.voice.embedded.matching import nearest
from gateway.voice.embedded.response import Response
from gateway.voice.embedded.spoken import sentences

__all__ = ["Reply"]


class Reply:
    """Turns a `Turn`, or the thoughts of a model, into a response."""

    def __init__(self, response: Response, terms: Terms) -> None:
        self.response = response
        self.terms = terms
        self.thinking: int | None = None  # the job that makes the words
        self.speaking: int | None = None  # the job that makes the audio of the next sentence
        self._sentences: deque[str] = deque()
        self._ending: Decided | Failure | None = None

    @property
    def asked(self) -> bool:
        """What it says is decided, or is being decided."""
        return self.thinking is not None or self._ending is not None

    @property
    def sentence(self) -> str | None:
        """What is to be spoken next; None when there is nothing more as yet."""
        return self._sentences[0] if self._sentences else None

    def decide(self, turn: Turn) -> None:
        """Take what is to be said and done."""
        if turn.matched is not None:
            self.response.metadata["matched"] = turn.matched
        self._sentences.extend(sentences(turn.say))
        schemas = {tool.name: tool.parameters for tool in self.terms.tools}
        self._ending = Decided(
            tuple(Act(act.name, _fitted(act.arguments, schemas[act.name])) for act in turn.actions)
        )

    def think(self, thought: Thought) -> None:
        """Take the next thing that the model has decided."""
        if isinstance(thought, Words):
            self._sentences.append(thought.text)
        else:
            self.thinking = None
            self._ending = thought

    def write(self) -> None:
        """Write the sentence instead of speaking it."""
        self.response.write(self._sentences.popleft())

    def spoken(self, pcm: bytes) -> None:
        """Take the audio of the sentence."""
        self.speaking = None
        self.response.say(self._sentences.popleft(), pcm)

    def finish(self) -> None:
        """All is said: call the functions and end."""
        if isinstance(self._ending, Failure):
            self._fail(self._ending)
            return
        decided = self._ending or Decided()
        offered = {tool.name for tool in self.terms.tools}
        acts = [act for act in decided.actions if act.name in offered]
        if decided.actions and not acts and self.response.is_empty:
            names = ", ".join(act.name for act in decided.actions)
            self._fail(Failure("server_error", "unknown_function", f"There is no function {names}"))
            return
        for act in acts:
            self.response.call(act.name, act.arguments)
        if decided.cut is not None:
            self.response.end("incomplete", decided.cut)
        else:
            self.response.end("completed")

    def _fail(self, failure: Failure) -> None:
        self.response.end("failed", error=msgspec.to_builtins(failure))


def _fitted(arguments: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Put the nearest allowed value where the client lists what it allows: a script cannot know its names."""
    properties = parameters.get("properties", {})
    allowed = {name: properties.get(name, {}).get("enum", ()) for name in arguments}
    return {
        name: nearest(value, allowed[name]) if isinstance(value, str) and allowed[name] else value
        for name, value in arguments.items()
    }
