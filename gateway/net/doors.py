"""A public port: HTTP POSTs that are answered at once, and WebSockets that stay.

Whoever comes is bounded in bytes and time before anything is known of them, and every connection ends
closed. One connection carries one request.
"""

import contextlib
import ssl
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn, Protocol

import structlog
import trio

from gateway.net.exchange import Answer as Answer
from gateway.net.exchange import Exchange, Refused
from gateway.net.exchange import Head as Head
from gateway.net.websocket import WebSocket, WebSocketClosed, accept

TLS_S = 5
# The kernel's own choice would hide ten seconds of unread audio from whoever paces it.
SEND_BUFFER_BYTES = 8192

log = structlog.get_logger()


class PostRoute(Protocol):
    """What answers the POSTs to one path."""

    def refuse(self, head: Head) -> Answer | None:
        """The answer for a sender who is not welcome; None to have the body read."""

    async def answer(self, head: Head, body: bytes) -> Answer: ...


class UpgradeRoute(Protocol):
    """What takes the WebSockets under one prefix of paths."""

    def refuse(self, head: Head) -> Answer | None:
        """The answer for a sender who is not welcome; None to have the upgrade accepted."""

    async def serve(self, head: Head, websocket: WebSocket) -> None:
        """Live with the connection; it is closed on return. May let `WebSocketClosed` pass, and nothing else."""


class Door:
    """Checks who comes and leads them to their route.

    `posts`: by path. `upgrades`: by the beginning of the path; none begins another. `max_open`: how many
    connections may be without a WebSocket at a time; the next gets a 503.
    """

    def __init__(
        self,
        posts: Mapping[str, PostRoute],
        upgrades: Mapping[str, UpgradeRoute],
        *,
        max_open: int = 512,
    ) -> None:
        self._posts = posts
        self._upgrades = upgrades
        self._max_open = max_open
        self._open = 0

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until it is closed. Raises nothing but what a route's `serve` raises."""
        exchange = Exchange(stream)
        try:
            upgrade = await self._admit(stream, exchange)
            if upgrade is not None:
                route, head = upgrade
                async with accept(
                    stream, head=exchange.raw_head, send_buffer_bytes=SEND_BUFFER_BYTES
                ) as websocket:
                    await route.serve(head, websocket)
        except WebSocketClosed:
            return  # the peer is gone: most connections end so
        finally:
            await trio.aclose_forcefully(stream)

    async def _admit(self, stream: trio.abc.Stream, exchange: Exchange) -> tuple[UpgradeRoute, Head] | None:
        """Answer whoever comes, except to an upgrade that is welcome: that is returned."""
        self._open += 1
        try:
            return await self._lead(stream, exchange)
        except Refused as refused:
            with contextlib.suppress(trio.BrokenResourceError):  # nobody is left to be answered
                await exchange.answer(refused.answer)
        except trio.BrokenResourceError:
            return None  # likewise
        finally:
            self._open -= 1
        return None

    async def _lead(self, stream: trio.abc.Stream, exchange: Exchange) -> tuple[UpgradeRoute, Head] | None:
        crowded = self._open > self._max_open
        if isinstance(stream, trio.SSLStream):
            if crowded:
                return None  # to say so would cost a handshake
            await _shake_hands(stream)
        if crowded:
            raise Refused(Answer(503))
        head = await exchange.read_head()
        if head is None:
            return None
        if head.path in self._posts:
            await exchange.answer(await _posted(self._posts[head.path], head, exchange))
            return None
        prefix = next((prefix for prefix in self._upgrades if head.path.startswith(prefix)), None)
        if prefix is None:
            raise Refused(Answer(404))
        _check_upgrade(self._upgrades[prefix], prefix, head, exchange)
        return self._upgrades[prefix], head


async def open_door(
    door: Door,
    listeners: Sequence[trio.abc.Listener[Any]],
    *,
    handler_nursery: trio.Nursery,
    task_status: trio.TaskStatus[list[trio.abc.Listener[Any]]] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Let connections in until cancelled; then the listeners are closed, and `handler_nursery` lives on."""
    await trio.serve_listeners(
        door.serve_stream, list(listeners), handler_nursery=handler_nursery, task_status=task_status
    )


def with_tls(
    listeners: Sequence[trio.abc.Listener[Any]], context: ssl.SSLContext
) -> list[trio.SSLListener[Any]]:
    """The same listeners behind TLS, for HTTP/1.1 alone: a client that can do more agrees on that."""
    context.set_alpn_protocols(["http/1.1"])
    return [trio.SSLListener(listener, context, https_compatible=True) for listener in listeners]


async def _shake_hands(stream: trio.SSLStream[Any]) -> None:
    with trio.move_on_after(TLS_S) as patience:
        await stream.do_handshake()
    if patience.cancelled_caught:
        raise trio.BrokenResourceError("no TLS handshake")


async def _posted(route: PostRoute, head: Head, exchange: Exchange) -> Answer:
    if head.method != "POST":
        raise Refused(Answer(405, headers=(("Allow", "POST"),)))
    with _bugs_answered(head.path):
        refusal = route.refuse(head)
    if refusal is not None:
        raise Refused(refusal)
    body = await exchange.read_body()
    with _bugs_answered(head.path):
        return await route.answer(head, body)


def _check_upgrade(route: UpgradeRoute, prefix: str, head: Head, exchange: Exchange) -> None:
    if head.method != "GET":
        raise Refused(Answer(405, headers=(("Allow", "GET"),)))
    if (head.header("upgrade") or "").lower() != "websocket":
        raise Refused(Answer(426, headers=(("Upgrade", "websocket"),)))  # RFC 9110 §15.5.22
    if exchange.beyond_head:
        raise Refused(Answer(400))  # RFC 6455 §4.1: a client waits for the answer
    with _bugs_answered(prefix):
        refusal = route.refuse(head)
    if refusal is not None:
        raise Refused(refusal)


@contextlib.contextmanager
def _bugs_answered(route: str) -> Iterator[None]:
    """A bug in a route costs its sender a 500, and nobody else anything."""
    try:
        yield
    except Exception as error:
        log.exception("route.broke", route=route)
        raise Refused(Answer(500)) from error
