"""What the caller hears while the voice is away. A core."""

from collections.abc import Callable

from gateway.calls.silences import Outage
from gateway.contracts import LoadClip, Output

__all__ = ["FILLER", "WELCOME", "Fillers"]

# Clips that ship with the gateway: for the start of a call, and for later.
WELCOME, FILLER = "welcome", "filler"


class Fillers:
    """One conversation's clips. `numbers` gives the next number for a clip, `emit` takes the request for it."""

    def __init__(self, numbers: Callable[[], int], emit: Callable[[Output], None]) -> None:
        self._numbers = numbers
        self._emit = emit
        self._outage = Outage()
        self._loading: dict[int, str] = {}
        self._loaded: dict[str, bytes] = {}

    def load(self, name: str) -> None:
        """Have a clip at hand."""
        if name not in (*self._loaded, *self._loading.values()):
            clip = self._numbers()
            self._loading[clip] = name
            self._emit(LoadClip(id=clip, name=name))

    def loaded(self, clip: int, pcm: bytes) -> None:
        """A clip is there. One that nobody asked for here means nothing."""
        if clip in self._loading:
            self._loaded[self._loading.pop(clip)] = pcm

    def due(self, name: str, now: float, *, waiting: bool, sounding: bool) -> bytes | None:
        """The audio to play now, PCM16 at 24 000 Hz. `waiting`: for a voice that is away. `sounding`: we are heard."""
        if self._outage.due(now, waiting=waiting, sounding=sounding, ready=name in self._loaded):
            return self._loaded[name]
        return None
