"""What becomes of a call that came, and how a caller proves by password who he is. A core."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from gateway.carriers.sip.trunk import Trunk
from gateway.config import Secret
from gateway.wire.sip.digest_verifier import DigestVerifier, Verdict
from gateway.wire.sip.endpoint import Rows
from gateway.wire.sip.message import Request
from gateway.wire.sip.strangers import Sighting, Strangers, TokenBuckets

if TYPE_CHECKING:
    from random import Random

__all__ = ["REALM", "Admission", "Admitted", "CallerCredentials", "Challenge", "Drop", "Refusal"]

REALM: Final = "gateway"
"""What callers' passwords are for. One for all trunks, since a challenge must not tell which there are."""

# A PBX that has proven itself may place many calls at once, each of which begins with a challenge.
_PROVEN_S: Final = 3600.0
_MOST_PROVEN: Final = 10_000
_TRIES_OF_PROVEN: Final = (50.0, 200)  # a second, and at once


class Admitted(NamedTuple):
    """To be taken, as a call of this trunk."""

    trunk: Trunk


class Challenge(NamedTuple):
    """To be refused with `status` and `rows`: the caller may say again who he is."""

    status: int
    rows: Rows


class Refusal(NamedTuple):
    """To be refused, as a call of this trunk. `reason`: for its phrase."""

    trunk: Trunk
    status: int
    rows: Rows
    reason: str


class Drop(NamedTuple):
    """Not worth a word. `sighting`: for the same line in the log that strangers have; None: enough were told, or it is none."""

    why: Literal["stranger", "guesses", "flood"]
    sighting: Sighting | None


Admission = Admitted | Challenge | Refusal | Drop


class CallerCredentials:
    """Checks callers' names and passwords, few at a time: each try costs its source a token of `strangers`.

    What was right costs nothing, and neither does the challenge before it.
    """

    def __init__(self, strangers: Strangers, rng: "Random", *, nonce_key: bytes) -> None:
        self._strangers = strangers
        self._verifier = DigestVerifier(REALM, nonce_key, rng)
        self._proven: OrderedDict[str, float] = OrderedDict()  # host -> until when
        self._tries = TokenBuckets(*_TRIES_OF_PROVEN, most_keys=_MOST_PROVEN)

    def are_in(self, request: Request, now: float) -> bool:
        """Whether a request has credentials for us, right or wrong."""
        return self._verifier.verify(request, lambda _: None, now).verdict is not Verdict.MISSING

    def were_right(self, host: str, now: float) -> bool:
        """Whether somebody there has proven himself, not too long ago."""
        return now < self._proven.get(host, now)

    def prove(
        self, request: Request, host: str, accounts: Iterable[tuple[Trunk, Secret]], now: float
    ) -> Trunk | Challenge | None:
        """Whose credentials a request has, of the trunks that may call from `host`; None: too many tries."""
        if not self._may_try(host, now):
            return None
        by_user = {trunk.settings.user: (trunk, password) for trunk, password in accounts}

        def password_of(user: str) -> str | None:
            return by_user[user][1].reveal() if user in by_user else None

        verdict, user = self._verifier.verify(request, password_of, now)
        if verdict is Verdict.GOOD and user is not None:
            self._succeeded(host, now)
            return by_user[user][0]
        challenges = self._verifier.challenges(now, stale=verdict is Verdict.STALE)
        return Challenge(401, tuple(("WWW-Authenticate", str(each)) for each in challenges))

    def _may_try(self, host: str, now: float) -> bool:
        if self._strangers.may_challenge(host, now):
            return True
        return self.were_right(host, now) and self._tries.take(host, now)

    def _succeeded(self, host: str, now: float) -> None:
        for _ in ("the challenge", "its answer"):
            self._strangers.authenticated(host, now)
        self._proven[host] = now + _PROVEN_S
        self._proven.move_to_end(host)
        if len(self._proven) > _MOST_PROVEN:
            self._proven.popitem(last=False)
