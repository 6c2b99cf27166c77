"""What the parts of one session have in common. They are composed in `session`."""

from dataclasses import dataclass

from gateway.wire.sip.asking import Asking
from gateway.wire.sip.endpoint import Endpoint, Rows
from gateway.wire.sip.message import Request
from gateway.wire.sip.offers import Offers
from gateway.wire.sip.session_timer import SessionTimer
from gateway.wire.sip.session_words import Respond, SessionWord
from gateway.wire.sip.transactions import ServerKey

__all__ = ["Common"]


@dataclass(frozen=True, slots=True, eq=False)
class Common:
    """`tag`: ours. `words`: where each part says what is to be sent, and what came."""

    endpoint: Endpoint
    tag: str
    words: list[SessionWord]
    offers: Offers
    timer: SessionTimer
    asking: Asking

    @classmethod
    def of(cls, endpoint: Endpoint, tag: str) -> "Common":
        words: list[SessionWord] = []
        timer = SessionTimer(endpoint.expires_s, endpoint.min_expires_s)
        return cls(endpoint, tag, words, Offers(), timer, Asking(endpoint, words))

    def respond(
        self, key: ServerKey, request: Request, status: int, rows: Rows = (), *, reason: str | None = None
    ) -> None:
        response = self.endpoint.response(request, status, self.tag, rows, reason=reason)
        self.words.append(Respond(key, response))
