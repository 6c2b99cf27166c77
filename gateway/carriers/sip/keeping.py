"""Keeping one trunk: whether it can be called, by OPTIONS, and whether it knows where we are, by REGISTER. A core."""

from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.options import OptionsPing, PeerDown, PeerUp
from gateway.wire.sip.registration import Registration, RegistrationEvent

__all__ = ["KeepingEvent", "TrunkKeeping"]

KeepingEvent = PeerUp | PeerDown | RegistrationEvent


class TrunkKeeping:
    """`ping` of None: nobody asks whether it is there. `registration` of None: it knows where we are."""

    def __init__(
        self, trunk: str, *, ping: OptionsPing | None = None, registration: Registration | None = None
    ) -> None:
        self.trunk = trunk
        self.registration = registration
        self._ping = ping
        self._asked: list[Request] = []
        if registration is not None:
            registration.begin()

    @property
    def is_up(self) -> bool:
        """As far as anybody knows."""
        return self._ping is None or self._ping.is_up

    @property
    def is_over(self) -> bool:
        """It has unregistered, or there was no need to."""
        return self.registration is None or self.registration.is_over

    def end(self) -> None:
        """Unregister, and ask no more."""
        self._ping = None
        if self.registration is not None:
            self.registration.end()

    def advance(self, now: float) -> None:
        """Time passes."""
        for part in (self._ping, self.registration):
            if part is not None:
                part.advance(now)

    @property
    def deadline(self) -> float | None:
        """When `advance` has something to do."""
        deadlines = [part.deadline for part in (self._ping, self.registration) if part is not None]
        return min((at for at in deadlines if at is not None), default=None)

    def outgoing(self) -> list[Request]:
        """Requests to send, each of which is to be `replied` to."""
        requests = self._ping.outgoing() if self._ping is not None else []
        if self.registration is not None:
            requests += self.registration.outgoing()
        self._asked += requests
        return requests

    def replied(self, request: Request, response: Response, now: float) -> bool:
        """A response came; 408 or 503 of our own if none did. False: to a request of somebody else."""
        if not any(asked is request for asked in self._asked):
            return False
        if response.status >= 200:
            self._asked = [asked for asked in self._asked if asked is not request]
        if request.method == "REGISTER" and self.registration is not None:
            self.registration.answered(request, response, now)
        elif self._ping is not None:
            self._ping.answered(request, response, now)
        return True

    def events(self) -> list[KeepingEvent]:
        """What changed since the last call of this method."""
        events: list[KeepingEvent] = []
        if self._ping is not None:
            events += self._ping.events()
        if self.registration is not None:
            events += self.registration.events()
        return events
