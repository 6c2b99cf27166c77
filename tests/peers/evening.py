"""Calls that were placed side by side, and what is left of each: tests look at one fact of one call."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from tests.peers.listening import Gap, Heard, Stream, delay_ms, gaps, play_out, sounding, streams
from tests.peers.served import CallFolder, Gateway
from tests.peers.sipp import SippDone
from tests.peers.tap import Tap

__all__ = ["Evening", "Placed"]

T = TypeVar("T")

_ALLOWED_MS = 60


@dataclass(frozen=True)
class Placed:
    """A call that sipp placed. `folders`: of the gateway's calls to the number that it dialled."""

    sipp: SippDone
    folders: list[CallFolder]
    tap: Tap

    @property
    def folder(self) -> CallFolder:
        (folder,) = self.folders
        return folder

    @property
    def sent(self) -> Stream:
        """What sipp sent first."""
        port = self.sipp.media_port
        return streams([each for each in self.tap.datagrams if each.source[1] == port])[0]

    @property
    def received(self) -> list[Stream]:
        """What the gateway sent it."""
        return streams(self.tap.to(self.sipp.media_port))

    @property
    def heard(self) -> Heard:
        return play_out(self.received[0])

    @property
    def sound(self) -> bytes:
        """From the first sound that came to the last."""
        return sounding(self.heard.pcm)

    @property
    def delay_ms(self) -> float:
        """From the mouth to the ear, on the wire."""
        said, heard = play_out(self.sent), self.heard
        return delay_ms(said.pcm, heard.pcm) + 1000 * (heard.start_s - said.start_s)

    def __str__(self) -> str:
        return f"{self.sipp}\n" + "\n".join(map(str, self.folders))


@dataclass
class Evening(Generic[T]):
    """`folder`: with all that the programs left. `looked_at`: the calls that a test asked for."""

    folder: Path
    calls: Mapping[str, T]
    gateway: Gateway
    looked_at: dict[str, T] = field(default_factory=dict)

    def breaks(self, pcm: bytes) -> list[Gap]:
        """The silences in a sound, when they are more than what this machine makes of it.

        It keeps the gateway from its processor at times, and a tick that is missed is not made up for: that is measured
        where nothing else runs. Here a codec, a buffer or a clock that is wrong breaks a sound again and again.
        """
        found = gaps(pcm)
        allowed_ms = _ALLOWED_MS + self.gateway.withheld_ms
        return found if sum(gap.length_ms for gap in found) > allowed_ms else []

    def __getitem__(self, name: str) -> T:
        self.looked_at[name] = self.calls[name]
        return self.calls[name]
