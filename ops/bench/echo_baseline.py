"""The least that a Twilio gateway can cost: the same door, each frame of the caller sent back as it came."""

import json
import sys

import trio

from gateway.carriers.twilio.twiml import connect_stream
from gateway.net.doors import Answer, Door, Head, open_door
from gateway.net.websocket import WebSocket, WebSocketClosed

PATH = "/twilio/media/"


class Voice:
    def __init__(self, port: int) -> None:
        self._origin = f"127.0.0.1:{port}"

    def refuse(self, head: Head) -> Answer | None:
        return None

    async def answer(self, head: Head, body: bytes) -> Answer:
        urls = {
            "action_url": f"http://{self._origin}/twilio/after",
            "stream_url": f"ws://{self._origin}{PATH}x",
            "status_url": f"http://{self._origin}/twilio/status",
        }
        return Answer(200, connect_stream(**urls).encode(), "text/xml")


class After(Voice):
    async def answer(self, head: Head, body: bytes) -> Answer:
        return Answer(200, b"<Response><Hangup/></Response>", "text/xml")


class Echo:
    def refuse(self, head: Head) -> Answer | None:
        return None

    async def serve(self, head: Head, websocket: WebSocket) -> None:
        try:
            while True:
                message = json.loads(await websocket.receive())
                if message["event"] == "media":
                    media = {"payload": message["media"]["payload"]}
                    await websocket.send(
                        json.dumps({"event": "media", "streamSid": message["streamSid"], "media": media})
                    )
        except WebSocketClosed:
            return


async def main() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    door = Door({"/twilio/voice": Voice(port), "/twilio/after": After(port)}, {PATH: Echo()})
    async with trio.open_nursery() as nursery:
        sys.stdout.write(f"public door   127.0.0.1:{port}\n")
        sys.stdout.flush()
        await open_door(door, listeners, handler_nursery=nursery)


trio.run(main)
