"""One user agent of ours and a peer that says what a test has it say, on one clock, without a network between them."""

from typing import Any, Self

from gateway.wire.sip.fields import CSEQ
from gateway.wire.sip.headers import HeaderMap
from gateway.wire.sip.message import Request, Response, response_to
from gateway.wire.sip.parser import parse_datagram
from gateway.wire.sip.session import Session
from gateway.wire.sip.session_words import Ended, SessionWord
from gateway.wire.sip.uri import SipUri
from tests.wire.sip.sip_agents import Agent, Network

__all__ = ["Called", "Calling", "Line", "Peer", "number_of"]

PEER_TAG = "p1"
PEER_URI = SipUri(user="peer", host="peer.example")


def number_of(message: Request | Response) -> int:
    return message.headers[CSEQ].number


class Peer:
    """It keeps what it gets, and does nothing by itself."""

    def __init__(self, network: Network, name: str = "peer") -> None:
        self.name = name
        self.network = network
        self.got: list[Request | Response] = []
        network.agents[name] = self

    @property
    def deadline(self) -> float | None:
        return None

    def receive(self, data: bytes, sender: str) -> None:
        self.got.append(parse_datagram(data))

    def advance(self) -> None:
        pass

    def requests(self, method: str) -> list[Request]:
        return [each for each in self.got if isinstance(each, Request) and each.method == method]

    def responses(self, status: int) -> list[Response]:
        return [each for each in self.got if isinstance(each, Response) and each.status == status]


class Line:
    """Us and the peer. `said` is what we sent, "what" at so many seconds."""

    def __init__(self, **endpoint: Any) -> None:
        self.network = Network(delay_s=(0.0, 0.0))
        self.us = Agent("us", self.network, **endpoint)
        self.peer = Peer(self.network)
        self.call_id = "c1@peer.example"
        self.our_tag: str | None = None
        self._number = 100
        self._branches = 0
        self._read = 0

    # -- time, and what we did in it

    @property
    def now(self) -> float:
        return self.network.now

    def at(self, now: float) -> Self:
        """Let time pass up to then."""
        self.network.run(now)
        return self

    @property
    def said(self) -> list[str]:
        """What we sent since this was last read."""
        said = [each.what for each in self.network.passed[self._read :] if each.sender == "us"]
        self._read = len(self.network.passed)
        return said

    def times(self, what: str) -> list[float]:
        return [each.at for each in self.network.passed if each.sender == "us" and each.what == what]

    @property
    def session(self) -> Session:
        return self.us.calls[0]

    @property
    def told(self) -> list[SessionWord]:
        """What the session said besides messages."""
        return self.us.told[self.session]

    @property
    def ended(self) -> tuple[str, bool] | None:
        """Why it did, and whether we wanted it. It must have been told last."""
        last = self.told[-1] if self.told else None
        return (last.why, last.by_us) if isinstance(last, Ended) else None

    def does(self, verb: str, *args: Any, **more: Any) -> Any:
        """Something is done with the session, now."""
        done = self.us.does(self.session, getattr(self.session, verb), *args, **more)
        self.at(self.now)
        return done

    # -- what the peer says

    def asks(
        self,
        method: str,
        *,
        number: int | None = None,
        body: bytes = b"",
        body_type: str = "application/sdp",
        to_tag: str | None = "ours",
        from_tag: str = PEER_TAG,
        branch: str | None = None,
        **headers: str,
    ) -> Request:
        """A request of the peer. `to_tag` "ours": within the dialog.

        A header's name is written `Session_Expires`; one that is "" is left out.
        """
        if number is None:
            self._number += 1
            number = self._number
        if branch is None:
            self._branches += 1
            branch = f"z9hG4bKpeer{self._branches}"
        tag = self.our_tag if to_tag == "ours" else to_tag
        rows = HeaderMap(
            [
                ("Via", f"SIP/2.0/UDP {self.network.host_of('peer')};branch={branch}"),
                ("Max-Forwards", "70"),
                ("From", f"<sip:peer@peer.example>;tag={from_tag}"),
                ("To", "<sip:us@us.example>" + (f";tag={tag}" if tag else "")),
                ("Call-ID", self.call_id),
                ("CSeq", f"{number} {method}"),
            ]
        )
        if "Contact" not in headers and method in {"INVITE", "UPDATE", "REFER", "NOTIFY"}:
            rows.add("Contact", "<sip:peer@peer.example>")
        if body:
            rows.add("Content-Type", body_type)
        for name, text in headers.items():
            if text:
                rows.add(name.replace("_", "-"), text)
        request = parse_datagram(Request(method, self.us.address.uri, rows, body).encode())
        assert isinstance(request, Request)
        self.sends(request)
        return request

    def answers(
        self,
        request: Request,
        status: int,
        *,
        tag: str = PEER_TAG,
        body: bytes = b"",
        contact: str = "<sip:peer@peer.example>",
        **headers: Any,
    ) -> Response:
        """A response of the peer to a request of ours."""
        response = response_to(request, status, to_tag=tag)
        if 100 < status < 300:
            response.headers["Contact"] = contact
        if body:
            response.headers["Content-Type"] = "application/sdp"
        for name, text in headers.items():
            if text:
                response.headers[name.replace("_", "-")] = text
        answer = Response(status, response.reason, response.headers, body)
        self.sends(answer)
        return answer

    def sends(self, message: Request | Response) -> None:
        self.network.send("peer", "us", message)
        self.at(self.now)


class Called(Line):
    """The peer calls us."""

    def __init__(
        self, body: bytes = b"offer", *, headers: dict[str, Any] | None = None, **endpoint: Any
    ) -> None:
        super().__init__(**endpoint)
        self.invite = self.asks("INVITE", body=body, to_tag=None, **(headers or {}))
        self.our_tag = self.us.calls[0].tag if self.us.calls else None

    def acks(self, invite: Request | None = None, body: bytes = b"") -> Request:
        number = (invite or self.invite).headers["CSeq"].split()[0]
        return self.asks("ACK", number=int(number), body=body)

    def cancels(self, invite: Request | None = None) -> Request:
        invite = invite or self.invite
        number, branch = invite.headers["CSeq"].split()[0], invite.headers["Via"].partition("branch=")[2]
        tag = invite.headers["To"].partition("tag=")[2] or None
        return self.asks("CANCEL", number=int(number), branch=branch, to_tag=tag)

    def answered(self, body: bytes = b"answer") -> "Called":
        """We have taken the call, and they know."""
        self.does("accept", body, self.now)
        self.acks()
        self.said  # noqa: B018 - what was said so far is no test's business
        return self


class Calling(Line):
    """We call the peer."""

    def __init__(
        self, body: bytes | None = b"offer", *, call: dict[str, Any] | None = None, **endpoint: Any
    ) -> None:
        super().__init__(**endpoint)
        self.us.call(PEER_URI, body, **(call or {}))
        self.at(self.now)
        self.call_id = self.session.call_id
        self.our_tag = self.session.tag

    @property
    def invite(self) -> Request:
        """The last one that the peer got."""
        return self.peer.requests("INVITE")[-1]

    def answered(self, body: bytes = b"answer", **headers: str) -> "Calling":
        """They have taken the call, and we know."""
        self.answers(self.invite, 200, body=body, **headers)
        self.said  # noqa: B018 - what was said so far is no test's business
        return self
