"""The fake Twilio in real time, over TCP: an echo for two callers."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio.testing

from gateway.net.websocket import WebSocketClosed, accept
from gateway.testing.fake_twilio import FakeTwilio, TwilioAccount
from gateway.testing.twilio_call import EndedBy

PAGE = "<Response><Connect><Stream url='ws://127.0.0.1/media'/></Connect></Response>"


async def serve(stream: trio.SocketStream) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        head += await stream.receive_some()
    if head.startswith(b"POST"):
        answer = f"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {len(PAGE)}\r\n\r\n{PAGE}"
        await stream.send_all(answer.encode())
        return
    async with accept(stream, head=head) as websocket:
        try:
            while True:
                message = json.loads(await websocket.receive())
                if message["event"] == "media":
                    payload = message["media"]["payload"]
                    echo = {
                        "event": "media",
                        "streamSid": message["streamSid"],
                        "media": {"payload": payload},
                    }
                    await websocket.send(json.dumps(echo))
        except WebSocketClosed:
            return


@asynccontextmanager
async def a_twilio() -> AsyncIterator[FakeTwilio]:
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(trio.serve_tcp, serve, 0)
            account = TwilioAccount(
                account_sid="AC" + "1" * 32,
                auth_token="token",
                public_url="http://127.0.0.1",
                dial=lambda: trio.testing.open_stream_to_socket_listener(listeners[0]),
            )
            async with FakeTwilio(account) as twilio:
                yield twilio
            nursery.cancel_scope.cancel()


async def test_a_caller_hears_his_echo_and_hangs_up() -> None:
    speech = b"\x00\x40" * 4000

    async with a_twilio() as twilio, twilio.call(from_="+15550100001", to="+15550100002") as caller:
        await caller.says(speech)
        await caller.quiet(0.2)
        ending = await caller.hangs_up()

    said, heard = caller.recording()
    assert ending.by is EndedBy.CALLER
    assert len(said) == len(heard)
    assert heard.count(said[:2]) == 4000
    assert caller.warnings == []


async def test_a_lost_socket_is_noticed_over_tcp() -> None:
    async with a_twilio() as twilio, twilio.call(from_="+15550100001", to="+15550100002") as caller:
        caller.loses_socket(action_follows=False)
        ending = await caller.ended()

    assert ending.by is EndedBy.LOST
    assert [warning.code for warning in caller.warnings] == [31903]


async def test_two_callers_at_once_are_answered_each_with_his_own_voice() -> None:
    heard = {}

    async def calls(twilio: FakeTwilio, sample: bytes) -> None:
        async with twilio.call(from_="+15550100001", to="+15550100002") as caller:
            await caller.says(sample * 1600)
            await caller.quiet(0.2)
            heard[sample] = caller.recording()

    async with a_twilio() as twilio, trio.open_nursery() as nursery:
        nursery.start_soon(calls, twilio, b"\x00\x20")
        nursery.start_soon(calls, twilio, b"\x00\x40")

    for said, echoed in heard.values():
        assert echoed.count(said[:2]) == 1600
