"""The calls in a capture: who called whom, what was agreed, how it ended, as one of the two sides was told it.

Every message of a call passes through `CallTracker.take`, in the order of the capture. What follows from it is `Told`:
what the leg of our side gets, see `carriers/sip/leg_messages.py`. A message that was sent again is a rung of the ladder
and no more; one that was captured again on its next hop, with the address of a proxy in it, is passed over.
"""

import enum
from typing import Final, NamedTuple

import msgspec

from gateway.capture.agreements import Agreement, Unusable, agreement
from gateway.capture.links import Packet
from gateway.capture.messages import Found
from gateway.carriers.sip import leg_messages as wire
from gateway.carriers.sip.ladder import passed_message
from gateway.carriers.sip.numbers import called_of, caller_of
from gateway.carriers.sip.told import call_over, digit_informed, media_agreed, plain_text
from gateway.contracts import CarrierClosed, EndReason, HangUp, Port
from gateway.media.latch import Address
from gateway.wire.errors import RemoteProtocolError
from gateway.wire.sdp.description import SessionDescription, decode
from gateway.wire.sip.backoff import readable
from gateway.wire.sip.endpoint import described_in
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.fields import CALL_ID, CSEQ, FROM, SUBSCRIPTION_STATE, TO
from gateway.wire.sip.flow import Address as FlowAddress
from gateway.wire.sip.flow import Flow
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.parser import parse_fragment
from gateway.wire.sip.session_words import Ended

__all__ = ["CallTracker", "CapturedCall", "Problem", "Side", "Told"]

# More than a capture that somebody looks at; each takes some kilobytes.
_MOST_CALLS: Final = 2000
_MOST_PROBLEMS: Final = 100
_MOST_MESSAGES: Final = 100_000
# What asks for the INVITE once more: credentials, another interval. RFC 3261 §22, RFC 4028 §6.
_ASKED_AGAIN: Final = frozenset({401, 407, 422})


class Side(enum.StrEnum):
    """Which of the two is ours."""

    CALLED = "called"
    CALLER = "caller"


class Told(NamedTuple):
    """What our side is told with packet `number`. `media`: with an agreement, where its packets go."""

    number: int
    at_ns: int
    port: Port
    text: str
    media: Agreement | None = None


class Problem(NamedTuple):
    """Why something is not imported: with which packet that shows."""

    number: int
    text: str

    def __str__(self) -> str:
        return f"packet {self.number}: {self.text}"


class _Described(NamedTuple):
    by_us: bool
    description: SessionDescription


class _Transaction:
    """A request with which something may be offered. `late`: the offer that its answer made."""

    def __init__(self, offer: _Described | None) -> None:
        self.offer = offer
        self.late: _Described | None = None


