"""A client of a `RealtimeServerCore` without a brain: the test is the model."""

import random
from typing import Any

from gateway.testing.realtime_schema import ServerOrder
from gateway.voice.embedded.brain import Act, Decided, Thought, Words
from gateway.voice.embedded.chat_request import ChatRequest
from gateway.voice.embedded.jobs import Job, Stop, Think
from gateway.voice.embedded.server_core import RealtimeServerCore
from tests.voice.core_client import Client, Event


class ModelClient(Client):
    """As `Client`, and hands the thoughts of the model to the core. `thinking`: the questions that are open."""

    def __init__(self, *hears: str, sentence_ms: int = 500) -> None:
        self.asked: list[ChatRequest] = []
        self.thinking: list[int] = []
        self._ids: list[int] = []
        super().__init__(*hears, sentence_ms=sentence_ms)
        self.core = RealtimeServerCore(None, random.Random(0), model="test")
        self.events.clear()
        self._order = ServerOrder()
        self._settle()

    def think(self, *thoughts: Thought | str, of: int = -1) -> list[Event]:
        """Have the model decide something; a text is a sentence. `of`: which of all questions."""
        known = len(self.events)
        job_id = self._ids[of]
        for thought in thoughts:
            value = Words(thought) if isinstance(thought, str) else thought
            if not isinstance(value, Words) and job_id in self.thinking:
                self.thinking.remove(job_id)
            self.core.result(job_id, value, self.now)
            self._settle()
        return self.events[known:]

    def answer(self, *sentences: str, acts: tuple[Act, ...] = ()) -> list[Event]:
        """Have the model answer the last question."""
        return self.think(*sentences, Decided(acts))

    @property
    def lines(self) -> list[tuple[str, Any]]:
        """Who said what, as the model was told last, after the instructions."""
        return [(line["role"], line["content"]) for line in self.asked[-1].messages[1:]]

    def _finish(self, job: Job) -> None:
        match job:
            case Think():
                self.asked.append(job.request)
                self._ids.append(job.id)
                self.thinking.append(job.id)
            case Stop():
                self.thinking.remove(job.id)
            case _:
                super()._finish(job)
