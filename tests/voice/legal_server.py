"""A Realtime server that does whatever the protocol allows, as its dice fall. No audio is in it, only time."""

import json
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

BYTES_PER_MS = 8  # G.711
SHORTEST_TURN_MS = 100
PADDING_MS = 300


class Said(NamedTuple):
    """`settles`: it is what the server has to say of a commit. `found`: a turn that its detection has found."""

    text: str
    settles: bool = False
    found: bool = False


class Active(NamedTuple):
    name: str
    items: dict[str, int]  # ms sent


class LegalServer:
    """`names_cause`: its errors say what they complain of. `lags`: its detection finds what was committed meanwhile.

    `unasked`: it answers every turn by itself, which is against what it was told.
    """

    def __init__(self, dice: Random, *, names_cause: bool, lags: bool, unasked: bool = False) -> None:
        self.says: deque[Said] = deque()  # on its way to the client
        self.hears: deque[dict[str, Any]] = deque()  # on its way from the client
        self.active: Active | None = None
        self.sent_ms: dict[str, int] = {}  # of each item
        self._dice = dice
        self._names_cause = names_cause
        self._lags = lags
        self._unasked = unasked
        self._detects = True
        self._appended_ms = 0
        self._taken_ms = 0  # what was said before is a turn
        self._speaking: tuple[str, int] | None = None
        self._named = 0

    # -- what it does by itself

    def act(self) -> None:
        """Something that it may do now."""
        self._dice.choice([self._obey, self._detect, self._answer])()

    def settle(self) -> None:
        """Do all that is left to do, but find turns."""
        while self.hears or self.active is not None:
            self._obey()
            self._answer()

    def _detect(self) -> None:
        if not self._detects or self._appended_ms == self._taken_ms:
            return
        if self._speaking is None:
            start_ms = self._dice.randint(self._taken_ms, self._appended_ms - 1)
            self._speaking = self._name("item"), start_ms
            self._say("input_audio_buffer.speech_started", item_id=self._speaking[0], audio_start_ms=start_ms)
            return
        item, start_ms = self._speaking
        earliest_ms = max(start_ms, self._taken_ms) + 10
        # Who is not told which commit has failed has to guess where a turn ends exactly with what was committed.
        latest_ms = self._appended_ms - (0 if self._names_cause else 2)
        if latest_ms < earliest_ms:
            return
        self._taken_ms = self._dice.randint(earliest_ms, latest_ms)
        self._speaking = None
        self._say("input_audio_buffer.speech_stopped", item_id=item, audio_end_ms=self._taken_ms)
        self._say("input_audio_buffer.committed", item_id=item, found=True)
        self._answer_unasked()

    def _answer(self) -> None:
        if self.active is None:
            return
        response, items = self.active
        step = self._dice.choice([self._speak, self._speak, self._complete, self._call])
        step(response, items)

    def _speak(self, response: str, items: dict[str, int]) -> None:
        item = self._name("said") if not items or self._dice.random() < 0.3 else list(items)[-1]
        duration_ms = self._dice.randint(1, 30)
        if item not in items and items:
            self._say("response.output_audio.done", response_id=response, item_id=list(items)[-1])
        items[item] = self.sent_ms[item] = items.get(item, 0) + duration_ms
        delta = (
            "//8A"
            + "AAAA" * (duration_ms * BYTES_PER_MS // 3)
            + ["", "AA==", "AAA="][duration_ms * BYTES_PER_MS % 3]
        )
        self._say("response.output_audio.delta", response_id=response, item_id=item, delta=delta[4:])

    def _complete(self, response: str, _items: dict[str, int]) -> None:
        status = self._dice.choice(["completed", "completed", "completed", "failed", "incomplete"])
        self._done(response, status)

    def _call(self, response: str, _items: dict[str, int]) -> None:
        calls = [self._name("call") for _ in range(self._dice.randint(1, 2))]
        output = [
            {"type": "function_call", "id": f"f_{call}", "call_id": call, "name": "look", "arguments": "{}"}
            for call in calls
        ]
        self._done(response, "completed", output=output)

    # -- what it is told

    def _obey(self) -> None:
        if self.hears:
            event = self.hears.popleft()
            obey: dict[str, Callable[[dict[str, Any]], None]] = {
                "input_audio_buffer.append": self._append,
                "input_audio_buffer.commit": self._commit,
                "response.create": self._create,
                "response.cancel": self._cancel,
                "conversation.item.truncate": self._truncate,
                "conversation.item.create": lambda event: None,
                "session.update": self._update,
            }
            obey[event["type"]](event)

    def _append(self, event: dict[str, Any]) -> None:
        audio = event["audio"]
        self._appended_ms += (len(audio) // 4 * 3 - audio.count("=")) // BYTES_PER_MS

    def _commit(self, event: dict[str, Any]) -> None:
        if self._appended_ms - self._taken_ms < SHORTEST_TURN_MS:
            self._complain("input_audio_buffer_commit_empty", event, settles=True)
            return
        item = self._speaking[0] if self._speaking is not None else self._name("item")
        before_ms, self._taken_ms = self._taken_ms, self._appended_ms
        self._speaking = None
        self._say("input_audio_buffer.committed", item_id=item, settles=True)
        self._answer_unasked()
        late_ms = self._taken_ms - PADDING_MS - 1
        if self._lags and self._detects and before_ms < late_ms:
            start_ms = self._dice.randint(before_ms, late_ms)
            self._say(
                "input_audio_buffer.speech_started", item_id=self._name("late"), audio_start_ms=start_ms
            )

    def _create(self, event: dict[str, Any]) -> None:
        assert self.active is None or self._unasked, "it was asked while it was busy"
        if self.active is not None:
            self._complain("conversation_already_has_active_response", event)
            return
        if self._dice.random() < 0.15:
            self._complain(self._dice.choice(["rate_limit_exceeded", "server_error"]), event, named=True)
            return
        self._begin()

    def _cancel(self, event: dict[str, Any]) -> None:
        if self.active is not None and event["response_id"] == self.active.name:
            self._done(self.active.name, "cancelled")
        else:
            self._complain("response_cancel_not_active", event)

    def _truncate(self, event: dict[str, Any]) -> None:
        assert 0 <= event["audio_end_ms"] <= self.sent_ms[event["item_id"]]

    def _update(self, event: dict[str, Any]) -> None:
        audio = event["session"].get("audio", {}).get("input", {})
        if "turn_detection" in audio:
            self._detects = audio["turn_detection"] is not None
            self._speaking = None
        self._say("session.updated", session={"id": "session_1"})

    # -- saying it

    def _begin(self) -> None:
        self.active = Active(self._name("response"), {})
        self._say("response.created", response={"id": self.active.name, "status": "in_progress"})

    def _answer_unasked(self) -> None:
        if self._unasked and self.active is None:
            self._begin()

    def _done(self, response: str, status: str, **fields: Any) -> None:
        self.active = None
        self._say("response.done", response={"id": response, "status": status} | fields)

    def _complain(
        self, code: str, event: dict[str, Any], *, settles: bool = False, named: bool = False
    ) -> None:
        cause = event["event_id"] if self._names_cause or named else None
        error = {"type": "invalid_request_error", "code": code, "message": code, "event_id": cause}
        self._say("error", error=error, settles=settles)

    def _say(self, kind: str, *, settles: bool = False, found: bool = False, **event: Any) -> None:
        self.says.append(Said(json.dumps({"type": kind, "event_id": "e"} | event), settles, found))

    def _name(self, kind: str) -> str:
        self._named += 1
        return f"{kind}_{self._named}"
