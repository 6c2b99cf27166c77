"""Requests of ours on their way: where to, by which flow, and where to next if nobody takes them there. A core.

An errand finds the places of its next hop (`Find`, unless its host is an address), reaches the best of them
(`Reach`), and is asked there as a transaction. Who says 503, or nothing, is left for the next place: RFC 3263 §4.3.
All requests of a session leave from one address of ours, the one that its INVITE came to or left from: our Contact
names it, and firewalls know the call by it.
An ACK of a 2xx finds its way alike; again it goes as it went before. A CANCEL goes where its INVITE went.
"""

import heapq
import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import WeakKeyDictionary

from gateway.wire.sip.agent_words import Find, Reach
from gateway.wire.sip.backoff import retry_after_s
from gateway.wire.sip.errand import Acknowledgement, Errand, ErrandWord, Outcome
from gateway.wire.sip.failover import Failover, Outages
from gateway.wire.sip.fields import CALL_ID, CSEQ, FROM
from gateway.wire.sip.flow import Address, Flow, Transport
from gateway.wire.sip.message import Request, Response, cancel_for, response_to
from gateway.wire.sip.resolver import Family, Target, plan_targets
from gateway.wire.sip.routing import Addresses, new_branch, secured, sized, with_via
from gateway.wire.sip.session import Session
from gateway.wire.sip.strangers import Strangers
from gateway.wire.sip.transactions import ClientKey, Key, Transactions
from gateway.wire.sip.uri import SipUri, Uri

if TYPE_CHECKING:
    from random import Random

__all__ = ["Errands", "Paths"]

# Over UDP it is sent four times in as long, and who gets an INVITE says 100 after 0.2 s. Timer B would have the
# caller wait for half a minute before the next place is tried.
_PATIENCE_S: Final = 4.0
# A place that restarts is back by then; so long others come first.
_OUTAGE_S: Final = 60.0
# About that of ours, with an IPv6 address.
_VIA_BYTES: Final = 110
_NO_TAG: Final = "none"


class Paths(NamedTuple):
    """What we have to send with, best first."""

    transports: Sequence[Transport] = ("UDP", "TCP", "TLS")
    families: Sequence[Family] = ("A",)


class _Alarm(NamedTuple):
    at: float
    number: int


