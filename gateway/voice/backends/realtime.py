"""A voice of others: OpenAI's Realtime protocol over a WebSocket, from OpenAI itself or from who speaks it too."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import trio

from gateway.config import Secret
from gateway.contracts import Agent, AudioFormat, SessionLost, SessionRefused, VoiceConnection, VoiceTraits
from gateway.net.websocket import WebSocket, WebSocketClosed, WebSocketRefused, connect, translate
from gateway.voice.backends.endpoint import Endpoint, RealtimeSettings
from gateway.voice.backends.verdicts import Verdicts
from gateway.wire.realtime_beta import to_beta

__all__ = ["RealtimeBackend", "RealtimeSettings"]

_LAST_WORDS_S = 0.1

Dial = Callable[[], Awaitable[trio.abc.Stream]]


class RealtimeBackend:
    """A `VoiceBackend` that needs a network and, beyond this machine, a key.

    `dial`: another way to the server than its URL; whoever gives it sees to TLS. Raises `ConfigError` for
    settings that cannot be used.
    """

    def __init__(self, settings: RealtimeSettings, key: Secret | None, *, dial: Dial | None = None) -> None:
        self._endpoint = Endpoint(settings, key)
        self._verdicts = Verdicts(self._endpoint.host, key)
        beta = settings.dialect == "beta"
        self._translate: Callable[[str], str] = to_beta if beta else str
        self._more_headers = [("OpenAI-Beta", "realtime=v1")] if beta else []
        self._dial = dial
        self.traits = _traits(settings)

    @asynccontextmanager
    async def connect(self, agent: Agent) -> AsyncGenerator[VoiceConnection, None]:
        """Talk with the agent's model.

        Raises `SessionRefused` when the server will not have us, `SessionBusy` when it has too many callers,
        `SessionLost` when it cannot be reached or is in trouble.
        """
        async with AsyncExitStack() as stack:
            yield _Connection(await self._open(agent, stack), self._verdicts, self._translate)

    async def run(self) -> None:
        """Connections share nothing."""
        await trio.sleep_forever()

    async def _open(self, agent: Agent, stack: AsyncExitStack) -> WebSocket:
        failure: Exception
        try:
            stream = await self._dial() if self._dial is not None else None
            headers = self._endpoint.headers() + self._more_headers
            opening = connect(self._endpoint.url(agent.model), headers=headers, stream=stream)
            return await stack.enter_async_context(opening)
        except WebSocketRefused as refused:
            failure = self._verdicts.on_handshake(refused)
        except WebSocketClosed as closed:
            failure = self._verdicts.on_close(closed)
        except (OSError, trio.BrokenResourceError) as error:  # of `dial`
            failure = self._verdicts.on_close(WebSocketClosed(*translate(error)))
        raise failure  # outside, so that it does not hold on to an answer that may quote our key


def _traits(settings: RealtimeSettings) -> VoiceTraits:
    phone = AudioFormat(encoding="pcmu", rate_hz=8000)
    pcmu = settings.audio == "pcmu"
    return VoiceTraits(
        name="realtime",
        input=phone if pcmu else AudioFormat(rate_hz=settings.input_rate),
        output=phone if pcmu else AudioFormat(),
        transcription_model=settings.transcription_model or None,
    )


class _Connection:
    """A `VoiceConnection` to a server."""

    def __init__(self, websocket: WebSocket, verdicts: Verdicts, translate: Callable[[str], str]) -> None:
        self._websocket = websocket
        self._verdicts = verdicts
        self._translate = translate

    async def send(self, event: str) -> None:
        failure: SessionLost | SessionRefused
        try:
            return await self._websocket.send(self._translate(event))
        except WebSocketClosed as closed:
            failure = self._verdicts.on_close(closed)
        # Whoever receives at the same time hears the server's last words, and they say better why it is over.
        await trio.sleep(_LAST_WORDS_S)
        raise failure

    async def receive(self) -> str:
        failure: SessionLost | SessionRefused | None
        try:
            message = await self._websocket.receive()
        except WebSocketClosed as closed:
            failure = self._verdicts.on_close(closed)
        else:
            # Events are text frames; what comes in a binary one is read the same way, and fails as what it is.
            text = message if isinstance(message, str) else message.decode("utf-8", "replace")
            failure = self._verdicts.on_event(text)
            if failure is None:
                return self._verdicts.clean(text)
        raise failure
