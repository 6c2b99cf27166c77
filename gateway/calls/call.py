"""One call as an actor: a core, four tasks and one ending.

`feed` is the only way into the core: it stamps, records, feeds, drains, records what came out and hands it
on. The tasks read and write wires and decide nothing. `end` is the only way out: the first reason wins.
"""

import collections
import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, assert_never

import msgspec
import structlog
import trio

from gateway import contracts as c
from gateway.calls.core import CallCore
from gateway.calls.keeper import Keeper, OutboxMark
from gateway.calls.outbox import Outbox, OutboxFull
from gateway.calls.record import CallRecord
from gateway.calls.recording import Recording
from gateway.calls.services import Services, TraceSink

__all__ = ["Call", "Services"]

# Media runs 200 ms ahead in messages of 20 ms or more: this is a carrier that has read nothing for minutes.
_MOST_CARRIER_MESSAGES = 1000

_CUT_S = 2.0
_LAST_MESSAGE_S = 0.2  # who is gone may have said why, and it waits to be received
_TEARDOWN_S = 2.0
_TOOL_S = 30.0
_CLIP_S = 10.0


class _CutToMake(NamedTuple):
    """What must be on the wires in time: so many messages to the carrier, and so many to the voice."""

    at: float
    carrier_count: int
    voice: OutboxMark | None


