"""Two sides of a call with a network between them, and somebody who says what a test has him say."""

from typing import Any

from gateway.wire.sdp import description
from gateway.wire.sip.message import Request
from gateway.wire.sip.routing import with_via
from gateway.wire.sip.session import Session
from gateway.wire.sip.via import Via
from tests.carriers.sip_sides import Side, media, uri_of
from tests.wire.sip.sip_agents import Agent, Network

__all__ = ["BROKEN", "G729_ONLY", "Line", "offer_of"]

G729_ONLY = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\nm=audio 4000 RTP/AVP 18\r\n"
)
BROKEN = b"v=0\r\nwhatever\r\n"


def offer_of(host: int, **ours: Any) -> bytes:
    return description.encode(media(host, **ours).offer())


class Line:
    """We, with signalling, and they: another such side, or (`raw`) an agent that says what a test has it say."""

    def __init__(
        self, *, ours: dict[str, Any] | None = None, theirs: dict[str, Any] | None = None, **endpoint: Any
    ) -> None:
        self.network = Network()
        self.us = Side("us", self.network, 1, ours=ours, **endpoint)
        self.them = Side("them", self.network, 2, ours=theirs, **endpoint)
        self.raw = Agent("raw", self.network, seed=3)

    def at(self, now: float) -> "Line":
        self.network.run(now)
        return self

    def rest(self, pause_s: float = 0.5) -> "Line":
        return self.at(self.network.now + pause_s)

    @property
    def ladder(self) -> list[str]:
        return self.network.ladder()

    def messages(self, what: str) -> list[Any]:
        return [each.message for each in self.network.passed if each.what == what]

    def called(self) -> "Line":
        """They call us; it is up to us to answer."""
        self.them.calls_up("us")
        return self.rest()

    def calling(self) -> "Line":
        """We call them; it is up to them to answer."""
        self.us.calls_up("them")
        return self.rest()

    def answered(self) -> "Line":
        (self.us if self.them.call.session.dialog is None else self.them).does("answer")
        return self.rest()

    def asked_by(self, body: bytes | None) -> Session:
        """Somebody calls us with a description of a test."""
        session = self.raw.call(uri_of("us"), body)
        self.rest()
        return session

    def we_call_raw(self) -> Session:
        """We call somebody who answers with a description of a test."""
        self.us.calls_up("raw")
        self.rest()
        return self.raw.calls[0]

    def raw_does(self, verb: str, *args: Any, **more: Any) -> Any:
        session = self.raw.calls[0]
        done = self.raw.does(session, getattr(session, verb), *args, **more)
        self.rest()
        return done

    def raw_sends(
        self, session: Session, method: str, body: bytes = b"", *, of: Request | None = None
    ) -> Request:
        """A request that no session of ours would send. `of`: the INVITE that an ACK is for."""
        assert session.dialog is not None
        rows = self.raw.endpoint.rows_for(method, secure=False, body_type="application/sdp" if body else None)
        if of is None:
            request = session.dialog.request(method, rows, body)
        else:
            request = session.dialog.ack(of, rows, body)
        via = Via.parse(f"SIP/2.0/UDP raw.example;branch=z9hG4bK{method}")
        self.network.send("raw", "us", with_via(request, via))
        self.rest(0.2)
        return request
