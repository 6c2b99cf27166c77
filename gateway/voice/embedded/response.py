"""One response of the server: its events, in the order that the protocol wants. OpenAI API reference, Realtime."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from gateway.contracts import AudioFormat
from gateway.voice.conversion import Conversion
from gateway.voice.embedded.client_events import ResponseOptions, ResponseOutput
from gateway.voice.embedded.conversation import Conversation
from gateway.voice.embedded.items import Content, FunctionCall, Item, Message
from gateway.voice.embedded.outbox import Outbox
from gateway.voice.embedded.session_settings import Format, Pcm, SessionSettings, name_of

__all__ = ["Response", "Shape"]

# Audio is sent as fast as it is made; 200 ms an event keep an answer of seven seconds at 35 events.
_DELTA_MS = 200
_NO_TOKENS = {"total_tokens": 0, "input_tokens": 0, "output_tokens": 0}  # nothing here is counted in tokens


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """How a response is delivered: aloud, in a format and by a voice, or in writing."""

    modality: Literal["audio", "text"] = "audio"
    format: Format = Pcm()
    voice: str
    max_output_tokens: int | Literal["inf"] = "inf"

    @classmethod
    def of(cls, settings: SessionSettings, options: ResponseOptions) -> "Shape":
        """As the session has it, where this one response is not to be otherwise."""
        output = options.audio.output if options.audio is not None else ResponseOutput()
        return cls(
            modality=(options.output_modalities or settings.output_modalities)[0],
            format=output.format or settings.audio.output.format,
            voice=name_of(output.voice) if output.voice is not None else settings.voice,
            max_output_tokens=options.max_output_tokens or settings.max_output_tokens or "inf",
        )


class Response:
    """Says one message, then calls functions. `conversation` of None: its items belong to none."""

    def __init__(
        self, outbox: Outbox, conversation: Conversation | None, shape: Shape, metadata: Mapping[str, str]
    ) -> None:
        self.id = outbox.new_id("resp")
        self.metadata = dict(metadata)
        self.is_written = shape.modality == "text"
        self._outbox = outbox
        self._conversation = conversation
        self._shape = shape
        self._sound = shape.format.audio
        self._conversion = Conversion(AudioFormat(), self._sound)
        self._sent_bytes = 0  # of the message's audio
        self._output: list[Item] = []
        self._message: Message | None = None
        self._where: dict[str, Any] = {}  # that message is, as events have it
        outbox.emit("response.created", response=self._resource("in_progress"))

    @property
    def is_empty(self) -> bool:
        """Nothing was said or called."""
        return not self._output

    def say(self, text: str, pcm: bytes) -> None:
        """Say the next part of the message. `pcm`: PCM16 at 24 000 Hz."""
        message = self._message or self._open_message()
        part = message.content[0]
        delta = f" {text}" if part.transcript else text
        part.transcript = (part.transcript or "") + delta
        self._outbox.emit("response.output_audio_transcript.delta", **self._where, delta=delta)
        self._send_audio(message, self._conversion.carry(pcm), text)

    def write(self, text: str) -> None:
        """Write the next part of the message."""
        message = self._message or self._open_message()
        part = message.content[0]
        delta = f" {text}" if part.text else text
        part.text = (part.text or "") + delta
        self._outbox.emit("response.output_text.delta", **self._where, delta=delta)

    def play(self, pcm: bytes) -> None:
        """Go on with the message by sound alone. What is written has none."""
        if not self.is_written:
            self._send_audio(self._message or self._open_message(), self._conversion.carry(pcm))

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
        status: Literal["completed", "cancelled", "incomplete", "failed"],
        reason: Literal["turn_detected", "client_cancelled", "max_output_tokens", "content_filter"]
        | None = None,
        error: Mapping[str, str] | None = None,
    ) -> None:
        """Close what is open and say how it ended.

        `reason`: why it was cancelled or is incomplete. `error`: type, code and message of why it failed.
        """
        self._close_message("completed" if status == "completed" else "incomplete")
        details: dict[str, Any] = {"type": status}
        if reason is not None:
            details["reason"] = reason
        if error is not None:
            details["error"] = error
        response = self._resource(status) | {"status_details": details, "usage": _NO_TOKENS}
        self._outbox.emit("response.done", response=response)

    def _open_message(self) -> Message:
        message = Message(id=self._outbox.new_id("item"), status="in_progress", role="assistant", content=[])
        self._message = message
        self._sent_bytes = 0
        self._add(message)
        message.content.append(Content(type="output_text" if self.is_written else "output_audio"))
        self._where = self._part_of(message)
        self._outbox.emit("response.content_part.added", **self._where, part=self._shown_part(""))
        return message

    def _close_message(self, status: Literal["completed", "incomplete"]) -> None:
        message, self._message = self._message, None
        if message is None:
            return
        where = self._where
        words = message.text
        if self.is_written:
            self._outbox.emit("response.output_text.done", **where, text=words)
        else:
            if status == "completed":
                self._send_audio(message, self._conversion.rest())
            self._outbox.emit("response.output_audio.done", **where)
            self._outbox.emit("response.output_audio_transcript.done", **where, transcript=words)
        self._outbox.emit("response.content_part.done", **where, part=self._shown_part(words))
        self._finish(message, status)

    def _send_audio(self, message: Message, audio: bytes, words: str = "") -> None:
        """Send audio in the client's format. `words`: what is said in it."""
        bytes_per_ms = self._sound.bytes_per_ms
        size_bytes = _DELTA_MS * bytes_per_ms
        for at in range(0, len(audio), size_bytes):
            self._outbox.emit("response.output_audio.delta", **self._where, delta=audio[at : at + size_bytes])
        self._sent_bytes += len(audio)
        if self._conversation is not None:
            self._conversation.spoken(message.id, words, self._sent_bytes // bytes_per_ms)

    def _shown_part(self, words: str) -> dict[str, str]:
        return {"type": "text", "text": words} if self.is_written else {"type": "audio", "transcript": words}

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
            "output_modalities": [self._shape.modality],
            "max_output_tokens": self._shape.max_output_tokens,
            "audio": {"output": {"format": self._shape.format, "voice": self._shape.voice}},
            "usage": None,
            "metadata": self.metadata or None,
        }
