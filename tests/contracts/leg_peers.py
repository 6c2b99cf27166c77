"""The far end of each carrier, for the suite over every leg core. A new carrier is one class and one line here."""

from collections.abc import Callable, Mapping
from typing import Protocol

from gateway.carriers.twilio.leg_core import TwilioLegCore
from gateway.contracts import LegCore
from gateway.testing.twilio_stream import TwilioStream

__all__ = ["PEERS", "Message", "Peer"]

Message = str | bytes


class Peer(Protocol):
    """What a carrier says, as messages, and what it makes of ours. Times are seconds since the call began."""

    def leg(self) -> LegCore:
        """A new leg core that expects this peer's call."""

    def start(self) -> list[Message]: ...

    def caller_frame(self, payload: bytes) -> list[Message]:
        """20 ms of the caller: 160 bytes of G.711."""

    def press(self, digit: str) -> list[Message]: ...

    def receive(self, message: Message, now: float) -> list[Message]:
        """Take one message of ours; the answers."""

    def advance(self, now: float) -> list[Message]:
        """Play up to `now`; what is to be said because of it."""

    def hang_up(self) -> list[Message]: ...

    @property
    def played(self) -> bytes:
        """All that the caller heard of us."""


class TwilioPeer:
    """Twilio, as the fake for tests knows it."""

    CALL_SID = "CA" + "2" * 32

    def __init__(self) -> None:
        self._stream = TwilioStream(
            account_sid="AC" + "1" * 32, call_sid=self.CALL_SID, stream_sid="MZ" + "3" * 32
        )

    def leg(self) -> LegCore:
        return TwilioLegCore(self.CALL_SID)

    def start(self) -> list[Message]:
        return [*self._stream.start_messages()]

    def caller_frame(self, payload: bytes) -> list[Message]:
        return [self._stream.caller_frame(payload)]

    def press(self, digit: str) -> list[Message]:
        return [self._stream.digit(digit)]

    def receive(self, message: Message, now: float) -> list[Message]:
        answers = self._stream.receive(message, now)
        assert self._stream.warnings == []
        return [*answers]

    def advance(self, now: float) -> list[Message]:
        return [*self._stream.advance(now)]

    def hang_up(self) -> list[Message]:
        return [self._stream.stop()]

    @property
    def played(self) -> bytes:
        return b"".join(audio for _, audio in self._stream.played)


PEERS: Mapping[str, Callable[[], Peer]] = {"twilio": TwilioPeer}