class Call:
    """One call from its leg's first message to its record.

    `run` returns when every task of the call has ended and everything it held is given back.
    """

    def __init__(
        self,
        *,
        call_id: str,
        core: CallCore,
        leg: c.CallLeg,
        agents: Mapping[str, c.Agent],
        services: Services,
        record: CallRecord,
        trace: TraceSink | None,
        recording: Recording | None,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self.call_id = call_id
        self.record = record
        self.reason: c.EndReason | None = None
        self._core = core
        self._leg = leg
        self._prompt = leg if isinstance(leg, c.PromptLeg) else None
        self._services = services
        self._trace = trace
        self._recording = recording
        self._log = log
        self._inputs: collections.deque[tuple[c.Port, str | bytes]] = collections.deque()
        self._feeding = False
        self._seq = 0
        self._began = 0.0
        self._carrier: Outbox[str | bytes] = Outbox(most_messages=_MOST_CARRIER_MESSAGES)
        self._keeper = Keeper(
            services.backends,
            agents,
            feed_voice=functools.partial(self.feed, "voice"),
            feed_command=self.command,
        )
        self._cuts: collections.deque[_CutToMake] = collections.deque()
        self._cut = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._error: Exception | None = None  # of what another task fed
        self._failed = trio.Event()
        self._disk = trio.Lock()  # one write of this call at a time

    # -- the one way in

    def feed(self, port: c.Port, data: str | bytes = "") -> None:
        """Take one input: at once, or behind the one that is being taken."""
        self._inputs.append((port, data))
        if self._feeding:
            return
        self._feeding = True
        t_us = self._t_us()  # what is fed meanwhile happens now
        try:
            while self._inputs and self._core.ended is None and self.reason is None:
                self._feed_one(*self._inputs.popleft(), t_us)
        finally:
            self._feeding = False

    def command(self, command: c.Command) -> None:
        self.feed("command", msgspec.json.encode(command).decode())

    def _feed_one(self, port: c.Port, data: str | bytes, t_us: int) -> None:
        self._seq += 1
        now = t_us / 1e6
        if self._trace is not None:
            self._trace.input(self._seq, t_us, port, data)
        self._core.feed(port, data, now)
        for output in self._core.drain():
            if self._trace is not None:
                self._trace.output(self._seq, output)
            self._dispatch(output, now)

    def _t_us(self) -> int:
        return int((trio.current_time() - self._began) * 1e6)

    def _dispatch(self, output: c.Output, now: float) -> None:
        match output:
            case c.CarrierMessage():
                self._put_carrier(output.data)
            case c.VoiceMessage():
                self._put_voice(output)
            case c.Cut():
                self._cuts.append(
                    _CutToMake(trio.current_time(), self._carrier.put_count, self._keeper.talking)
                )
                self._cut.set()
            case c.Fact():
                self._note(output, now)
            case c.OpenVoice():
                self._keeper.open(output)
            case c.CloseVoice():
                self._keeper.close(output.session)
            case c.AnswerCall():
                self._start(self._leg.answer)
            case c.TransferCall():
                self._start(self._transfer, output.destination)
            case c.Synthesize():
                self._start(self._clip, output.id, self._services.synthesize, output.text, output.voice)
            case c.LoadClip():
                self._start(self._clip, output.id, self._services.load_clip, output.name)
            case c.RunTool():
                self._start(self._tool, output)
            case c.Ended():
                self.end(output.reason)
            case _:
                assert_never(output)

    def _put_carrier(self, data: str | bytes) -> None:
        if self._prompt is not None:
            self._prompt.send_now(data)
            return
        try:
            self._carrier.put(data)
        except OutboxFull:
            self.end(c.EndReason.CARRIER_STALLED)

    def _put_voice(self, message: c.VoiceMessage) -> None:
        try:
            self._keeper.put(message)
        except OutboxFull:
            self._keeper.drop(message.session)

    def _note(self, fact: c.Fact, now: float) -> None:
        self.record.note(fact, now)
        if fact.name != "carrier.troubled":  # may come with every frame: the record counts it
            # What people said stays in the call's folder.
            fields = {name: value for name, value in fact.fields.items() if name != "text"}
            self._log.info(fact.name, at_ms=round(now * 1000), **fields)
        self._services.watch(self.call_id, fact)

    # -- the one way out

    def end(self, reason: c.EndReason) -> None:
        """End the call; of several reasons the first one counts."""
        if self.reason is None:
            self.reason = reason
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    def hang_up(self, reason: c.EndReason) -> None:
        """End the call from outside, in its trace."""
        self.command(c.HangUp(reason=reason))

    # -- the tasks

    async def run(self) -> None:
        """The whole call. Raises nothing but what cancels it from outside: a bug in it ends this call alone."""
        self._began = trio.current_time()
        leave_clock = self._services.add_tick(functools.partial(self._feed_from_outside, "tick"))
        try:
            async with trio.open_nursery() as self._nursery:
                self._nursery.start_soon(self._listen)
                self._nursery.start_soon(self._respond)
                self._nursery.start_soon(self._interrupt)
                self._nursery.start_soon(self._keeper.run)
                await self._fails()
        except* Exception as group:  # noqa: BLE001 - containment: what is wrong here must reach no other call
            self.end(c.EndReason.BUG)
            self._log.exception("call.broken", exc_info=group)
        finally:
            leave_clock()
            if self.reason is None:  # cancelled from outside: a drain that has run out of patience
                self.reason = c.EndReason.DRAINED
            await self._tear_down(self.reason)

    async def _listen(self) -> None:
        """Carrier to core."""
        if self._prompt is not None:
            self._prompt.hear_with(functools.partial(self._feed_from_outside, "carrier"))
            await trio.sleep_forever()
        try:
            while True:
                self.feed("carrier", await self._leg.receive())
        except c.LegLost as error:
            self.command(c.CarrierClosed(detail=str(error)))

    async def _respond(self) -> None:
        """Core to carrier."""
        try:
            while True:
                await self._leg.send(await self._carrier.take())
                self._carrier.done()
        except c.LegLost as error:
            await trio.sleep(_LAST_MESSAGE_S)
            self.command(c.CarrierClosed(detail=str(error)))

    async def _interrupt(self) -> None:
        """Each cut is carried out on both wires in time, or the connection that did not is ended."""
        while True:
            while not self._cuts:
                self._cut = trio.Event()
                await self._cut.wait()
            cut = self._cuts.popleft()
            with trio.move_on_after(_CUT_S) as carrier:
                await self._carrier.carried(cut.carrier_count)
            if carrier.cancelled_caught:
                self.hang_up(c.EndReason.CARRIER_STALLED)
                return
            self._services.clear_took(trio.current_time() - cut.at)
            if cut.voice is not None:
                await self._carried_by_voice(cut.voice)

    async def _carried_by_voice(self, mark: OutboxMark) -> None:
        with trio.move_on_after(_CUT_S) as patience:
            await mark.outbox.carried(mark.messages)
        if patience.cancelled_caught:
            self._keeper.drop(mark.session)

    def _feed_from_outside(self, port: c.Port, data: str | bytes = "") -> None:
        """As `feed`, in somebody else's task: the pacing clock's, or that of a carrier which makes nobody wait.

        What goes wrong here is raised in this call's own.
        """
        try:
            self.feed(port, data)
        except Exception as error:  # noqa: BLE001 - stored, and raised again in `run`
            self._error = error
            self._failed.set()

    async def _fails(self) -> None:
        await self._failed.wait()
        if self._error is not None:
            raise self._error

    # -- requests: one task each, the answer comes back as a command

    def _start(self, request: Callable[..., Awaitable[None]], *args: object) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(request, *args)

    async def _transfer(self, destination: str) -> None:
        try:
            await self._leg.transfer(destination)
        except c.TransferFailed as error:
            self.command(c.TransferRefused(destination=destination, detail=str(error)))
        else:
            self.command(c.TransferTaken(destination=destination))

    async def _clip(self, clip: int, make: Callable[..., Awaitable[bytes]], *args: object) -> None:
        try:
            with trio.fail_after(_CLIP_S):
                pcm = await make(*args)
        except (c.RequestFailed, trio.TooSlowError) as error:
            self.command(c.ClipFailed(id=clip, detail=str(error) or f"took longer than {_CLIP_S} s"))
        else:
            self.command(c.ClipReady(id=clip, pcm=pcm))

    async def _tool(self, request: c.RunTool) -> None:
        try:
            with trio.fail_after(_TOOL_S):
                output = await self._services.run_tool(request.name, request.arguments)
        except (c.RequestFailed, trio.TooSlowError) as error:
            detail = str(error) or f"took longer than {_TOOL_S} s"
            self.command(
                c.ToolDone(id=request.id, output=_encodable(f"The tool failed: {detail}"), failed=True)
            )
        else:
            self.command(c.ToolDone(id=request.id, output=_encodable(output)))

    # -- the end

    async def flush(self) -> None:
        """Put on disk what was gathered since the last time."""
        async with self._disk:
            if self.reason is not None:  # the teardown writes the rest, and what it had to abandon stays so
                return
            if self._trace is not None:
                await self._trace.flush(self._services.run_blocking)
            if self._recording is not None:
                now = trio.current_time() - self._began
                await self._recording.flush(now, self._services.run_blocking)

    async def _tear_down(self, reason: c.EndReason) -> None:
        """Polite for two seconds; after it, nothing of the call is left."""
        lasted_s = trio.current_time() - self._began
        self.record.end(reason, lasted_s)
        self.record.caller_audio_dropped_ms = self._keeper.dropped_ms
        try:
            await self._take_leave(reason)
        finally:
            with trio.move_on_after(_TEARDOWN_S, shield=True):
                async with self._disk:
                    await self._save(lasted_s)
            self._note_what_was_saved()

    async def _take_leave(self, reason: c.EndReason) -> None:
        try:
            with trio.move_on_after(_TEARDOWN_S, shield=True):
                await self._leg.finish(reason)
        except c.LegLost:
            self._log.info("leg.gone")  # the caller hung up first
        finally:
            self._keep_last_words()
            self._leg.release()

    def _keep_last_words(self) -> None:
        """Behind the end of a core nothing has an effect, and whoever reads the trace sees how it went out."""
        if self._trace is None or self._core.ended is None:
            return
        for data in self._leg.last_words():
            self._seq += 1
            self._trace.input(self._seq, self._t_us(), "carrier", data)

    async def _save(self, lasted_s: float) -> None:
        run_blocking = self._services.run_blocking
        if self._trace is not None:
            await self._trace.close(run_blocking)
            self.record.trace = "complete"
        if self._recording is not None:
            await self._recording.close(lasted_s, run_blocking)

    def _note_what_was_saved(self) -> None:
        """Also when saving was cut off: what is not known to be complete is not called so."""
        if self._trace is None:
            self.record.trace = "none"
        elif self._trace.failed is not None:
            self.record.trace = f"failed: {self._trace.failed}"
        if self._recording is not None:
            self.record.recording = self._recording.state


def _encodable(text: str) -> str:
    """Without the half characters that a function may return and UTF-8 has no bytes for."""
    return text.encode("utf-8", "replace").decode()
