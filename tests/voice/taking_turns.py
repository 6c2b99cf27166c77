"""A `TurnTaking` and, by hand, the voice that it talks with."""

import base64
import json
from typing import Any

from gateway.contracts import Agent, AudioFormat, VoiceTraits
from gateway.voice.checks import checked_turns
from gateway.voice.happenings import Happened
from gateway.voice.responses import Response
from gateway.voice.turn_taking import TurnTaking

PCM = AudioFormat()
BYTES_PER_MS = PCM.bytes_per_ms


class Talk:
    """The session is connected, and has been asked for nothing yet unless the agent greets."""

    def __init__(
        self,
        *,
        detection: bool = True,
        agent: Agent | None = None,
        form: AudioFormat = PCM,
        traits: VoiceTraits | None = None,
    ) -> None:
        turns = checked_turns(enabled=detection)
        self.core = TurnTaking(agent or Agent(name="a"), traits or VoiceTraits(name="puppet"), turns, form)
        self.core.connect()
        self.core.opened()
        self.hear("session.created", session={"id": "sess_1"})
        self.hear("session.updated", session={"id": "sess_1"})
        self._told = self._read()
        self._seen = self.core.happened()
        if agent is None:
            self.forget()

    # -- what the voice says

    def hear(self, kind: str, **event: Any) -> None:
        self.core.receive(json.dumps({"type": kind, "event_id": "e"} | event))

    def started(self, item: str, at_ms: int) -> None:
        self.hear("input_audio_buffer.speech_started", item_id=item, audio_start_ms=at_ms)

    def stopped(self, item: str, at_ms: int) -> None:
        self.hear("input_audio_buffer.speech_stopped", item_id=item, audio_end_ms=at_ms)

    def committed(self, item: str) -> None:
        self.hear("input_audio_buffer.committed", item_id=item)

    def turn(self, item: str, from_ms: int, to_ms: int) -> None:
        """Turn detection has found one."""
        self.started(item, from_ms)
        self.stopped(item, to_ms)
        self.committed(item)

    def complain(self, code: str, cause: str | None = None) -> None:
        self.hear(
            "error", error={"type": "invalid_request_error", "code": code, "message": code, "event_id": cause}
        )

    def begin(self, response: str) -> None:
        self.hear("response.created", response={"id": response})

    def audio(self, item: str, duration_ms: int, response: str = "r1", sample: bytes = b"\1\0") -> None:
        delta = base64.b64encode(sample * (duration_ms * BYTES_PER_MS // 2)).decode()
        self.hear("response.output_audio.delta", response_id=response, item_id=item, delta=delta)

    def audio_done(self, item: str, response: str = "r1") -> None:
        self.hear("response.output_audio.done", response_id=response, item_id=item)

    def words(self, item: str, text: str, response: str = "r1") -> None:
        kind = "response.output_audio_transcript.done"
        self.hear(kind, response_id=response, item_id=item, transcript=text)

    def done(self, response: str = "r1", status: str = "completed", *, calls: tuple[str, ...] = ()) -> None:
        output = [
            {"type": "function_call", "id": f"f_{call}", "call_id": call, "name": "look", "arguments": "{}"}
            for call in calls
        ]
        self.hear("response.done", response={"id": response, "status": status, "output": output})

    def answer(self, response: str, duration_ms: int = 100, text: str = "Yes.") -> None:
        """A whole response with one item, named after it."""
        item = f"item_{response}"
        self.begin(response)
        self.audio(item, duration_ms, response)
        self.words(item, text, response)
        self.audio_done(item, response)
        self.done(response)

    # -- what the session says

    def told(self) -> list[dict[str, Any]]:
        """What the voice was sent since this was asked last, but audio."""
        told, self._told = [*self._told, *self._read()], []
        return told

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.told()]

    def last_id(self, kind: str) -> str:
        """The id of the event of this kind that was sent last."""
        self._told += self._read()
        ids = [event["event_id"] for event in self._told if event["type"] == kind]
        return str(ids[-1])

    def seen(self, *events: str) -> list[Happened]:
        """Which of these happened, since this was asked last; of all, if none are named."""
        seen, self._seen = [*self._seen, *self.core.happened()], []
        return [each for each in seen if each.event in events or not events]

    def forget(self) -> None:
        self.told()
        self.seen()

    def commit(self, duration_ms: int = 200) -> str:
        """The user says something, and that was all. Gives the event's id."""
        self.core.commit(bytes(duration_ms * BYTES_PER_MS))
        return self.last_id("input_audio_buffer.commit")

    def send(self, duration_ms: int) -> None:
        self.core.send(bytes(duration_ms * BYTES_PER_MS))

    def take(self, now: float = 0.0) -> list[Response]:
        """All answers that are over."""
        taken: list[Response] = []
        while (response := self.core.responses.take_whole(now)) is not None:
            taken.append(response)
        return taken

    def statuses(self) -> list[str]:
        return [response.status for response in self.take()]

    def _read(self) -> list[dict[str, Any]]:
        events = [json.loads(event) for event, _ in self.core.outgoing()]
        return [event for event in events if event["type"] != "input_audio_buffer.append"]


def answering(*items: tuple[str, int], over: bool = False) -> Talk:
    """The voice has said so many ms of each item."""
    talk = Talk()
    talk.commit()
    talk.committed("u1")
    talk.begin("r1")
    for item, duration_ms in items:
        talk.audio(item, duration_ms)
        talk.audio_done(item)
    if over:
        talk.done("r1")
    talk.forget()
    return talk


def truncated(talk: Talk) -> dict[str, int]:
    """What was heard of the items that were truncated, as the voice was told."""
    events: list[dict[str, Any]] = [
        event for event in talk.told() if event["type"] == "conversation.item.truncate"
    ]
    return {event["item_id"]: event["audio_end_ms"] for event in events}
