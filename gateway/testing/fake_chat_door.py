"""The fake server of chat completions on a stream, by HTTP/1.1. RFC 9112."""

import h11
import trio

from gateway.net.tasks import open_tasks
from gateway.testing.fake_chat import FakeChat

__all__ = ["serve_chat"]

_RECEIVE_BYTES = 16 * 1024


async def serve_chat(chat: FakeChat, stream: trio.abc.Stream) -> None:
    """Answer what comes on one connection, until its client closes it."""
    connection = h11.Connection(h11.SERVER)
    try:
        while await _exchange(chat, connection, stream):
            connection.start_next_cycle()
    except trio.BrokenResourceError:
        chat.broken_off += 1
    finally:
        await trio.aclose_forcefully(stream)


async def _exchange(chat: FakeChat, connection: h11.Connection, stream: trio.abc.Stream) -> bool:
    """One request and its answer. False when no more comes."""
    authorization, body = "", b""
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        match event:
            case h11.NEED_DATA:
                connection.receive_data(bytes(await stream.receive_some(_RECEIVE_BYTES)))
            case h11.Request():
                authorization = dict(event.headers).get(b"authorization", b"").decode()
            case h11.Data():
                body += bytes(event.data)
            case _:
                return False
    answer = chat.answer(body, authorization)
    headers = [("content-type", answer.content_type), ("transfer-encoding", "chunked")]
    await _send(connection, stream, h11.Response(status_code=answer.status, headers=headers))
    data: bytes | None = None
    async with open_tasks() as nursery:
        nursery.start_soon(_notice_end, stream)
        for pause_s, data in answer.pieces:
            await trio.sleep(pause_s)
            if data is None:
                break
            await _send(connection, stream, h11.Data(data=data))
        nursery.cancel_scope.cancel()
    if data is not None:
        await _send(connection, stream, h11.EndOfMessage())
    return data is not None


async def _send(connection: h11.Connection, stream: trio.abc.Stream, event: h11.Event) -> None:
    await stream.send_all(connection.send(event) or b"")


async def _notice_end(stream: trio.abc.Stream) -> None:
    """Who asks says nothing more until he is answered: if anything comes, he has gone."""
    await stream.receive_some(1)
    raise trio.BrokenResourceError
