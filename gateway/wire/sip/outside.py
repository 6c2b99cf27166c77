"""Requests that belong to no session: who calls, and what all others are told. RFC 3261 §8.2. A core."""

from typing import TYPE_CHECKING, Final

from gateway.wire.sip.acceptance import Abilities, refusal_of
from gateway.wire.sip.agent_words import Called
from gateway.wire.sip.endpoint import Rows
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.message import Response, response_to
from gateway.wire.sip.options import answer_options
from gateway.wire.sip.strangers import TokenBuckets
from gateway.wire.sip.transactions import Asked, ServerKey, Transactions

if TYPE_CHECKING:
    from random import Random

__all__ = ["Outside"]

# Of what cannot be read: enough for who tries out a new peer, too little to flood others with.
_UNREADABLE: Final = (1.0, 5)


class Outside:
    """`draining_s`: when to ask again, while no calls are taken; None: they are.

    All but calls is answered without memory, and again if it comes again (RFC 3261 §8.2.7): a flood leaves nothing.
    """

    def __init__(self, transactions: Transactions, abilities: Abilities, rng: "Random") -> None:
        self.draining_s: int | None = None
        self._transactions = transactions
        self._abilities = abilities
        self._rng = rng
        self._waiting: dict[ServerKey, Called] = {}
        self._unreadable = TokenBuckets(*_UNREADABLE)

    def __len__(self) -> int:
        """How many calls wait for somebody to decide."""
        return len(self._waiting)

    def asked(self, asked: Asked, now: float) -> Called | None:
        """A request came. None: it is answered."""
        request = asked.request
        refusal = refusal_of(request, self._abilities)
        if refusal is not None:
            self._respond(asked, refusal.status, now, refusal.headers, reason=refusal.reason)
        elif request.method == "OPTIONS":
            tag = self._new_tag()
            answer = answer_options(request, self._abilities, to_tag=tag, draining_s=self.draining_s)
            self._transactions.respond(asked.key, answer, now)
            self._transactions.forget(asked.key)
        elif request.method != "INVITE":
            self._respond(asked, 481, now)
        elif self.draining_s is not None:
            self._respond(asked, 503, now, (("Retry-After", str(self.draining_s)),))
        else:
            self._waiting[asked.key] = Called(asked)
            return self._waiting[asked.key]
        return None

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
        if error.status is None or not self._unreadable.take(source, now):
            return None
        return response_to(error, error.status, to_tag=self._new_tag(), reason=str(error))

    def _respond(
        self,
        asked: Asked,
        status: int,
        now: float,
        rows: Rows = (),
        *,
        reason: str | None = None,
        tag: str | None = None,
    ) -> None:
        response = response_to(asked.request, status, to_tag=tag or self._new_tag(), reason=reason)
        for name, text in rows:
            response.headers.add(name, text)
        self._transactions.respond(asked.key, response, now)
        if asked.request.method != "INVITE":
            self._transactions.forget(asked.key)

    def _new_tag(self) -> str:
        return f"{self._rng.getrandbits(64):016x}"