class CapturedCall:
    """One call, of which `ours` is our side.

    `number`, `at_ns`: of its INVITE. `call_id`: SIP's. `caller`, `called`: as a dialplan wants to know them.
    `our_hosts`, `their_hosts`: where each side's signalling is. `ends`: which of what is `told` ends it, if it ends in
    this capture. `cut_short`: why it could not be followed to its end.
    """

    def __init__(self, packet: Packet, invite: Request, ours: Side) -> None:
        self.number = packet.number
        self.at_ns = packet.at_ns
        self.call_id = invite.headers[CALL_ID]
        self.caller = caller_of(invite, trusted=True)
        self.called = called_of(invite)
        self.our_hosts: set[str] = set()
        self.their_hosts: set[str] = set()
        self.told: list[Told] = []
        self.ends: Told | None = None
        self.answered = False
        self.cut_short: Problem | None = None
        self.ours = ours
        self._caller_tag = invite.headers[FROM].tag
        self._unanswered: Problem | None = None
        self._agreement: Agreement | None = None
        self._transactions: dict[tuple[bool, int], _Transaction] = {}
        self._seen: dict[tuple[object, ...], tuple[int, tuple[Address, Address]]] = {}

    @property
    def problem(self) -> Problem | None:
        """Why there is nothing to import; None: there is."""
        if self.answered:
            return None
        return self._unanswered or Problem(self.number, "a call that nobody answered in this capture")

    def take(self, packet: Packet, message: Request | Response) -> None:
        """A message of this call."""
        by_caller = (message.headers[FROM].tag == self._caller_tag) is isinstance(message, Request)
        by_us = by_caller is (self.ours is Side.CALLER)
        ours, theirs = packet.source.host, packet.destination.host
        if not by_us:
            ours, theirs = theirs, ours
        hop = (packet.source, packet.destination)
        first, first_hop = self._seen.setdefault(_same(message, by_us=by_us), (packet.number, hop))
        if first_hop != hop:
            return
        self.our_hosts.add(ours)
        self.their_hosts.add(theirs)
        self._tell(packet, passed_message(message, sent=by_us, flow=_flow(packet, by_us=by_us)))
        if first != packet.number or self.ends is not None:
            return  # it was sent again, or says how the end was taken
        try:
            if isinstance(message, Request):
                self._request(packet, message, by_us=by_us)
            else:
                self._response(packet, message, by_us=by_us)
        except Unusable as error:
            self._stops(packet, str(error))
        except RemoteProtocolError as error:
            self._stops(packet, f"SDP that cannot be read ({error})")

    # -- requests

    def _request(self, packet: Packet, request: Request, *, by_us: bool) -> None:
        match request.method:
            case "INVITE" | "UPDATE":
                self._asks(request, by_us=by_us)
            case "PRACK" | "ACK":
                self._follows(packet, request, by_us=by_us)
            case "BYE":
                self._bye(packet, request, by_us=by_us)
            case "CANCEL" if not self.answered:
                self._is_unanswered(packet, "the caller gave up before anybody answered")
            case "INFO" if not by_us:
                digit = digit_informed(request)
                if digit is not None:
                    self._tell(packet, digit)
            case "NOTIFY" if not by_us:
                self._notified(packet, request)
            case _:
                pass

    def _asks(self, request: Request, *, by_us: bool) -> None:
        key = (by_us, request.headers[CSEQ].number)
        self._transactions[key] = _Transaction(_described(request, by_us=by_us))

    def _follows(self, packet: Packet, request: Request, *, by_us: bool) -> None:
        """An ACK or a PRACK may answer an offer that the response made; a PRACK may make one. RFC 3262 §5."""
        described = _described(request, by_us=by_us)
        number = request.headers[CSEQ].number
        if request.method == "PRACK":
            rack = (request.headers.get("RAck") or "").split()
            self._transactions[by_us, number] = _Transaction(described)
            number = int(rack[1]) if len(rack) == 3 and rack[1].isdecimal() else number
        invite = self._transactions.get((by_us, number))
        if invite is None or invite.late is None or described is None:
            return
        self._agrees(packet, invite.late, described, early=not self.answered and request.method == "PRACK")
        invite.late = None
        if request.method == "ACK":
            self._answers(packet)

    def _bye(self, packet: Packet, request: Request, *, by_us: bool) -> None:
        if by_us:
            command = HangUp(reason=EndReason.AGENT_HUNG_UP)
            self._tell_as(packet, "command", msgspec.json.encode(command).decode())
        else:
            self._tell(packet, call_over(Ended("hung up", by_us=False, message=request)))
        self.ends = self.told[-1]

    def _notified(self, packet: Packet, request: Request) -> None:
        """How our transfer goes. RFC 3515 §2.4.4."""
        state = readable(request.headers, SUBSCRIPTION_STATE)
        try:
            fragment = parse_fragment(request.body)
        except SipSyntaxError:
            return
        if isinstance(fragment, Response):
            last = state is not None and state.word == "terminated"
            self._tell(packet, wire.TransferTold(status=fragment.status, last=last))

    # -- responses

    def _response(self, packet: Packet, response: Response, *, by_us: bool) -> None:
        number, method = response.headers[CSEQ].number, response.headers[CSEQ].method
        if method == "REFER" and by_us and response.status >= 200:
            self._tell(packet, wire.TransferAsked(taken=response.status < 300))
        transaction = self._transactions.get((not by_us, number))
        if transaction is None or method not in {"INVITE", "UPDATE", "PRACK"}:
            return
        if response.status >= 300:
            self._refuses(packet, response, method)
            return
        described = _described(response, by_us=by_us)
        early = method != "INVITE" or response.status < 200
        if described is not None and transaction.offer is not None:
            self._agrees(packet, transaction.offer, described, early=early and not self.answered)
        elif described is not None and method == "INVITE":
            transaction.late = described
        if method == "INVITE" and not self.answered:
            self._goes_on(packet, response, transaction)

    def _goes_on(self, packet: Packet, response: Response, transaction: _Transaction) -> None:
        """The call rings, or is answered."""
        if response.status < 200 or transaction.late is not None:
            self._tell(packet, wire.Ringing(status=response.status))
        elif self._agreement is None:
            raise Unusable("it was answered without SDP")
        else:
            self._answers(packet)

    def _refuses(self, packet: Packet, response: Response, method: str) -> None:
        if method == "INVITE" and not self.answered and response.status not in _ASKED_AGAIN:
            said = plain_text(f"{response.status} {response.reason}")
            self._is_unanswered(packet, f"the call was refused: {said}")

    # -- what was agreed

    def _agrees(self, packet: Packet, offer: _Described, answer: _Described, *, early: bool) -> None:
        ours, theirs = (offer, answer) if offer.by_us else (answer, offer)
        if ours.by_us is theirs.by_us:
            return
        self._agreement = agreement(ours.description, theirs.description, we_offered=offer.by_us)
        if early or self.answered:
            self._tell_agreed(packet, early=early)

    def _answers(self, packet: Packet) -> None:
        if not self.answered:
            self.answered = True
            self._tell_agreed(packet, early=False)

    def _tell_agreed(self, packet: Packet, *, early: bool) -> None:
        found = self._agreement
        if found is not None:
            text = wire.encode(media_agreed(found.agreed, early=early))
            self._tell_as(packet, "carrier", text, found)

    # -- what our side is told

    def _tell(self, packet: Packet, message: wire.FromSip) -> None:
        self._tell_as(packet, "carrier", wire.encode(message))

    def _tell_as(self, packet: Packet, port: Port, text: str, media: Agreement | None = None) -> None:
        self.told.append(Told(packet.number, packet.at_ns, port, text, media))

    def _stops(self, packet: Packet, why: str) -> None:
        """From here on it cannot be followed; before the answer there is nothing to import."""
        if not self.answered:
            self._is_unanswered(packet, why)
            return
        self.cut_short = Problem(packet.number, f"{why}; the call was imported up to here")
        command = msgspec.json.encode(CarrierClosed(detail=f"the capture cannot be followed any more: {why}"))
        self._tell_as(packet, "command", command.decode())
        self.ends = self.told[-1]

    def _is_unanswered(self, packet: Packet, why: str) -> None:
        self._unanswered = self._unanswered or Problem(packet.number, why)


