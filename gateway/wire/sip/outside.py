"""Requests that belong to no session: who calls, and what all others are told. RFC 3261 §8.2. A core.

Who is not `Gate.standing` for anything yet, hears one 401 at most: whatever we say tells a scanner that here is
somebody, and goes to third parties where UDP sources are forged.
"""

from typing import TYPE_CHECKING, Final, Literal, Protocol

from gateway.wire.sip.acceptance import Abilities, refusal_of
from gateway.wire.sip.agent_words import Called, Refused
from gateway.wire.sip.backoff import readable
from gateway.wire.sip.endpoint import Rows
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.fields import TO
from gateway.wire.sip.message import Request, Response, response_to
from gateway.wire.sip.options import answer_options
from gateway.wire.sip.strangers import TokenBuckets
from gateway.wire.sip.transactions import Asked, ServerKey, Transactions

if TYPE_CHECKING:
    from random import Random

__all__ = ["Gate", "Outside", "Standing", "was_call"]

# Of what cannot be read: enough for who tries out a new peer, too little to flood others with; and for a carrier, who
# has many calls of which each may have such messages.
_UNREADABLE: Final = (1.0, 5)
_UNREADABLE_OF_TRUSTED: Final = (20.0, 50)
# Who proves himself has no more of a call that there is not.
_NEVER_CHALLENGED: Final = frozenset({"BYE", "CANCEL"})
_STATELESS_TAG: Final = "challenged"  # §8.2.7: the same for the same request

Standing = Literal["trusted", "met", "unknown"]
"""Trusted: by its address. Met: it has proven who it is, or we have sent something there."""


class Gate(Protocol):
    """Knows who is who."""

    def standing(self, host: str, now: float) -> Standing: ...

    def challenge(self, request: Request, host: str, now: float) -> Rows | None:
        """What a 401 to a request shall say; none: it has proven who sent it. None: it is not worth a word."""
        ...


class Outside:
    """`draining_s`: when to ask again, while no calls are taken; None: they are. `gate`: None: everybody is met.

    All but calls is answered without memory, and again if it comes again (RFC 3261 §8.2.7): a flood leaves nothing. So
    is a call that is asked who it is (§26.3.2.4).
    """

    def __init__(
        self, transactions: Transactions, abilities: Abilities, rng: "Random", gate: Gate | None = None
    ) -> None:
        self.draining_s: int | None = None
        self._transactions = transactions
        self._abilities = abilities
        self._rng = rng
        self._waiting: dict[ServerKey, Called] = {}
        self._gate = gate
        self._unreadable = {
            "met": TokenBuckets(*_UNREADABLE),
            "trusted": TokenBuckets(*_UNREADABLE_OF_TRUSTED),
        }

    def __len__(self) -> int:
        """How many calls wait for somebody to decide."""
        return len(self._waiting)

    def lets_in(self, request: Request, host: str, now: float) -> bool | Response:
        """Whether a request of no session and no transaction is to be heard. A response: the 401 that it gets instead.

        An INVITE is: it will be `Called`, and somebody decides about it. So is an ACK, which nobody answers.
        """
        is_inside = request.headers[TO].tag is not None
        if request.method == "ACK" or (request.method == "INVITE" and not is_inside):
            return True
        if self._gate is None or not self.is_unknown(host, now):
            return True
        if is_inside or request.method in _NEVER_CHALLENGED:
            return False
        rows = self._gate.challenge(request, host, now)
        if not rows:
            return rows is not None
        challenge = response_to(request, 401, to_tag=_STATELESS_TAG)
        for name, text in rows:
            challenge.headers.add(name, text)
        return challenge

    def is_unknown(self, host: str, now: float) -> bool:
        """Whether nobody there is to hear more of us than a challenge."""
        return self._standing(host, now) == "unknown"

    def asked(self, asked: Asked, now: float) -> Called | Refused | None:
        """A request came. None: it is answered, and was no call."""
        request = asked.request
        if request.method == "INVITE" and self.is_unknown(asked.flow.remote.host, now):
            return self._wait(asked)  # first of all he says who he is
        refusal = refusal_of(request, self._abilities)
        if refusal is not None:
            response = self._respond(asked, refusal.status, now, refusal.headers, reason=refusal.reason)
        elif request.method == "OPTIONS":
            tag = self._new_tag()
            response = answer_options(request, self._abilities, to_tag=tag, draining_s=self.draining_s)
            self._transactions.respond(asked.key, response, now)
            self._transactions.forget(asked.key)
        elif request.method != "INVITE":
            response = self._respond(asked, 481, now)
        elif self.draining_s is not None:
            response = self._respond(asked, 503, now, (("Retry-After", str(self.draining_s)),))
        else:
            return self._wait(asked)
        return Refused(request, response, asked.flow) if request.method == "INVITE" else None

    def cancelled(self, cancel: Asked, now: float) -> bool:
        """A CANCEL came. Whether it was of a call about which nobody has decided; then both are answered. §9.2."""
        called = None if cancel.cancels is None else self._waiting.pop(cancel.cancels, None)
        if called is None:
            return False
        tag = self._new_tag()
        self._respond(cancel, 200, now, tag=tag)
        self._respond(called.asked, 487, now, tag=tag)
        return True

    def decide(self, called: Called) -> bool:
        """Somebody decides about a call. False: it is over already."""
        return self._waiting.pop(called.asked.key, None) is not None

    def refuse(self, called: Called, status: int, now: float, rows: Rows, reason: str | None) -> None:
        if self.decide(called):
            self._respond(called.asked, status, now, rows, reason=reason)

    def drop(self, called: Called) -> None:
        if self.decide(called):
            self._transactions.forget(called.asked.key)

    def over(self, key: ServerKey) -> None:
        """Nobody waits for an answer any more."""
        self._waiting.pop(key, None)

    def unreadable(self, error: SipSyntaxError, source: str, now: float) -> Response | None:
        """What to say to what could not be read, back to where it came from: its Via may be as malformed as the rest.

        None: nothing.
        """
        standing = self._standing(source, now)
        if error.status is None or standing == "unknown" or not self._unreadable[standing].take(source, now):
            return None
        return response_to(error, error.status, to_tag=self._new_tag(), reason=str(error))

    def _standing(self, host: str, now: float) -> Standing:
        return "met" if self._gate is None else self._gate.standing(host, now)

    def _wait(self, asked: Asked) -> Called:
        called = self._waiting[asked.key] = Called(asked)
        return called

    def _respond(
        self,
        asked: Asked,
        status: int,
        now: float,
        rows: Rows = (),
        *,
        reason: str | None = None,
        tag: str | None = None,
    ) -> Response:
        response = response_to(asked.request, status, to_tag=tag or self._new_tag(), reason=reason)
        for name, text in rows:
            response.headers.add(name, text)
        self._transactions.respond(asked.key, response, now)
        if asked.request.method != "INVITE" or status == 401:
            self._transactions.forget(asked.key)
        return response

    def _new_tag(self) -> str:
        return f"{self._rng.getrandbits(64):016x}"


def was_call(error: SipSyntaxError) -> bool:
    """Whether what could not be read would have begun a call, as far as can be seen."""
    if error.headers is None:
        return False
    to = readable(error.headers, TO)
    is_invite = (error.headers.get("CSeq") or "").rstrip().endswith("INVITE")
    return is_invite and (to is None or to.tag is None)
