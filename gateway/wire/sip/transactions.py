"""All transactions of one user agent: who a message belongs to. RFC 3261 §17.1.3, §17.2.3, §8.2.2.2. A core."""

import heapq
import itertools
from collections import defaultdict
from typing import Any, NamedTuple

import msgspec

from gateway.wire.sip.fields import CALL_ID, CSEQ, FROM, TO, VIAS
from gateway.wire.sip.message import Request, Response, ack_for, response_to
from gateway.wire.sip.steps import Steps
from gateway.wire.sip.transaction import (
    INVITE_CLIENT,
    INVITE_SERVER,
    NON_INVITE_CLIENT,
    NON_INVITE_SERVER,
    Timing,
    machine,
)

__all__ = [
    "Acknowledged",
    "Answered",
    "Asked",
    "Broken",
    "ClientKey",
    "Happened",
    "Key",
    "Over",
    "Send",
    "ServerKey",
    "TimedOut",
    "Transactions",
    "key_of",
]

Flow = Any
"""Where a message goes or comes from; only transports know what it is. Flows that are equal are the same."""

_LOOP_TAG = "merged"


class ClientKey(NamedTuple):
    """RFC 3261 §17.1.3."""

    branch: str
    method: str


class ServerKey(NamedTuple):
    """RFC 3261 §17.2.3: by the branch and who made it; of RFC 2543, which had none, by all that names a request."""

    branch: tuple[object, ...]
    method: str


Key = ClientKey | ServerKey


class Send(NamedTuple):
    """Send this there. `key`: the transaction that it belongs to."""

    message: Request | Response
    flow: Flow
    key: Key


class Asked(NamedTuple):
    """A request came, and is to be answered by `Transactions.respond`. `cancels`: the INVITE that a CANCEL is for."""

    key: ServerKey
    request: Request
    flow: Flow
    cancels: ServerKey | None = None


class Acknowledged(NamedTuple):
    """The ACK of a 2xx came."""

    request: Request


class Answered(NamedTuple):
    """A response came to what was asked."""

    key: ClientKey
    response: Response


class TimedOut(NamedTuple):
    """Nobody answered a request; or nobody acknowledged what an INVITE was refused with."""

    key: Key


class Broken(NamedTuple):
    """The transport could not carry it."""

    key: Key


class Over(NamedTuple):
    """Nothing more will come of this transaction, and nobody knows its key any more."""

    key: Key


Happened = Send | Asked | Acknowledged | Answered | TimedOut | Broken | Over


class _Alarm(NamedTuple):
    """A transaction has something to do at this time. `number`: which of those that had this key."""

    at: float
    number: int
    key: Key


class _Transaction:
    def __init__(self, steps: Steps, request: Request, flow: Flow, number: int) -> None:
        self.number = number
        self.steps = steps
        self.request = request
        self.flow = flow
        self.sending: Request | Response | None = None  # what goes out, and again