class CallTracker:
    """Takes all messages of a capture. `calls`: in the order of their INVITEs. `ours`: which side is ours.

    `problems`: what is of no call, in order, and not all of it.
    """

    def __init__(self, ours: Side) -> None:
        self.calls: list[CapturedCall] = []
        self.problems: list[Problem] = []
        self._ours = ours
        self._by_id: dict[tuple[str, str | None], CapturedCall] = {}  # and by the caller's tag
        self._begun_before: set[str] = set()
        self._noted: set[str] = set()
        self._messages = 0

    def take(self, packet: Packet, found: Found) -> None:
        """A message, or what was to be one."""
        if isinstance(found, SipSyntaxError):
            self._note(packet, f"a SIP message that cannot be read ({found})")
            return
        self._messages += 1
        if self._messages > _MOST_MESSAGES:
            self._note_once(packet, f"more than {_MOST_MESSAGES} SIP messages; the rest is left out")
            return
        call = self._call_of(found) or self._begun(packet, found)
        if call is not None:
            call.take(packet, found)

    def _call_of(self, message: Request | Response) -> CapturedCall | None:
        """Whoever sends, the caller's tag is one of the two."""
        call_id, headers = message.headers[CALL_ID], message.headers
        return self._by_id.get((call_id, headers[FROM].tag)) or self._by_id.get((call_id, headers[TO].tag))

    def _begun(self, packet: Packet, message: Request | Response) -> CapturedCall | None:
        """A new call, if this is its INVITE."""
        if not isinstance(message, Request) or message.method not in {"INVITE", "BYE"}:
            return None
        call_id = message.headers[CALL_ID]
        if message.method == "BYE" or message.headers[TO].tag is not None:
            if call_id not in self._begun_before and len(self._begun_before) < _MOST_CALLS:
                self._begun_before.add(call_id)
                self._note(packet, f"a {message.method} of a call that began before the capture")
            return None
        if len(self.calls) >= _MOST_CALLS:
            self._note_once(packet, f"more than {_MOST_CALLS} calls; the rest is left out")
            return None
        call = CapturedCall(packet, message, self._ours)
        self.calls.append(call)
        self._by_id[call_id, message.headers[FROM].tag] = call
        return call

    def _note_once(self, packet: Packet, text: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            self._note(packet, text)

    def _note(self, packet: Packet, text: str) -> None:
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(Problem(packet.number, text))


def _same(message: Request | Response, *, by_us: bool) -> tuple[object, ...]:
    """What stays as it is when a message is sent again, or goes on: not its Via, nor an address in its SDP."""
    start = message.method if isinstance(message, Request) else message.status
    headers = message.headers
    return (start, by_us, str(headers[CSEQ]), headers[TO].tag, headers.get("RSeq"), bool(message.body))


def _described(message: Request | Response, *, by_us: bool) -> _Described | None:
    body = described_in(message)
    return None if body is None else _Described(by_us, decode(body))


def _flow(packet: Packet, *, by_us: bool) -> Flow:
    source, destination = FlowAddress(*packet.source), FlowAddress(*packet.destination)
    local, remote = (source, destination) if by_us else (destination, source)
    return Flow("UDP" if packet.sequence is None else "TCP", local, remote)
