"""One HTTP/1.1 request and its answer, bounded in bytes and in time. RFC 9110, RFC 9112."""

from dataclasses import dataclass
from http import HTTPStatus

import h11
import trio

from gateway.net.streams import peer_of

HEAD_BYTES = 16 * 1024
HEAD_S = 5
BODY_BYTES = 64 * 1024
BODY_S = 10
SEND_S = 2
LINGER_BYTES = 64 * 1024
LINGER_S = 1
RECEIVE_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a request says before its body.

    `target`: as received; `path` and `query`: the two sides of its `?`. `headers`: in order, names in lower
    case. `peer`: the sender's IP address, or empty.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    peer: str = ""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    def header(self, name: str) -> str | None:
        """The value of a header; of a repeated one all values, with commas between. RFC 9110 §5.3."""
        values = [value for key, value in self.headers if key == name.lower()]
        return ", ".join(values) if values else None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a request. Raises `ValueError` for a status or a header that cannot be sent."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        try:
            self.response()
        except (h11.LocalProtocolError, UnicodeError) as error:
            raise ValueError(f"this answer cannot be sent: {error}") from error

    def response(self) -> h11.Response:
        """The answer's own head. Every answer ends its connection."""
        fields = [("Connection", "close"), *self.headers]
        if self.body:
            fields.append(("Content-Type", self.content_type))
        if self.status != HTTPStatus.NO_CONTENT:  # RFC 9110 §8.6
            fields.append(("Content-Length", str(len(self.body))))
        return h11.Response(status_code=self.status, reason=HTTPStatus(self.status).phrase, headers=fields)


class Refused(Exception):
    """The request goes no further; its sender is owed `answer`."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Exchange:
    """A stream that carries one request: `read_head`, perhaps `read_body`, then `answer`.

    Each raises `trio.BrokenResourceError` when the peer is gone.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        self._received = bytearray()
        self._announced_bytes = 0

    async def read_head(self) -> Head | None:
        """The request's head, or None when the peer left without a word, as health checks do.

        Raises `Refused` for what is not HTTP/1, too long, or not here within 5 s.
        """
        request = await self._next(trio.current_time() + HEAD_S)
        if not isinstance(request, h11.Request):
            return None
        if len(self.raw_head) > HEAD_BYTES:
            raise Refused(Answer(431))
        if not request.http_version.startswith(b"1."):
            raise Refused(Answer(505))
        fields = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers)
        head = Head(
            method=request.method.decode("ascii"),
            target=request.target.decode("ascii"),
            headers=fields,
            peer=peer_of(self._stream),
        )
        self._announced_bytes = int(head.header("content-length") or 0)
        return head

    @property
    def raw_head(self) -> bytes:
        """The request's head as it came, with its empty line."""
        return bytes(self._received[: len(self._received) - len(self.beyond_head)])

    @property
    def beyond_head(self) -> bytes:
        """What the peer has sent after the head, and nobody has read."""
        beyond, _ = self._http.trailing_data
        return beyond

    async def read_body(self) -> bytes:
        """The request's body. Raises `Refused` past 64 kB, and when it is not here within 10 s."""
        if self._announced_bytes > BODY_BYTES:
            raise Refused(Answer(413))
        if self._http.they_are_waiting_for_100_continue:
            await self._send(h11.InformationalResponse(status_code=100, headers=[], reason="Continue"))
        deadline = trio.current_time() + BODY_S
        body = bytearray()
        while isinstance(event := await self._next(deadline), h11.Data):
            body += event.data
            if len(body) > BODY_BYTES:
                raise Refused(Answer(413))
        return bytes(body)

    async def answer(self, answer: Answer) -> None:
        """Send the answer, for at most 2 s; what came after it would not be read."""
        body_unread = self._http.their_state is h11.SEND_BODY
        await self._send(answer.response(), h11.Data(data=answer.body), h11.EndOfMessage())
        if body_unread:
            with trio.move_on_after(LINGER_S):
                await self._linger()

    async def _linger(self) -> None:
        """Let the peer read the answer before its unread body makes the kernel reset it. RFC 9112 §9.6."""
        if isinstance(self._stream, trio.SocketStream):
            await self._stream.send_eof()
        left_bytes = LINGER_BYTES
        while left_bytes > 0 and (data := await self._stream.receive_some(left_bytes)):
            left_bytes -= len(data)

    async def _send(self, *events: h11.Event) -> None:
        data = b"".join(self._http.send(event) or b"" for event in events)
        with trio.move_on_after(SEND_S) as patience:
            await self._stream.send_all(data)
        if patience.cancelled_caught:
            raise trio.BrokenResourceError("the peer does not read")

    async def _next(self, deadline: float) -> object:
        """The next part of the request. Raises `Refused` when it is malformed or not here in time."""
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                with trio.fail_at(deadline):
                    data = await self._stream.receive_some(RECEIVE_BYTES)
                if self._http.their_state is h11.IDLE:
                    self._received += data
                self._http.receive_data(bytes(data))
        except h11.RemoteProtocolError as error:
            raise Refused(Answer(error.error_status_hint)) from None
        except trio.TooSlowError:
            raise Refused(Answer(408)) from None
        return event
