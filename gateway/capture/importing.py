"""`gateway import`: each call of a capture becomes a call folder.

The file is read twice: for the signalling, which says what calls there are and where their media goes, and then for the
media. So a capture may be larger than the memory.
"""

import datetime as dt
import hashlib
from collections import defaultdict
from pathlib import Path
from typing import Final, NamedTuple

from gateway.building import gateway_version as version
from gateway.capture.calls import CapturedCall, Problem, Told
from gateway.capture.folder import CallFolder, header_of
from gateway.capture.frames import CaptureReader
from gateway.capture.links import Packet, PacketReader
from gateway.capture.media import MediaRouter
from gateway.contracts import RunBlocking
from gateway.traces.pseudonyms import Pseudonyms

__all__ = ["Imported", "import_calls"]

# A call on hold may be silent for long, and takes time for that; a few packets whose clock leaps must not take all day.
_SILENT_S: Final = 60.0
_MOST_SILENT_S: Final = 24 * 3600.0


class Imported(NamedTuple):
    """What became of a call. `folder` of None: nothing, and `problem` says why; with one it says what is missing."""

    call: CapturedCall
    folder: CallFolder | None
    problem: Problem | None


async def import_calls(
    path: Path, calls: list[CapturedCall], into: Path, pseudonyms: Pseudonyms, run_blocking: RunBlocking
) -> list[Imported]:
    """A folder in `into` for each call of the capture at `path`, as `survey` found them; in their order.

    Raises `CaptureUnreadable` and `OSError`.
    """
    importer = _Importer(into, pseudonyms, run_blocking)
    told: defaultdict[int, list[tuple[CapturedCall, Told]]] = defaultdict(list)
    for call in calls:
        if call.problem is not None:
            importer.imported[call] = Imported(call, None, call.problem)
            continue
        for each in call.told:
            told[each.number].append((call, each))
    packets = PacketReader()
    with CaptureReader(path) as reader:
        for frame in reader.frames():
            packet = packets.take(frame)
            for call, each in told.pop(frame.number, ()):
                await importer.tell(call, each)
            if packet is not None and packet.sequence is None and packet.whole:
                await importer.carry(packet)
    await importer.close()
    return [importer.imported[call] for call in calls]


class _Importer:
    """The folders that are being written. `imported`: what is done."""

    def __init__(self, into: Path, pseudonyms: Pseudonyms, run_blocking: RunBlocking) -> None:
        self.imported: dict[CapturedCall, Imported] = {}
        self._into = into
        self._pseudonyms = pseudonyms
        self._run_blocking = run_blocking
        self._silent_s = 0.0
        self._open: dict[CapturedCall, CallFolder] = {}
        self._router: MediaRouter[CapturedCall] = MediaRouter()

    async def tell(self, call: CapturedCall, told: Told) -> None:
        if call in self.imported:
            return
        folder = self._open.get(call)
        if folder is None:
            folder = self._begin(call)
            if folder is None:
                return
        if not await self._goes_on(call, folder, told.number, told.at_ns):
            return
        await folder.tell(told, self._run_blocking)
        if told.media is not None:
            self._router.agree(call, told.media, call.our_hosts, call.their_hosts)
        if told is call.ends:
            self._router.leave(call)
        if call.ends is not None and told is call.told[-1]:
            await self._end(call)

    async def carry(self, packet: Packet) -> None:
        found = self._router.route(packet)
        if found is not None:
            call, way = found
            folder = self._open[call]
            if await self._goes_on(call, folder, packet.number, packet.at_ns):
                await folder.carry(packet, way, self._run_blocking)

    async def close(self) -> None:
        """The capture ends."""
        for call in list(self._open):
            await self._end(call)

    async def _goes_on(self, call: CapturedCall, folder: CallFolder, number: int, at_ns: int) -> bool:
        """Whether the time is there to wait for what comes at `at_ns`; if not, the call is over."""
        silent_s = folder.silent_s(at_ns)
        if silent_s <= _SILENT_S:
            return True
        self._silent_s += silent_s
        if self._silent_s <= _MOST_SILENT_S:
            return True
        text = f"nothing of this call for {silent_s:.0f} s; it was imported up to here"
        await self._end(call, Problem(number, text))
        return False

    def _begin(self, call: CapturedCall) -> CallFolder | None:
        call_id = _name(call)
        folder = self._into / call_id
        if folder.exists():
            problem = Problem(call.number, f"this call was imported before, as {folder}")
            self.imported[call] = Imported(call, None, problem)
            return None
        name = self._pseudonyms.name
        header = header_of(
            call, call_id, caller=name(call.caller), called=name(call.called), version=version()
        )
        self._open[call] = CallFolder(folder, header, call.at_ns)
        return self._open[call]

    async def _end(self, call: CapturedCall, problem: Problem | None = None) -> None:
        folder = self._open.pop(call)
        self._router.leave(call)
        if not folder.packets:
            problem = Problem(call.number, "a call without RTP of its other side in this capture")
            self.imported[call] = Imported(call, None, problem)
            return
        await folder.close(self._run_blocking)
        self.imported[call] = Imported(call, folder, problem or call.cut_short)


def _name(call: CapturedCall) -> str:
    """The same whenever it is imported."""
    began = dt.datetime.fromtimestamp(call.at_ns // 10**9, dt.UTC)
    digest = hashlib.sha256(f"{call.ours}\n{call.at_ns}\n{call.call_id}".encode()).hexdigest()
    return f"{began:%Y%m%dT%H%M%SZ}-{digest[:8]}"