class Errands:
    """`transactions`: where they are asked. `strangers`: who learns whom we expect to hear from."""

    def __init__(
        self,
        transactions: Transactions,
        addresses: Addresses,
        strangers: Strangers,
        rng: "Random",
        paths: Paths,
    ) -> None:
        self._transactions = transactions
        self._addresses = addresses
        self._strangers = strangers
        self._rng = rng
        self._paths = paths
        self._outages = Outages()
        self._numbers = itertools.count(1)
        self._open: dict[int, Errand] = {}  # by number: of which something may still come
        self._by_request: dict[int, Errand] = {}  # by the id of their request, which they keep
        self._by_key: dict[Key, Errand] = {}
        self._invites: dict[tuple[str, str | None, int], Errand] = {}
        self._locals: WeakKeyDictionary[Session, Address] = WeakKeyDictionary()  # where they leave from
        self._alarms: list[_Alarm] = []  # a heap; some are of errands that went on, or are over
        self._words: list[ErrandWord] = []

    # -- what is asked

    def invited(self, session: Session, flow: Flow) -> None:
        """A session began with an INVITE that came by `flow`."""
        self._locals[session] = flow.local

    def begin(self, request: Request, hop: Uri | None, session: Session | None, now: float) -> None:
        """Have a request asked. `hop`: whom to look up; None: it cannot be sent. `Outcome`s will follow."""
        errand = self._new(request, session)
        if request.method == "INVITE":
            self._invites[_name_of(request)] = errand
        self._find(errand, hop, now)

    def acknowledge(self, ack: Request, hop: Uri, session: Session | None, now: float) -> None:
        """Have an ACK of a 2xx sent; the same one again as it was sent, where it went."""
        errand = self._by_request.get(id(ack))
        if errand is None:
            errand = self._new(ack, session)
            invite = self._invites.get(_name_of(ack))
            if invite is not None:
                invite.acks.append(errand)
            self._find(errand, hop, now)
        elif errand.sent is not None and errand.flow is not None:
            self._words.append(Acknowledgement(errand, errand.sent, errand.flow))

    def cancel(self, invite: Request, rows: Iterable[tuple[str, str]], now: float) -> None:
        """Have a CANCEL sent where the INVITE went. Its answer is nobody's."""
        errand = self._by_request.get(id(invite))
        if errand is None or errand.sent is None or errand.flow is None:
            return
        cancel = cancel_for(errand.sent)
        for name, text in rows:
            cancel.headers.add(name, text)
        key = self._transactions.ask(cancel, errand.flow, now, reliable=errand.flow.reliable)
        self._by_key[key] = Errand(next(self._numbers), cancel, errand.session)

    def forget(self, invite: Request) -> None:
        """Nobody will answer it any more."""
        errand = self._by_request.get(id(invite))
        if errand is not None:
            self._drop(errand)
            if errand.key is not None:
                self._transactions.forget(errand.key)

    # -- what becomes of it

    def found(self, number: int, targets: Iterable[Target], now: float) -> None:
        """What `Find` wanted to know; none: there is no such place."""
        errand = self._open.get(number)
        if errand is None:
            return
        size_bytes = len(errand.request.encode()) + _VIA_BYTES
        errand.failover = Failover(sized(targets, size_bytes), avoid=self._outages.at(now))
        if errand.failover.target is None:
            self._fail(errand, 503)
        else:
            self._reach(errand)

    def reached(self, number: int, flow: Flow | None, now: float) -> None:
        """A flow as `Reach` wanted it; None: there is none."""
        errand = self._open.get(number)
        if errand is None:
            return
        if flow is None:
            self._leave(errand, now, 503)
        elif errand.unwanted:
            self._fail(errand, 487)
        else:
            self._send(errand, flow, now)

    def answered(self, key: ClientKey, response: Response, now: float) -> None:
        """A response came to a transaction."""
        errand = self._of(key)
        if errand is None:
            return
        target = errand.failover.target
        if target is not None:
            self._note(target, response, now)
        if errand.failover.answered(response.status) and not errand.unwanted:
            self._reach(errand)
            return
        self._words.append(Outcome(errand, response))
        taken = errand.request.method == "INVITE" and response.status < 300  # others may take it, too
        if response.status >= 200 and not taken:
            self._drop(errand)

    def unanswered(self, key: ClientKey, now: float, *, status: int) -> None:
        """A transaction timed out (408), or its transport broke (503)."""
        errand = self._of(key)
        if errand is not None:
            self._leave(errand, now, status)

    def over(self, key: ClientKey) -> None:
        """Nothing more will come of a transaction."""
        errand = self._by_key.pop(key, None)
        if errand is not None and errand.key == key and errand.request.method == "INVITE":
            self._drop(errand)

    def broken(self, flow: Flow) -> None:
        """What was sent by this flow and has no transaction finds another way when it is to be sent again."""
        for errand in list(self._by_request.values()):
            if errand.request.method == "ACK" and errand.flow == flow:
                self._drop(errand)

    def session_of(self, key: ClientKey) -> Session | None:
        """Whose request a transaction is about."""
        errand = self._by_key.get(key)
        return errand.session if errand is not None else None

    def advance(self, now: float) -> None:
        """Time passes."""
        while self._alarms and self._alarms[0].at <= now:
            alarm = heapq.heappop(self._alarms)
            errand = self._open.get(alarm.number)
            if errand is None or errand.patient_until != alarm.at or errand.key is None:
                continue
            if errand.failover.has_alternative and not errand.unwanted:
                self._transactions.forget(errand.key)
                self._leave(errand, now, 408)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way, and no transaction known."""
        return not (self._open or self._by_request or self._by_key or self._invites)

    @property
    def deadline(self) -> float | None:
        """When `advance` has something to do, or a little earlier."""
        return self._alarms[0].at if self._alarms else None

    def words(self) -> list[ErrandWord]:
        """What is to be done, and what came of errands, since the last call of this method."""
        words, self._words = self._words, []
        return words

    # -- one step

    def _new(self, request: Request, session: Session | None) -> Errand:
        errand = Errand(next(self._numbers), request, session)
        self._open[errand.number] = errand
        self._by_request[id(request)] = errand
        return errand

    def _find(self, errand: Errand, hop: Uri | None, now: float) -> None:
        if not isinstance(hop, SipUri):
            self._fail(errand, 503)
            return
        uri = secured(hop, errand.request)
        try:
            next(
                plan_targets(uri, self._rng, transports=self._paths.transports, families=self._paths.families)
            )
        except StopIteration as known:
            self.found(errand.number, known.value, now)
        else:
            self._words.append(Find(errand.number, uri))

    def _reach(self, errand: Errand) -> None:
        errand.key = errand.sent = errand.flow = None  # what was asked elsewhere is left
        if errand.failover.target is not None:
            local = self._locals.get(errand.session) if errand.session is not None else None
            self._words.append(Reach(errand.number, errand.failover.target, local))

    def _send(self, errand: Errand, flow: Flow, now: float) -> None:
        errand.flow = flow
        if errand.session is not None:
            self._locals.setdefault(errand.session, flow.local)
        errand.sent = with_via(errand.request, self._addresses.via(flow, new_branch(self._rng)))
        self._strangers.expect(flow.remote.host, now)
        if errand.request.method == "ACK":
            self._words.append(Acknowledgement(errand, errand.sent, flow))
            self._open.pop(errand.number)
            if _name_of(errand.request) not in self._invites:  # no 2xx can come that wants it again
                self._drop(errand)
            return
        errand.key = self._transactions.ask(errand.sent, flow, now, reliable=flow.reliable)
        self._by_key[errand.key] = errand
        if errand.failover.has_alternative:
            errand.patient_until = now + _PATIENCE_S
            heapq.heappush(self._alarms, _Alarm(errand.patient_until, errand.number))

    def _leave(self, errand: Errand, now: float, status: int) -> None:
        """Nobody takes it where it is: elsewhere, or nowhere."""
        target = errand.failover.target
        if target is not None:
            self._outages.down(target, now + _OUTAGE_S)
        if errand.failover.unanswered() and not errand.unwanted:
            self._reach(errand)
        else:
            self._fail(errand, status)

    def _fail(self, errand: Errand, status: int) -> None:
        """What stands for no response: RFC 3261 §8.1.3.1."""
        if errand.request.method != "ACK":
            self._words.append(Outcome(errand, response_to(errand.request, status, to_tag=_NO_TAG)))
        self._drop(errand)

    def _drop(self, errand: Errand) -> None:
        self._open.pop(errand.number, None)
        self._by_request.pop(id(errand.request), None)
        if errand.request.method == "INVITE":
            self._invites.pop(_name_of(errand.request), None)
        for ack in errand.acks:
            self._drop(ack)

    def _of(self, key: ClientKey) -> Errand | None:
        """The errand that waits for what comes to a transaction."""
        errand = self._by_key.get(key)
        waits = errand is not None and errand.key == key and errand.number in self._open
        return errand if waits else None

    def _note(self, target: Target, response: Response, now: float) -> None:
        """RFC 3261 §21.5.4: who says when to come again is left alone so long."""
        pause_s = retry_after_s(response) if response.status == 503 else 0.0
        if pause_s:
            self._outages.down(target, now + pause_s)
        else:
            self._outages.up(target)


def _name_of(request: Request) -> tuple[str, str | None, int]:
    """What an INVITE of ours and its ACKs have in common."""
    headers = request.headers
    return headers[CALL_ID], headers[FROM].tag, headers[CSEQ].number
