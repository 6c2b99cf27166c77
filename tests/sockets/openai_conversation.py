"""A conversation by OpenAI's own client, as a program: `python openai_conversation.py BASE_URL WAV WAV FRAMES`.

It asks what the first file says, then what the second one says, has something long said and cancels it, says how
much of it was heard, and lets a function be called. The server's frames go into FRAMES, one a line; what the client
made of them is printed as one JSON object.
"""

import asyncio
import base64
import json
import sys
import wave
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import RealtimeFunctionToolParam, RealtimeServerEvent

LONGEST_S = 50
CHUNK_BYTES = 4800  # 100 ms
SILENCE = bytes(CHUNK_BYTES * 10)
LONG = "There is more to be said. " * 400
HEARD_MS = 250
TRANSFER: RealtimeFunctionToolParam = {
    "type": "function",
    "name": "transfer_call",
    "description": "Connect the caller with somebody.",
    "parameters": {"type": "object", "properties": {"destination": {"type": "string"}}},
}


class Talk:
    """One session. `frames`: all that the server has sent."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.frames: list[str] = []
        self._connection = connection

    async def next(self) -> RealtimeServerEvent:
        raw = await self._connection.recv_bytes()
        self.frames.append(raw.decode())
        event = self._connection.parse_event(raw)
        if event.type == "error":
            raise AssertionError(event.error.message)
        return event

    async def wait_for(self, kind: str) -> Any:
        while (event := await self.next()).type != kind:
            pass
        return event

    async def ask(self, path: Path) -> dict[str, Any]:
        """Say what a file says; what was understood and answered."""
        with wave.open(str(path)) as file:
            pcm = file.readframes(file.getnframes()) + SILENCE
        for at in range(0, len(pcm), CHUNK_BYTES):
            audio = base64.b64encode(pcm[at : at + CHUNK_BYTES]).decode()
            await self._connection.input_audio_buffer.append(audio=audio)
        written = await self.wait_for("conversation.item.input_audio_transcription.completed")
        return {"heard": written.transcript, **await self.answer()}

    async def answer(self) -> dict[str, Any]:
        audio_ms = 0
        words = ""
        while (event := await self.next()).type != "response.done":
            if event.type == "response.output_audio.delta":
                audio_ms += len(base64.b64decode(event.delta)) // 48
            elif event.type == "response.output_audio_transcript.delta":
                words += event.delta
        calls = [item for item in event.response.output or [] if item.type == "function_call"]
        return {
            "status": event.response.status,
            "audio_ms": audio_ms,
            "words": words,
            "calls": [[call.name, call.arguments, call.call_id] for call in calls],
        }

    async def cut(self) -> dict[str, Any]:
        """Have something long said, cancel it, and say how much of it was heard."""
        await self._connection.response.create(response={"metadata": {"say": LONG}})
        delta = await self.wait_for("response.output_audio.delta")
        await self._connection.response.cancel()
        answer = await self.answer()
        await self._connection.conversation.item.truncate(
            item_id=delta.item_id, content_index=0, audio_end_ms=HEARD_MS
        )
        truncated = await self.wait_for("conversation.item.truncated")
        return answer | {"heard_ms": truncated.audio_end_ms}

    async def write(self, text: str) -> dict[str, Any]:
        content = [{"type": "input_text", "text": text}]
        return await self.tell({"type": "message", "role": "user", "content": content})

    async def tell(self, item: Any) -> dict[str, Any]:
        """Put something into the conversation and ask for the answer."""
        await self._connection.conversation.item.create(item=item)
        await self._connection.response.create()
        return await self.answer()


async def converse(base_url: str, first: Path, second: Path) -> tuple[dict[str, Any], list[str]]:
    client = AsyncOpenAI(api_key="sk-nobody-asks-for-it", websocket_base_url=base_url)
    async with client.realtime.connect(model="gpt-realtime") as connection:
        talk = Talk(connection)
        created = await talk.wait_for("session.created")
        await connection.session.update(
            session={
                "type": "realtime",
                "instructions": "You answer the phone of a restaurant.",
                "tools": [TRANSFER],
                "audio": {
                    "input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 500}},
                    "output": {"voice": "marin"},
                },
            }
        )
        updated = await talk.wait_for("session.updated")
        told = {
            "model": created.session.model,
            "voice": updated.session.audio.output.voice,
            "first": await talk.ask(first),
            "second": await talk.ask(second),
            "cut": await talk.cut(),
            "wish": await talk.write("I would like to speak to the operator."),
        }
        ((_, _, call_id),) = told["wish"]["calls"]
        output = json.dumps({"error": "nobody is there"})
        told["after"] = await talk.tell(
            {"type": "function_call_output", "call_id": call_id, "output": output}
        )
    return told, talk.frames


def main() -> None:
    base_url, first, second, frames = sys.argv[1:]
    talk = asyncio.wait_for(converse(base_url, Path(first), Path(second)), LONGEST_S)
    told, came = asyncio.run(talk)
    Path(frames).write_text("\n".join(came))
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
