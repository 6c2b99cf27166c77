"""The web application of the private door: is the gateway alive, does it take calls, what does it count.

It knows nothing of calls: it is handed functions that answer.
"""

from collections.abc import Callable

import trio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.telemetry.metrics import CONTENT_TYPE

MAX_BODY_BYTES = 65_536
BODY_DEADLINE_S = 10.0


def make_app(ready: Callable[[], bool], metrics: Callable[[], bytes]) -> Starlette:
    """The application. `ready`: whether new calls are taken. `metrics`: the exposition of all metrics."""

    async def healthz(_request: Request) -> Response:
        # That this runs at all is the answer: it does so in the loop that runs the calls.
        return PlainTextResponse("ok\n")

    async def readyz(_request: Request) -> Response:
        # HAProxy takes a node out on 404 and leaves its connections alone; Kubernetes takes any status but 2xx.
        return PlainTextResponse("ready\n") if ready() else PlainTextResponse("draining\n", 404)

    async def expose(_request: Request) -> Response:
        return Response(metrics(), media_type=CONTENT_TYPE)

    return Starlette(
        routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", expose)],
        middleware=[Middleware(BoundedBodies)],
    )


class BoundedBodies:
    """Hands on only requests whose whole body came in time and is small; answers 413 or 408 to others.

    The server reads for ever, so that server-sent events can last; the bound on what a request sends is here.
    A client that goes away, before or during the answer, is nobody's error.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body: bytes | None = None
        try:
            with trio.move_on_after(BODY_DEADLINE_S):
                body = await _read_body(receive)
            if body is None:
                refusal = PlainTextResponse("the body took too long\n", 408)
                await refusal(scope, receive, send)
            elif len(body) > MAX_BODY_BYTES:
                refusal = PlainTextResponse("the body is too large\n", 413)
                await refusal(scope, receive, send)
            else:
                await self._app(scope, _replay(body, receive), send)
        except ClientDisconnect:
            return


async def _read_body(receive: Receive) -> bytes:
    """The body, or as much of it as shows that it is too large. Raises `ClientDisconnect`."""
    body = bytearray()
    while len(body) <= MAX_BODY_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Says the whole body at once, then what the server says."""
    said = False

    async def replay() -> Message:
        nonlocal said
        if said:
            return await receive()
        said = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
