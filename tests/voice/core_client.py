"""A client of a `RealtimeServerCore` on an explicit clock, with models that do what the test says."""

import base64
import json
import random
from typing import Any

from gateway.testing.realtime_schema import ServerOrder, check_server_event
from gateway.voice.embedded.brain import Act, Turn
from gateway.voice.embedded.jobs import Detect, Job, Synthesize, Transcribe
from gateway.voice.embedded.server_core import RealtimeServerCore

HOP_MS = 32
Event = dict[str, Any]


class Parrot:
    """A `Brain` that says what it was asked, and remembers it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.acts: tuple[Act, ...] = ()

    def begin(self) -> Turn:
        return self._answer("begin", "Hello. How can I help?")

    def heard(self, text: str) -> Turn:
        return self._answer("heard", f"You said {text}.", text) if text else Turn("")

    def digit(self, digit: str) -> Turn:
        return self._answer("digit", f"You pressed {digit}.", digit)

    def silence(self) -> Turn:
        return self._answer("silence", "Are you there?")

    def told(self, name: str, output: str) -> Turn:
        return self._answer("told", f"{name} says {output}.", name, output)

    def _answer(self, what: str, say: str, *details: str) -> Turn:
        self.asked.append((what, *details))
        acts, self.acts = self.acts, ()
        return Turn(say, what, acts)


class Client:
    """Sends events, checks all that come back against the schema and the order, and plays the models.

    `hears`: the transcripts of the turns to come. A sentence is as long as `sentence_ms`. With `working` off,
    jobs wait in `jobs` until `work`; with `judging` off, hops wait until `judge`.
    """

    def __init__(self, *hears: str, brain: Any = None, sentence_ms: int = 500) -> None:
        self.brain = brain or Parrot()
        self.now = 0.0
        self.events: list[Event] = []
        self.jobs: list[Job] = []
        self.working = True
        self.judging = True
        self._hops: list[tuple[Detect, float]] = []
        self._likely = 0.0
        self._hears = iter(hears)
        self._sentence = bytes(48 * sentence_ms)
        self._order = ServerOrder()
        self.core = RealtimeServerCore(self.brain, random.Random(0), model="test")
        self._settle()

    def send(self, event_type: str, **fields: Any) -> list[Event]:
        """Send an event; return what came back for it."""
        return self.send_text(json.dumps({"type": event_type, **fields}))

    def send_text(self, text: str) -> list[Event]:
        known = len(self.events)
        self.core.receive(text, self.now)
        self._settle()
        return self.events[known:]

    def configure(self, **changes: Any) -> list[Event]:
        return self.send("session.update", session={"type": "realtime", **changes})

    def turn_detection(self, **changes: Any) -> list[Event]:
        detection = {"type": "server_vad", **changes}
        return self.configure(audio={"input": {"turn_detection": detection}})

    def audio(self, *likely: float) -> list[Event]:
        """Append a hop of audio for each number, which is how likely it will be judged to be speech."""
        known = len(self.events)
        for probability in likely:
            self._likely = probability
            self.now += HOP_MS / 1000
            self.send("input_audio_buffer.append", audio=base64.b64encode(bytes(48 * HOP_MS)).decode())
        return self.events[known:]

    def says_something(self) -> list[Event]:
        """Ten hops of speech and the silence that ends the turn."""
        return self.audio(*[1.0] * 10, *[0.0] * 16)

    def wait(self, seconds: float) -> list[Event]:
        known = len(self.events)
        self.now += seconds
        self.core.advance(self.now)
        self._settle()
        return self.events[known:]

    def work(self, count: int = 1000) -> list[Event]:
        """Finish waiting jobs, the oldest first."""
        known = len(self.events)
        while self.jobs and count:
            self._finish(self.jobs.pop(0))
            count -= 1
        return self.events[known:]

    def judge(self, count: int = 10_000) -> list[Event]:
        """Judge waiting hops, the oldest first."""
        known = len(self.events)
        for hop, likely in self._hops[:count]:
            self._likely = likely
            self._finish(hop)
        del self._hops[:count]
        return self.events[known:]

    def _finish(self, job: Job) -> None:
        value: float | str | bytes
        match job:
            case Detect():
                value = self._likely
            case Transcribe():
                value = next(self._hears)
            case Synthesize():
                value = self._sentence
        self.core.result(job.id, value, self.now)
        self._settle()

    def _settle(self) -> None:
        for text in self.core.outgoing():
            check_server_event(text)
            self._order.check(text)
            self.events.append(json.loads(text))
        for job in self.core.jobs():
            if isinstance(job, Detect) and not self.judging:
                self._hops.append((job, self._likely))
            elif self.working or isinstance(job, Detect):
                self._finish(job)
            else:
                self.jobs.append(job)


def types(events: list[Event]) -> list[str]:
    return [event["type"] for event in events]


def one(events: list[Event], event_type: str) -> Event:
    """The only event of a type."""
    (found,) = (event for event in events if event["type"] == event_type)
    return found


def error_of(events: list[Event]) -> Event:
    """The error that is all that came back."""
    (event,) = events
    assert event["type"] == "error"
    error: Event = event["error"]
    return error
