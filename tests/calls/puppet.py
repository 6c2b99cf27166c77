"""A voice that does what a test says."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from gateway.contracts import Agent, SessionLost, SessionRefused, VoiceTraits


class PuppetConnection:
    """One session: `heard` has what the call sent, `says` sends an event to the call."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.lost = trio.Event()
        self.deaf = False
        self._say, self._said = trio.open_memory_channel[str](10_000)

    async def send(self, event: str) -> None:
        if self.deaf:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        self.heard.append(json.loads(event))
        if self.heard[-1]["type"] == "session.update":
            self.says(type="session.updated", session={"id": "sess_puppet"})

    async def receive(self) -> str:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, nursery.cancel_scope)
            event = await self._said.receive()
            nursery.cancel_scope.cancel()
            return event
        raise SessionLost("the puppet's strings were cut")

    async def _watch(self, scope: trio.CancelScope) -> None:
        await self.lost.wait()
        scope.cancel()

    def says(self, **event: Any) -> None:
        self._say.send_nowait(json.dumps({"event_id": "e"} | event))

    def speaks(self, response: str, ms: int) -> None:
        """A response of `ms` of silence, complete."""
        self.says(type="response.created", response={"id": response, "status": "in_progress"})
        self.says(
            type="response.output_audio.delta",
            response_id=response,
            item_id=f"i{response}",
            delta="AAAA" * 16 * ms,
        )
        self.says(type="response.output_audio.done", response_id=response, item_id=f"i{response}")
        self.says(type="response.done", response={"id": response, "status": "completed"})


class Puppet:
    """A `VoiceBackend`. `refuses`: no session can be had. `takes_s`: how long connecting takes."""

    traits = VoiceTraits(name="puppet")

    def __init__(self, *, refuses: bool = False, takes_s: float = 0.0) -> None:
        self.refuses = refuses
        self.takes_s = takes_s
        self.sessions: list[PuppetConnection] = []
        self.open = 0

    @asynccontextmanager
    async def connect(self, _agent: Agent) -> AsyncIterator[PuppetConnection]:
        await trio.sleep(self.takes_s)
        if self.refuses:
            raise SessionRefused("the puppet has no stage")
        connection = PuppetConnection()
        self.sessions.append(connection)
        self.open += 1
        try:
            yield connection
        finally:
            self.open -= 1

    async def run(self) -> None:
        await trio.sleep_forever()