class Transactions:
    """Give it what comes and the time; take what happened. `most`: requests of others under way, of which more are
    dropped as if they had been lost; as many again may be within dialogs, so that calls can end in a flood.
    """

    def __init__(self, timing: Timing | None = None, *, most: int = 20_000) -> None:
        self._timing = timing or Timing()
        self._most = most
        self._clients: dict[ClientKey, _Transaction] = {}
        self._servers: dict[ServerKey, _Transaction] = {}
        self._merging: dict[tuple[object, ...], ServerKey] = {}
        self._by_flow: defaultdict[Flow, dict[Key, None]] = defaultdict(dict)
        self._numbers = itertools.count()
        self._alarms: list[
            _Alarm
        ] = []  # a heap; some of them are of transactions that are over or were put off
        self._happened: list[Happened] = []

    # -- what we ask and answer

    def ask(self, request: Request, flow: Flow, now: float, *, reliable: bool) -> ClientKey:
        """Send a request, whose topmost Via has a branch of its own, until it is answered."""
        steps = machine(_table(request.method, "client"), reliable=reliable, timing=self._timing)
        key = ClientKey(request.headers[VIAS].top.branch or "", request.method)
        transaction = _Transaction(steps, request, flow, next(self._numbers))
        transaction.sending = request
        self._clients[key] = transaction
        self._by_flow[flow][key] = None
        self._carry_out(key, transaction, steps.happens("begin", now))
        return key

    def respond(self, key: ServerKey, response: Response, now: float) -> bool:
        """Answer a request. False when it is answered already, or forgotten."""
        transaction = self._servers.get(key)
        if transaction is None:
            return False
        before = transaction.sending
        transaction.sending = response
        does = transaction.steps.happens(f"tell {_class_of(response)}", now)
        if not does:
            transaction.sending = before
        self._carry_out(key, transaction, does)
        return bool(does)

    def answer_to(self, key: ServerKey) -> Response | None:
        """What a request of theirs was answered last; None: nothing, or it is forgotten."""
        transaction = self._servers.get(key)
        sent = transaction.sending if transaction is not None else None
        return sent if isinstance(sent, Response) else None

    def forget(self, key: Key) -> None:
        """End a transaction without a word: what comes to it is nobody's, or, of a request of theirs, new."""
        transaction = self._find(key)
        if transaction is not None:
            self._forget(key, transaction)

    def __contains__(self, key: Key) -> bool:
        return self._find(key) is not None

    def __len__(self) -> int:
        return len(self._clients) + len(self._servers)

    # -- what comes

    def receive(self, message: Request | Response, flow: Flow, now: float, *, reliable: bool) -> None:
        """Take a message that the parser let through. `flow`: where it came from, and so where an answer goes."""
        if isinstance(message, Response):
            self._answered(message, now)
        else:
            self._asked(message, flow, now, reliable=reliable)

    def broken(self, flow: Flow, now: float) -> None:
        """A flow can carry nothing any more."""
        for key in list(self._by_flow.get(flow, ())):
            transaction = self._find(key)
            if transaction is not None:
                self._carry_out(key, transaction, transaction.steps.happens("broken", now))

    def advance(self, now: float) -> None:
        """Time passes."""
        while self._alarms and self._alarms[0].at <= now:
            alarm = heapq.heappop(self._alarms)
            transaction = self._find(alarm.key)
            if transaction is not None and transaction.number == alarm.number:
                self._carry_out(alarm.key, transaction, transaction.steps.passes(now))

    @property
    def deadline(self) -> float | None:
        """When `advance` has something to do, or a little earlier."""
        return self._alarms[0].at if self._alarms else None

    def happened(self) -> list[Happened]:
        """What happened since the last call of this method."""
        happened, self._happened = self._happened, []
        return happened

    def _find(self, key: Key) -> _Transaction | None:
        return self._clients.get(key) if isinstance(key, ClientKey) else self._servers.get(key)

    # -- matching

    def _answered(self, response: Response, now: float) -> None:
        key = _client_key(response)
        transaction = self._clients.get(key)
        if transaction is None or response.headers[VIAS].others:
            return  # of a transaction that is over, or nobody's; of two Vias, one is another's: §8.1.3.3
        does = transaction.steps.happens(_class_of(response), now)
        self._carry_out(key, transaction, does, response)

    def _asked(self, request: Request, flow: Flow, now: float, *, reliable: bool) -> None:
        key = _server_key(request)
        transaction = self._servers.get(key)
        if transaction is not None:
            what = "ACK" if request.method == "ACK" else "request"
            self._carry_out(key, transaction, transaction.steps.happens(what, now), request)
        elif request.method == "ACK":
            self._happened.append(Acknowledged(request))  # of a 2xx, which is another transaction
        elif len(self._servers) < self._most * (1 if request.headers[TO].tag is None else 2):
            self._begin(key, request, flow, now, reliable=reliable)

    def _begin(self, key: ServerKey, request: Request, flow: Flow, now: float, *, reliable: bool) -> None:
        steps = machine(_table(request.method, "server"), reliable=reliable, timing=self._timing)
        transaction = self._servers[key] = _Transaction(steps, request, flow, next(self._numbers))
        self._by_flow[flow][key] = None
        does = steps.happens("begin", now)
        merging = _merging_key(request)
        first = self._merging.get(merging) if merging is not None else None
        if first is not None:
            self.respond(key, _answer_to_second(request, self._servers[first].sending), now)
            return
        if merging is not None:
            self._merging[merging] = key
        self._carry_out(key, transaction, does, request)

    # -- carrying out

    def _carry_out(
        self, key: Key, transaction: _Transaction, does: list[str], came: Request | Response | None = None
    ) -> None:
        for each in does:
            match each:
                case "send" if transaction.sending is not None:
                    self._happened.append(Send(transaction.sending, transaction.flow, key))
                case "ack" if isinstance(came, Response):
                    self._happened.append(Send(ack_for(transaction.request, came), transaction.flow, key))
                case "deliver" if isinstance(came, Response) and isinstance(key, ClientKey):
                    self._happened.append(Answered(key, came))
                case "deliver" if isinstance(came, Request) and isinstance(key, ServerKey):
                    self._deliver(key, transaction, came)
                case "timed out":
                    self._happened.append(TimedOut(key))
                case "broken":
                    self._happened.append(Broken(key))
        if transaction.steps.over:
            self._forget(key, transaction)
        elif (deadline := transaction.steps.deadline) is not None:
            heapq.heappush(self._alarms, _Alarm(deadline, transaction.number, key))

    def _deliver(self, key: ServerKey, transaction: _Transaction, request: Request) -> None:
        if request.method == "ACK":
            self._happened.append(Acknowledged(request))
            return
        invite = ServerKey(key.branch, "INVITE") if request.method == "CANCEL" else None
        cancels = invite if invite in self._servers else None
        self._happened.append(Asked(key, request, transaction.flow, cancels))

    def _forget(self, key: Key, transaction: _Transaction) -> None:
        self._happened.append(Over(key))
        self._leave(transaction.flow, key)
        if isinstance(key, ClientKey):
            self._clients.pop(key, None)
            return
        self._servers.pop(key, None)
        merging = _merging_key(transaction.request)
        if merging is not None and self._merging.get(merging) == key:
            del self._merging[merging]

    def _leave(self, flow: Flow, key: Key) -> None:
        keys = self._by_flow.get(flow)
        if keys is not None:
            keys.pop(key, None)
            if not keys:
                del self._by_flow[flow]


