"""A leg that remembers what it was asked to do; a test says what the far end has heard."""

from collections.abc import Sequence

from gateway.contracts import Heard, LegEvent, LegTraits


class Line:
    """A `LegCore`. `lead_ms`: how far ahead of the playout it may be sent."""

    def __init__(self, *, lead_ms: int = 200, sends_digits: bool = False) -> None:
        self.traits = LegTraits(carrier="line", lead_ms=lead_ms, queue_ms=60_000, sends_digits=sends_digits)
        self.digits: list[tuple[int, str]] = []  # and behind how many bytes each was pressed
        self.played: list[bytes] = []
        self.clears: list[float] = []
        self._events: list[LegEvent] = []

    def receive(self, data: str | bytes, now: float) -> None:
        """Nothing comes from here."""

    def advance(self, now: float) -> None:
        """It has no deadlines."""

    def play(self, payload: bytes, now: float) -> None:
        assert len(payload) % 160 == 0
        self.played.append(payload)

    def clear(self, now: float) -> None:
        self.clears.append(now)

    def send_digits(self, digits: str) -> None:
        self.digits.append((len(self.audio), digits))

    def leave(self, now: float) -> None:
        """Nobody is there."""

    def events(self) -> Sequence[LegEvent]:
        events, self._events = self._events, []
        return events

    def outgoing(self) -> Sequence[str | bytes]:
        return []

    # -- what a test says and asks

    def hears(self, low_ms: float, high_ms: float | None = None) -> None:
        """The caller has heard so much of all that was sent."""
        self._events.append(Heard(low_ms, low_ms if high_ms is None else high_ms))

    @property
    def audio(self) -> bytes:
        return b"".join(self.played)
