"""A voice that says what it hears, at once: for measuring a line, and for trying one out."""

import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, assert_never

import msgspec
import trio

from gateway.contracts import Agent, AudioFormat, VoiceConnection, VoiceTraits
from gateway.voice.conversion import Conversion
from gateway.voice.embedded import client_events as client
from gateway.voice.embedded.conversation import Conversation
from gateway.voice.embedded.mailbox import Mailbox
from gateway.voice.embedded.outbox import Outbox
from gateway.voice.embedded.response import Response, Shape
from gateway.voice.embedded.session_settings import SessionSettings, updated

__all__ = ["EchoBackend", "EchoCore", "EchoSettings"]


class EchoSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """There is nothing to set."""


class EchoCore:
    """One session: a response that begins with the caller's first audio and goes on until it is cancelled."""

    def __init__(self, rng: random.Random) -> None:
        self._outbox = Outbox(rng)
        self._settings = SessionSettings(model="gateway-echo")
        self._sound = self._settings.audio.input.format.audio
        self._session_id = self._outbox.new_id("sess")
        self._conversation = Conversation(self._outbox)
        self._microphone = Conversion(self._sound, AudioFormat())
        self._response: Response | None = None
        self._outbox.emit("session.created", session=self._session())

    def receive(self, text: str) -> None:
        """Take one client event. One that cannot be done is answered with an `error` event."""
        try:
            self._obey(client.decode(text))
        except client.InvalidRequest as error:
            self._outbox.emit("error", error=error.body(client.event_id_of(text)))

    def outgoing(self) -> list[str]:
        """Server events, in order, since the last call of this method."""
        return self._outbox.drain()

    def _obey(self, event: client.ClientEvent) -> None:
        match event:
            case client.AppendAudio():
                client.check_audio(event.audio, self._sound, "audio")
                self._response = self._response or self._start(client.ResponseOptions())
                self._response.play(self._microphone.carry(event.audio))
            case client.CreateResponse():
                if self._response is not None:
                    raise client.InvalidRequest("conversation_already_has_active_response", "The echo is on")
                self._response = self._start(event.response)
            case client.CancelResponse():
                if self._response is None:
                    raise client.InvalidRequest(
                        "response_cancel_not_active", "There is no response to cancel"
                    )
                self._response.end("cancelled", "client_cancelled")
                self._response = None
            case client.UpdateSession():
                self._settings = updated(self._settings, event.session)
                self._sound = self._settings.audio.input.format.audio
                self._microphone = Conversion(self._sound, AudioFormat())
                self._outbox.emit("session.updated", session=self._session())
            case client.ClearAudio():
                self._outbox.emit("input_audio_buffer.cleared")
            case client.CommitAudio():
                raise client.InvalidRequest("input_audio_buffer_commit_empty", "An echo keeps no audio")
            case client.CreateItem():
                self._conversation.create(event.item, event.previous_item_id)
            case client.RetrieveItem():
                self._conversation.retrieve(event.item_id)
            case client.TruncateItem():
                self._conversation.truncate(event.item_id, event.content_index, event.audio_end_ms)
            case client.DeleteItem():
                self._conversation.delete(event.item_id)
            case _:
                assert_never(event)

    def _start(self, options: client.ResponseOptions) -> Response:
        shape = Shape.of(self._settings, options)
        return Response(self._outbox, self._conversation, shape, options.metadata or {})

    def _session(self) -> dict[str, Any]:
        return {"id": self._session_id, "object": "realtime.session", **self._settings.shown()}


class _EchoConnection:
    """A `VoiceConnection` to an echo, and a `PromptVoice`."""

    def __init__(self) -> None:
        self.mailbox = Mailbox()
        self._core = EchoCore(random.Random())
        self.mailbox.post(self._core.outgoing())

    async def send(self, event: str) -> None:
        self.send_now(event)

    def send_now(self, event: str) -> None:
        self.mailbox.raise_if_closed()
        self._core.receive(event)
        self.mailbox.post(self._core.outgoing())

    async def receive(self) -> str:
        return await self.mailbox.take()

    def hear_with(self, hear: Callable[[str], None]) -> None:
        self.mailbox.hear_with(hear)


class EchoBackend:
    """A `VoiceBackend` that needs nothing."""

    # Nobody waits for the end of its turn: half as many messages are half the work of a line that is measured.
    traits = VoiceTraits(name="echo", chunk_ms=40, transcription_model=None)

    @asynccontextmanager
    async def connect(self, agent: Agent) -> AsyncGenerator[VoiceConnection, None]:  # noqa: ARG002 - all sound alike
        """Hear oneself."""
        connection = _EchoConnection()
        try:
            yield connection
        finally:
            connection.mailbox.close("the connection was closed")

    async def run(self) -> None:
        """Connections share nothing."""
        await trio.sleep_forever()
