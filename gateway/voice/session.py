"""A conversation with a voice in audio, without a phone: what people import.

session = VoiceSession()
async with session.connect() as voice:
    await voice.send_audio(audio)
    response = await voice.receive()
"""

import math
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Self, TypeVar

import msgspec
import trio

from gateway.contracts import Agent, VoiceBackend
from gateway.voice.checks import audio_format, checked_audio, checked_turns
from gateway.voice.choice import choose
from gateway.voice.happenings import Message, VoiceError
from gateway.voice.hosting import Connecting
from gateway.voice.responses import Answer, AudioChunk, Response
from gateway.voice.session_driver import NotConnected, SessionDriver
from gateway.voice.states import SessionState
from gateway.voice.turn_taking import TurnTaking
from gateway.voice.utterances import Utterance

__all__ = [
    "AudioChunk",
    "Message",
    "NotConnected",
    "Response",
    "SessionState",
    "Utterance",
    "VoiceError",
    "VoiceSession",
]

F = TypeVar("F", bound=Callable[..., Any])

_AWAY = frozenset({SessionState.IDLE, SessionState.CONNECTING, SessionState.DISCONNECTED})


class VoiceSession:
    """One conversation with a voice, in PCM16 mono little endian at `sample_rate` Hz unless set otherwise.

    `model` and `voice` count where `agent` names none. `language`: ISO 639-1, of what the user says. `backend`: a
    voice, or the name of one; None: the setting `voice.backend`, embedded unless set. A voice that is given as an
    object is run by the session, too. `agent` with a greeting speaks first: that is the first response.
    Raises `ValueError` for what does not exist, `ConfigError` for settings that cannot be used.
    """

    def __init__(  # noqa: PLR0917 - people write these in this order
        self,
        model: str = "gpt-4o-realtime",
        voice: str = "alloy",
        agent: Agent | None = None,
        language: str = "en",
        sample_rate: int = 24_000,
        turn_detection: bool = True,
        *,
        backend: VoiceBackend | str | None = None,
    ) -> None:
        agent = agent if agent is not None else Agent(name="voice")
        self._agent = msgspec.structs.replace(
            agent,
            model=agent.model or model,
            voice=agent.voice or voice,
            language=language if agent.language == "en" else agent.language,
        )
        choice = choose(backend)
        self._form = audio_format(sample_rate, 1, "pcm16")
        turns = checked_turns(enabled=turn_detection)
        self._talk = TurnTaking(self._agent, choice.traits, turns, self._form)
        self._driver = SessionDriver(self._agent, choice, self._talk)
        self._busy: set[str] = set()  # who takes responses, who listens

    # -- its life

    def connect(self, nursery: trio.Nursery | None = None) -> Connecting[Self]:
        """Connect: `async with session.connect() as voice`, or `await session.connect()` and later `disconnect()`.

        The tasks of the session live in the block, or in `nursery`, or in the background. Connecting twice is
        harmless. Raises `SessionRefused` when the voice will not have us, `SessionLost` when it cannot be reached,
        `NotConnected` when the session was disconnected: make a new one.
        """
        return Connecting(
            self,
            nursery,
            connect=self._driver.connect,
            disconnect=self.disconnect,
            check=self._driver.check_not_over,
            begun=lambda: self.state is not SessionState.IDLE,
        )

    async def disconnect(self) -> None:
        """End the session, and with it all that waits for it. Harmless when repeated."""
        await self._driver.disconnect()

    # -- speaking and hearing

    async def send_audio(self, data: bytes, commit: bool = True) -> None:
        """Say `data`. With `commit` that was all, and there will be exactly one response to it.

        Without, turn detection finds the end, and there is a response to each turn that it finds. Returns when
        all is sent. Raises `TypeError` for what is no bytes, `ValueError` for half a sample, `NotConnected`,
        `SessionLost`.
        """
        self._driver.check_connected()
        audio = checked_audio(data, self._form)
        await trio.lowlevel.checkpoint_if_cancelled()
        if commit:
            self._talk.commit(audio)
        else:
            self._talk.send(audio)
        self._driver.settle()
        await self._driver.sent()

    async def receive(self) -> Response:
        """The next complete response, or what `stream_receive` has left of it. Responses come in order.

        Raises `trio.BusyResourceError` when another task takes responses, `NotConnected`, `SessionLost`.
        """
        with self._taking("responses"):
            await trio.lowlevel.checkpoint()
            return await self._driver.until(lambda: self._talk.responses.take_whole(trio.current_time()))

    def stream_receive(self) -> "ResponseStream":
        """The next response in pieces, as they come: `async for chunk in session.stream_receive()`. Raises as above."""
        return ResponseStream(self._next_chunk)

    async def listen(self, timeout: float | None = None) -> Utterance:  # noqa: ASYNC109 - public
        """What the user says next, as turn detection found it: from `prefix_padding` before, to the silence after.

        Raises `TimeoutError` after `timeout` seconds without; what is said then is there for the next call.
        Raises `trio.BusyResourceError` when another task listens, `NotConnected`, `SessionLost`.
        """
        if timeout is not None and not timeout >= 0:
            raise ValueError(f"timeout={timeout!r}: expected seconds, at least 0")
        with self._taking("utterances"):
            await trio.lowlevel.checkpoint()
            with trio.move_on_after(timeout if timeout is not None else math.inf):
                return await self._driver.until(self._talk.utterances.take)
        raise TimeoutError(f"the user said nothing for {timeout:g} s")

    async def respond(self, user_audio: bytes) -> Response:
        """Say `user_audio` and give the response to it; what was answered before and not taken is dropped.

        What `listen` gave was said already, and has its response. Raises as `send_audio` and `receive` do.
        """
        with self._taking("responses"):
            await trio.lowlevel.checkpoint()
            responses = self._talk.responses
            answer = user_audio.answer if isinstance(user_audio, Utterance) else None
            if answer is None or answer not in responses:
                self._driver.check_connected()
                answer = self._talk.commit(checked_audio(user_audio, self._form))
                self._driver.settle()
            return await self._driver.until(partial(self._take, answer))

    async def interrupt(self, heard_ms: float | None = None) -> None:
        """Have the agent be silent, and know what was heard: `heard_ms` of the response that was taken last.

        Without it, what was taken counts as played since, at its own pace. The response ends as cancelled. Does
        nothing when nothing is said. Raises `ValueError`, `SessionLost`.
        """
        if heard_ms is not None and not heard_ms >= 0:
            raise ValueError(f"heard_ms={heard_ms!r}: expected milliseconds, at least 0")
        if self.is_connected:
            self._talk.interrupt(trio.current_time(), heard_ms)
            self._driver.settle()
            await self._driver.sent()
        else:
            await trio.lowlevel.checkpoint()

    # -- settings

    def configure_turn_detection(
        self,
        enabled: bool = True,
        threshold: float = 0.5,
        prefix_padding: int = 300,
        silence_duration: int = 800,
    ) -> None:
        """Say how turns are found, in ms, or that they are not. Raises `ValueError`, `NotConnected` after the end."""
        turns = checked_turns(
            enabled=enabled,
            threshold=threshold,
            prefix_padding_ms=prefix_padding,
            silence_duration_ms=silence_duration,
        )
        self._driver.check_not_over()
        self._talk.detect_turns(turns)
        self._driver.settle()

    def configure_audio(self, sample_rate: int = 24_000, channels: int = 1, format: str = "pcm16") -> None:  # noqa: A002 - public
        """Say what audio is given and wanted from here on. Raises `ValueError`, which lists what works."""
        self._form = audio_format(sample_rate, channels, format)
        self._talk.hear_in(self._form)

    def on(self, event: str) -> Callable[[F], F]:
        """Have the decorated function, plain or `async`, called at each `event`. Raises `ValueError` for no event."""
        return self._driver.handlers.on(event)

    # -- what is known

    @property
    def state(self) -> SessionState:
        return self._talk.session.state

    @property
    def is_connected(self) -> bool:
        return self.state not in _AWAY

    @property
    def model(self) -> str | None:
        return self._agent.model

    @property
    def voice(self) -> str | None:
        return self._agent.voice

    @property
    def session_id(self) -> str:
        """What the voice calls the session; "" until it is connected."""
        return self._talk.session.session_id

    @property
    def messages(self) -> Sequence[Message]:
        """What was said so far; of what was interrupted, about the words that were heard."""
        return self._talk.messages

    @property
    def handler_failures(self) -> int:
        """How many handlers raised. Each is in the log."""
        return self._driver.handlers.failures

    # -- taking

    def _take(self, answer: Answer) -> Response | None:
        return self._talk.responses.take_this(answer, trio.current_time())

    async def _next_chunk(self, answer: Answer | None) -> tuple[AudioChunk | None, Answer | None]:
        """The next piece of `answer`, or of the first one there is; None when it was the last."""
        responses = self._talk.responses

        def look() -> tuple[AudioChunk | None, Answer | None] | None:
            wanted = answer if answer is not None else responses.front
            if wanted is not responses.front:
                return None, answer  # somebody else took the rest
            chunk = responses.take_chunk(trio.current_time())
            if chunk is not None or responses.take_end():
                return chunk, wanted
            return None

        with self._taking("responses"):
            await trio.lowlevel.checkpoint()
            return await self._driver.until(look)

    @contextmanager
    def _taking(self, what: str) -> Generator[None, None, None]:
        if what in self._busy:
            raise trio.BusyResourceError(f"another task takes the {what} of this session")
        self._busy.add(what)
        try:
            yield
        finally:
            self._busy.discard(what)


class ResponseStream:
    """One response, chunk by chunk. Leaving the loop early leaves the rest to the next who receives."""

    def __init__(
        self, next_chunk: Callable[[Answer | None], Awaitable[tuple[AudioChunk | None, Answer | None]]]
    ) -> None:
        self._next_chunk = next_chunk
        self._answer: Answer | None = None
        self._over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AudioChunk:
        if self._over:
            raise StopAsyncIteration
        chunk, self._answer = await self._next_chunk(self._answer)
        if chunk is None:
            self._over = True
            raise StopAsyncIteration
        return chunk
