"""One answer under way: what the brain decided, spoken sentence by sentence, then the functions it calls."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.voice.embedded.brain import Act, Brain, Turn
from gateway.voice.embedded.conversation import Digit, Heard, Input
from gateway.voice.embedded.items import Tool
from gateway.voice.embedded.matching import nearest
from gateway.voice.embedded.response import Response
from gateway.voice.embedded.spoken import sentences

__all__ = ["Reply", "ask", "rest_of"]


class Reply:
    """Turns a `Turn` into a response. `say`: exactly this, without asking a brain. `idle`: the caller is silent."""

    def __init__(self, response: Response, tools: Iterable[Tool], *, say: str | None, idle: bool) -> None:
        self.response = response
        self.say = say
        self.idle = idle
        self.decided = False
        self.speaking: int | None = None  # the job that makes the audio of the next sentence
        self._tools = {tool.name: tool for tool in tools}
        self._sentences: deque[str] = deque()
        self._actions: tuple[Act, ...] = ()

    @property
    def sentence(self) -> str | None:
        """What is to be spoken next; None when all is said."""
        return self._sentences[0] if self._sentences else None

    def decide(self, brain: Brain, turn: Turn) -> None:
        """Take what is to be said and done. A function that the client does not offer counts as done."""
        offered = tuple(act for act in turn.actions if act.name in self._tools)
        said = [turn.say, *(brain.told(act.name, "").say for act in turn.actions if act not in offered)]
        if turn.matched is not None:
            self.response.metadata["matched"] = turn.matched
        self.decided = True
        self._sentences.extend(sentences(" ".join(said)))
        self._actions = offered

    def spoken(self, pcm: bytes) -> None:
        """Take the audio of the sentence."""
        self.speaking = None
        self.response.say(self._sentences.popleft(), pcm)

    def finish(self) -> None:
        """All is said: call the functions and end."""
        for name, arguments in self._actions:
            self.response.call(name, _fitted(arguments, self._tools[name].parameters))
        self.response.end("completed")


def ask(brain: Brain, inputs: Sequence[Input]) -> Turn:
    """Have a brain answer several things, as one turn."""
    turns = [_ask(brain, given) for given in inputs]
    return Turn(
        " ".join(turn.say for turn in turns if turn.say),
        next((turn.matched for turn in reversed(turns) if turn.matched is not None), None),
        tuple(act for turn in turns for act in turn.actions),
    )


def rest_of(turn: Turn, said: str) -> Turn:
    """What is left of an answer of which `said` was said; nothing, if it was another one."""
    whole, said = " ".join(turn.say.split()), " ".join(said.split())
    if said and whole.startswith(said):
        return turn._replace(say=whole.removeprefix(said).strip())
    return Turn("")


def _ask(brain: Brain, given: Input) -> Turn:
    if isinstance(given, Heard):
        return brain.heard(given.text)
    if isinstance(given, Digit):
        return brain.digit(given.digit)
    return brain.told(given.name, given.output)


def _fitted(arguments: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Put the nearest allowed value where the client lists what it allows: a script cannot know its names."""
    properties = parameters.get("properties", {})
    allowed = {name: properties.get(name, {}).get("enum", ()) for name in arguments}
    return {
        name: nearest(value, allowed[name]) if isinstance(value, str) and allowed[name] else value
        for name, value in arguments.items()
    }
