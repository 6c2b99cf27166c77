"""A server of chat completions as the brain of an embedded voice: one request for each answer."""

import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import httpx
import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from gateway.voice.backends.chat_endpoint import ChatEndpoint
from gateway.voice.embedded import chat_failures as failures
from gateway.voice.embedded.brain import Failure, Thought
from gateway.voice.embedded.chat_answer import ChatAnswer
from gateway.voice.embedded.chat_request import ChatRequest

__all__ = ["ChatBrain", "ChatServer"]

Take = Callable[[Thought], None]

# No caller waits longer, neither for the first token nor for any after it.
_TOKEN_S = 8.0
_ANSWER_S = 60.0  # beyond it an answer is written more slowly than it is spoken, or has no end
_REST_S = 1.0  # for what follows the last word: a connection that was read to its end can be used again
_ERROR_BYTES = 64 << 10
# httpx closes an idle connection after 5 s; a caller's next turn would have to wait for a new one.
_IDLE_S = 60.0


class ChatServer:
    """Gives each caller a brain at one server. `transport`: in place of the network, for tests."""

    def __init__(
        self,
        endpoint: ChatEndpoint,
        log: FilteringBoundLogger,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._log = log
        self._transport = transport
        self._tls = ssl.create_default_context()  # once: it reads the system's certificates from the disk

    @asynccontextmanager
    async def brain(self) -> AsyncGenerator["ChatBrain", None]:
        """A brain that lives as long as the block, with a connection of its own."""
        # trust_env: the environment could name a proxy for what stays on this machine, or a .netrc with other keys.
        limits = httpx.Limits(keepalive_expiry=_IDLE_S)
        transport = self._transport or httpx.AsyncHTTPTransport(
            verify=self._tls, trust_env=False, limits=limits
        )
        async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=_ANSWER_S) as client:
            yield ChatBrain(self._endpoint, client, self._log)


class ChatBrain:
    """A `Thinker`: asks the model of one server."""

    def __init__(self, endpoint: ChatEndpoint, client: httpx.AsyncClient, log: FilteringBoundLogger) -> None:
        self._endpoint = endpoint
        self._client = client
        self._log = log

    async def think(self, request: ChatRequest, take: Take) -> None:
        """Ask the model. What goes wrong is the last thought. Cancelled, the connection is closed at once."""
        failure = None
        answer = ChatAnswer(request.max_completion_tokens)
        with trio.move_on_after(_TOKEN_S) as patience:
            failure = await self._ask(request, answer, take, patience)
        if not answer.over:
            what = f"nothing for {_TOKEN_S:g} s, or no end within {_ANSWER_S:g} s"
            self._tell(failure or failures.too_slow(what), take)

    async def _ask(
        self, request: ChatRequest, answer: ChatAnswer, take: Take, patience: trio.CancelScope
    ) -> Failure | None:
        """Read the answer; why there is no more of it, where it does not say so itself."""
        over_at = trio.current_time() + _ANSWER_S
        try:
            async with self._client.stream(
                "POST", self._endpoint.url, content=self._body(request), headers=self._headers()
            ) as response:
                if response.status_code != httpx.codes.OK:
                    return failures.refused(response.status_code, await _beginning_of(response))
                async for piece in response.aiter_bytes():
                    for thought in answer.receive(piece):
                        self._tell(thought, take)
                    now = trio.current_time()
                    if answer.over:
                        patience.deadline = min(patience.deadline, now + _REST_S)
                    elif answer.begun:
                        patience.deadline = min(now + _TOKEN_S, over_at)
        except httpx.HTTPError as error:  # its text may hold what the server said
            return failures.broken(type(error).__name__)
        for thought in answer.end():
            self._tell(thought, take)
        return None

    def _tell(self, thought: Thought, take: Take) -> None:
        if isinstance(thought, Failure):
            if self._endpoint.quotes_key(thought.message):
                thought = msgspec.structs.replace(thought, message="The server of the model quoted its key")
            self._log.warning(
                "brain.failed", brain=self._endpoint.host, code=thought.code, detail=thought.message
            )
        take(thought)

    def _body(self, request: ChatRequest) -> bytes:
        settings = {"model": self._endpoint.model, "stream": True}
        return msgspec.json.encode(settings | msgspec.to_builtins(request))

    def _headers(self) -> dict[str, str]:
        # Compressed, small pieces would wait for each other.
        plain = {"accept-encoding": "identity", "content-type": "application/json"}
        return plain | self._endpoint.headers()


async def _beginning_of(response: httpx.Response) -> bytes:
    body = b""
    with trio.move_on_after(_REST_S):
        async for piece in response.aiter_bytes():
            body = (body + piece)[:_ERROR_BYTES]
    return body