def _answer_to_second(request: Request, said: Request | Response | None) -> Response:
    """Of what came here by two ways, or again by another way: who has been refused by the first is refused alike."""
    if not isinstance(said, Response) or said.status < 300:
        return response_to(request, 482, to_tag=_LOOP_TAG)
    answer = response_to(request, said.status, to_tag=said.headers[TO].tag, reason=said.reason)
    repeated = {name for name, _ in answer.headers}
    for name, text in said.headers:
        if name not in repeated:
            answer.headers.add(name, text)
    return msgspec.structs.replace(answer, body=said.body)


def _table(method: str, side: str) -> Any:
    if side == "client":
        return INVITE_CLIENT if method == "INVITE" else NON_INVITE_CLIENT
    return INVITE_SERVER if method == "INVITE" else NON_INVITE_SERVER


def _class_of(response: Response) -> str:
    return {1: "1xx", 2: "2xx"}.get(response.status // 100, "3xx-6xx")


def key_of(message: Request | Response) -> Key:
    """The transaction of a message that came; of an ACK that of its INVITE, unless that was taken with a 2xx."""
    return _server_key(message) if isinstance(message, Request) else _client_key(message)


def _client_key(response: Response) -> ClientKey:
    return ClientKey(response.headers[VIAS].top.branch or "", response.headers[CSEQ].method)


def _server_key(request: Request) -> ServerKey:
    headers = request.headers
    via = headers[VIAS].top
    method = "INVITE" if request.method == "ACK" else request.method
    if via.transaction is not None:
        return ServerKey((via.transaction, via.host.lower(), via.port), method)
    # RFC 2543 named no transaction. The tag that a response gave the To is in its ACK alone.
    sender = (headers[FROM].tag, headers[CALL_ID], headers[CSEQ].number, str(via))
    return ServerKey((str(request.uri), *sender), method)


def _merging_key(request: Request) -> tuple[object, ...] | None:
    """What two requests share that are one, forked on its way; None within a dialog, where nothing forks."""
    headers = request.headers
    if headers[TO].tag is not None or request.method == "CANCEL":
        return None
    return (headers[FROM].tag, headers[CALL_ID], str(headers[CSEQ]))
