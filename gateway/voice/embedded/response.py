"""One response of the server: its events, in the order that the protocol wants. OpenAI API reference, Realtime."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from gateway.voice.embedded.conversation import Conversation
from gateway.voice.embedded.items import Content, FunctionCall, Item, Message
from gateway.voice.embedded.outbox import Outbox

__all__ = ["Response"]

_BYTES_PER_MS = 48
# Audio is sent as fast as it is made; 200 ms an event keep an answer of seven seconds at 35 events.
_DELTA_BYTES = 200 * _BYTES_PER_MS
_NO_TOKENS = {"total_tokens": 0, "input_tokens": 0, "output_tokens": 0}  # nothing here is counted in tokens


class Response:
    """Says one message, then calls functions. `conversation` of None: its items belong to none."""

    def __init__(
        self, outbox: Outbox, conversation: Conversation | None, voice: str, metadata: Mapping[str, str]
    ) -> None:
        self.id = outbox.new_id("resp")
        self.metadata = dict(metadata)
        self._outbox = outbox
        self._conversation = conversation
        self._voice = voice
        self._output: list[Item] = []
        self._message: Message | None = None
        outbox.emit("response.created", response=self._resource("in_progress"))

    def say(self, text: str, pcm: bytes) -> None:
        """Say the next part of the message. `pcm`: PCM16 at 24 000 Hz."""
        message = self._message or self._open_message()
        part = message.content[0]
        delta = f" {text}" if part.transcript else text
        part.transcript = (part.transcript or "") + delta
        self._outbox.emit("response.output_audio_transcript.delta", **self._part_of(message), delta=delta)
        self.play(pcm)

    def play(self, pcm: bytes) -> None:
        """Go on with the message by sound alone."""
        message = self._message or self._open_message()
        where = self._part_of(message)
        for at in range(0, len(pcm), _DELTA_BYTES):
            self._outbox.emit("response.output_audio.delta", **where, delta=pcm[at : at + _DELTA_BYTES])
        if self._conversation is not None:
            self._conversation.spoken(message.id, len(pcm) // _BYTES_PER_MS)

    def call(self, name: str, arguments: Mapping[str, Any]) -> None:
        """Have the client call a function, after all that is said."""
        self._close_message("completed")
        text = msgspec.json.encode(arguments).decode()
        call = FunctionCall(
            id=self._outbox.new_id("item"),
            status="in_progress",
            name=name,
            arguments="",
            call_id=self._outbox.new_id("call"),
        )
        self._add(call)
        where = self._item_of(call) | {"call_id": call.call_id}
        self._outbox.emit("response.function_call_arguments.delta", **where, delta=text)
        self._outbox.emit("response.function_call_arguments.done", **where, name=name, arguments=text)
        call.arguments = text
        self._finish(call, "completed")

    def end(
        self,
        status: Literal["completed", "cancelled"],
        reason: Literal["turn_detected", "client_cancelled"] | None = None,
    ) -> None:
        """Close what is open and say how it ended."""
        self._close_message("completed" if status == "completed" else "incomplete")
        details = {"type": status} | ({"reason": reason} if reason is not None else {})
        response = self._resource(status) | {"status_details": details, "usage": _NO_TOKENS}
        self._outbox.emit("response.done", response=response)

    def _open_message(self) -> Message:
        message = Message(id=self._outbox.new_id("item"), status="in_progress", role="assistant", content=[])
        self._message = message
        self._add(message)
        message.content.append(Content(type="output_audio"))
        part = {"type": "audio", "transcript": ""}
        self._outbox.emit("response.content_part.added", **self._part_of(message), part=part)
        return message

    def _close_message(self, status: Literal["completed", "incomplete"]) -> None:
        message, self._message = self._message, None
        if message is None:
            return
        where = self._part_of(message)
        transcript = message.text
        self._outbox.emit("response.output_audio.done", **where)
        self._outbox.emit("response.output_audio_transcript.done", **where, transcript=transcript)
        part = {"type": "audio", "transcript": transcript}
        self._outbox.emit("response.content_part.done", **where, part=part)
        self._finish(message, status)

    def _add(self, item: Item) -> None:
        self._output.append(item)
        index = self._item_index(item)
        self._outbox.emit("response.output_item.added", response_id=self.id, output_index=index, item=item)
        if self._conversation is not None:
            self._conversation.begin(item)

    def _finish(self, item: Item, status: Literal["completed", "incomplete"]) -> None:
        item.status = status
        if self._conversation is not None:
            self._conversation.finish(item)
        index = self._item_index(item)
        self._outbox.emit("response.output_item.done", response_id=self.id, output_index=index, item=item)

    def _item_index(self, item: Item) -> int:
        return next(index for index, other in enumerate(self._output) if other is item)

    def _item_of(self, item: Item) -> dict[str, Any]:
        return {"response_id": self.id, "item_id": item.id, "output_index": self._item_index(item)}

    def _part_of(self, item: Item) -> dict[str, Any]:
        return self._item_of(item) | {"content_index": 0}

    def _resource(self, status: str) -> dict[str, Any]:
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": None,
            "output": self._output,
            "conversation_id": self._conversation.id if self._conversation is not None else None,
            "output_modalities": ["audio"],
            "max_output_tokens": "inf",
            "audio": {"output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": self._voice}},
            "usage": None,
            "metadata": self.metadata or None,
        }
