"""The caller's side of a recorded SIP call, played again in real time: the leg of a new call."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import trio

from gateway.carriers.sip import leg_messages as wire
from gateway.contracts import EndReason
from gateway.traces.format import Header
from gateway.traces.reader import Trace, TraceUnreadable
from gateway.wire.errors import RemoteProtocolError

__all__ = ["RecordedCall", "RecordedCaller", "read_caller"]

# A caller who was hung up on had nothing more to say; he hears the agent out for so long.
_PATIENCE_S: Final = 5.0
# What the caller did. All else was told because of what our side did, or passed for the ladder.
_HIS: Final = (wire.MediaAgreed, wire.DigitInformed, wire.TransferAsked, wire.CallOver)


class RecordedCall(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller did, once he was answered: each message of the carrier, and when, in seconds since the call was answered."""

    header: Header
    said: list[tuple[float, str | bytes]]

    @property
    def lasts_s(self) -> float:
        return self.said[-1][0]


def read_caller(folder: Path) -> RecordedCall:
    """Of a call's folder, imported or recorded. Raises `TraceUnreadable`, also for a call that is none of SIP.

    What was before the answer is left out: nobody has to wait again until somebody answers.
    """
    said: list[tuple[float, str | bytes]] = []
    answered_us: int | None = None
    with Trace(folder) as trace:
        if trace.header.carrier != "sip":
            raise TraceUnreadable(
                f"{folder}: a call of {trace.header.carrier}, and only those of SIP can be rerun"
            )
        for entry, data in trace.entries():
            if entry.port != "carrier":
                continue
            try:
                message = wire.decode(data) if isinstance(data, str) else None
            except RemoteProtocolError as error:
                raise TraceUnreadable(f"{folder}: entry {entry.seq}: {error}") from error
            if answered_us is None and isinstance(message, wire.MediaAgreed) and not message.early:
                answered_us = entry.t_us
            if answered_us is not None and (message is None or isinstance(message, _HIS)):
                said.append(((entry.t_us - answered_us) / 1e6, data))
        header = trace.header
    if answered_us is None:
        raise TraceUnreadable(f"{folder}: the call was never answered")
    return RecordedCall(header=header, said=said)


class RecordedCaller:
    """The `CallLeg` of such a call. What the caller hears goes nowhere, and any transfer is taken."""

    def __init__(self, said: Sequence[tuple[float, str | bytes]]) -> None:
        self._said = iter(said)
        self._began: float | None = None
        self._hung_up = False

    async def receive(self) -> str | bytes:
        if self._began is None:
            self._began = trio.current_time()
        if self._hung_up:
            await trio.sleep_forever()  # the call ends by what was received
        at_s, data = next(self._said, (None, ""))
        if at_s is None:
            await trio.sleep(_PATIENCE_S)
            data = wire.encode(wire.CallOver(why="hung up"))
        else:
            await trio.sleep_until(self._began + at_s)
        self._hung_up = isinstance(data, str) and isinstance(wire.decode(data), wire.CallOver)
        return data

    async def send(self, _data: str | bytes) -> None:
        await trio.lowlevel.checkpoint()

    async def answer(self) -> None:
        await trio.lowlevel.checkpoint()

    async def transfer(self, _destination: str) -> None:
        await trio.lowlevel.checkpoint()

    async def finish(self, _reason: EndReason) -> None:
        await trio.lowlevel.checkpoint()

    def last_words(self) -> Sequence[str | bytes]:
        return ()

    def release(self) -> None:
        """There is nothing to give back."""
