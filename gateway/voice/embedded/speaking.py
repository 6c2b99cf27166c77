"""What the voice says in one session: one response at a time, from the question to the last sound."""

from collections.abc import Callable
from typing import Literal

from gateway.voice.embedded.asked import Asked, Terms
from gateway.voice.embedded.brain import Decided, Failure, Thought, Turn, Words
from gateway.voice.embedded.client_events import ResponseOptions
from gateway.voice.embedded.conversation import Conversation
from gateway.voice.embedded.jobs import Job, Stop, Synthesize, Think
from gateway.voice.embedded.minds import Mind
from gateway.voice.embedded.outbox import Outbox
from gateway.voice.embedded.reply import Reply
from gateway.voice.embedded.response import Response, Shape
from gateway.voice.embedded.session_settings import SessionSettings

__all__ = ["Speaking"]

_BYTES_PER_S = 48_000  # PCM16 at 24 000 Hz


class Speaking:
    """`new_job` gives the jobs their ids.

    `begun`: the voice has spoken, here or in an earlier session. `was_aloud`: here, and could be heard.
    """

    def __init__(
        self, mind: Mind, conversation: Conversation, outbox: Outbox, new_job: Callable[[], int]
    ) -> None:
        self.begun = False
        self.was_aloud = False
        self._mind = mind
        self._conversation = conversation
        self._outbox = outbox
        self._new_job = new_job
        self._jobs: list[Job] = []
        self._reply: Reply | None = None

    @property
    def response(self) -> Response | None:
        """The one that is being made."""
        return self._reply.response if self._reply is not None else None

    def jobs(self) -> list[Job]:
        """Work for the models since the last call of this method."""
        jobs, self._jobs = self._jobs, []
        return jobs

    def remember(self, said: str) -> None:
        """Take what an earlier session has answered to what is in the conversation, or a piece of it."""
        begun, self.begun = self.begun, True
        self._mind.remember(self._conversation.take_unanswered(), said, begun=begun)

    def start(self, settings: SessionSettings, options: ResponseOptions, *, idle: bool) -> None:
        """Begin a response; there must be none. `idle`: because the caller is silent."""
        conversation = self._conversation if options.conversation == "auto" else None
        shape = Shape.of(settings, options)
        response = Response(self._outbox, conversation, shape, options.metadata or {})
        self._reply = Reply(response, Terms.of(settings, options, idle=idle))

    def go_on(self, *, all_written: bool) -> bool:
        """Do what can be done without a model. True when the response is over now.

        `all_written`: all that the caller said is written down.
        """
        reply = self._reply
        if reply is None or reply.speaking is not None:
            return False
        if not reply.asked:
            if reply.terms.say is None and not all_written:
                return False
            self._ask(reply)
        while reply.response.is_written and reply.sentence is not None:
            reply.write()
        if reply.sentence is not None:
            reply.speaking = self._new_job()
            self._jobs.append(Synthesize(reply.speaking, reply.sentence, reply.terms.voice))
        elif reply.thinking is None:
            reply.finish()
            self._reply = None
        return self._reply is None

    def result(self, job_id: int, value: float | str | bytes | Thought) -> float | None:
        """Take a result of a job: how many seconds of audio it is. None when nobody waits for it any more."""
        reply = self._reply
        if reply is not None and reply.thinking == job_id and isinstance(value, Words | Decided | Failure):
            reply.think(value)
            return 0.0
        if reply is not None and reply.speaking == job_id and isinstance(value, bytes):
            reply.spoken(value)
            self.was_aloud = True
            return len(value) / _BYTES_PER_S
        return None

    def cancel(self, reason: Literal["turn_detected", "client_cancelled"]) -> bool:
        """End the response where it is. False when there was none."""
        if self._reply is None:
            return False
        if self._reply.thinking is not None:
            self._jobs.append(Stop(self._reply.thinking))
        self._reply.response.end("cancelled", reason)
        self._reply = None
        return True

    def _ask(self, reply: Reply) -> None:
        """Have decided what a reply says."""
        terms = reply.terms
        answer = Turn(terms.say) if terms.say is not None else self._mind.answer(self._asked(terms))
        self.begun = self.begun or terms.wish != "carry_on"
        if isinstance(answer, Turn):
            reply.decide(answer)
        else:
            reply.thinking = self._new_job()
            self._jobs.append(Think(reply.thinking, answer))

    def _asked(self, terms: Terms) -> Asked:
        inputs = self._conversation.take_unanswered() if terms.wish != "carry_on" else []
        return Asked(terms=terms, inputs=inputs, begun=self.begun, items=self._conversation.heard())
