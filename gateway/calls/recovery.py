"""What a new session must be asked for, so that the caller gets his answer once and whole. A core."""

import enum

from gateway.contracts import Agent
from gateway.media.heard import words_heard
from gateway.voice.session_core import SessionCore

__all__ = ["Recovery"]

_PACE_VARIES = 1.05  # nobody speaks so evenly that a word may be taken for missing by less


class _Ask(enum.Enum):
    GREET = enum.auto()  # nothing was said yet
    CARRY_ON = enum.auto()  # an answer broke off
    RESPOND = enum.auto()  # an answer was owed, and the new session knows the question
    # The same, but nobody has written the question down: the new session hears it again, and answers by itself.
    HEAR_AGAIN = enum.auto()


class Recovery:
    """One conversation's. It begins as any session does: the agent has to greet."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._ask: _Ask | None = _Ask.GREET
        self._spoken_chars = 0
        self._spoken_ms = 0.0

    @property
    def wanted(self) -> bool:
        """The new session owes an answer."""
        return self._ask is not None

    def spoke(self, text: str, audio_ms: float) -> None:
        """The agent says `text` in `audio_ms`: this is how fast it speaks."""
        if audio_ms:
            self._spoken_chars += len(text)
            self._spoken_ms += audio_ms

    def words_in(self, text: str, audio_ms: float) -> str:
        """The words of `text` that there is audio of. A voice may write down a sentence before it says it."""
        if not self._spoken_chars:
            return text
        return words_heard(text, audio_ms * _PACE_VARIES, len(text) * self._spoken_ms / self._spoken_chars)

    def heard(self) -> None:
        """The agent speaks, or had nothing to say: nothing is left to be asked for."""
        self._ask = None

    def owe(self) -> None:
        """There is something to answer, and nobody who could: more than an answer that broke off before it."""
        if self._ask is not _Ask.GREET:
            self._ask = _Ask.RESPOND

    def lost(self, session: SessionCore, *, owed: bool, speaking: bool) -> None:
        """A session is lost. `owed`: it had to answer. `speaking`: the caller speaks."""
        if session.unfinished:
            self._ask = _Ask.CARRY_ON
        elif self._ask in (None, _Ask.HEAR_AGAIN) and (owed or session.responding) and not speaking:
            last = session.history.last
            unwritten = last is not None and last.who == "caller" and last.text is None
            self._ask = _Ask.HEAR_AGAIN if unwritten else _Ask.RESPOND

    def go_on(self, session: SessionCore) -> None:
        """The new session can be asked. Nothing may be left to ask for."""
        match self._ask:
            case _Ask.GREET:
                session.greet()
            case _Ask.CARRY_ON:
                if not self.carry_on(session):
                    self._ask = None
            case _Ask.RESPOND if not session.responding:
                session.respond()
            case _:
                pass

    def hurry(self, session: SessionCore) -> bool:
        """The answer takes too long. True when the session could still be asked for it."""
        if self._ask is not _Ask.HEAR_AGAIN:
            return False
        self._ask = _Ask.RESPOND
        session.respond()
        return True

    def carry_on(self, session: SessionCore) -> bool:
        """Have the agent finish what it was saying. False when all was said."""
        last = session.history.last
        said = (last.text or "") if last is not None and last.who == "agent" else ""
        greeting = self._agent.greeting or ""
        if not said:  # its words were still to come
            if not any(message.text for message in session.history.messages):
                session.greet()
            else:
                session.respond()
            return True
        pieces = [message.text or "" for message in session.history.messages]
        greeted = " ".join(pieces)  # if all that was said is a greeting that broke off more than once
        if greeting.startswith(greeted):
            rest = _rest_of(greeting, greeted)
            if rest:
                session.say(f"Go on with exactly these words: {rest}", rest)
            return bool(rest)
        instructions = (
            f"{self._agent.instructions}\n\nYour last answer broke off after the words “{said}”. "
            "Go on from there. Do not repeat them, and do not apologize."
        )
        session.respond({"instructions": instructions.strip(), "metadata": {"carry_on": "yes"}})
        return True


def _rest_of(words: str, said: str) -> str:
    """What is left of `words`, which begin with `said`; a word that was said in part is left."""
    rest = words.removeprefix(said)
    if said[-1].isalnum() and rest[:1].isalnum():
        rest = words[said.rfind(" ") + 1 :]
    return rest.strip(" .,;:!?") and rest.strip()
