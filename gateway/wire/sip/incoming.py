"""What they want of a session, by INVITE or UPDATE, until we have said and they know. RFC 3261 §13.3, §14.2, RFC 3311. A core."""

from typing import Final, NamedTuple

from gateway.wire.sip.common import Common
from gateway.wire.sip.dialog import Dialog
from gateway.wire.sip.endpoint import Rows, described_in
from gateway.wire.sip.fields import CSEQ
from gateway.wire.sip.invite_server import InviteServer
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.session_words import AnswerCame, Offered, Respond
from gateway.wire.sip.transactions import ServerKey

__all__ = ["Incoming"]

_LONGEST_RETRY_AFTER_S: Final = 10  # RFC 3261 §14.2, RFC 3311 §5.2
# Each is answered again and again until its ACK comes; one may be late, more of them nobody waits for.
_MOST_UNACKNOWLEDGED: Final = 4


class _Owed(NamedTuple):
    """What waits for `accept` or `refuse`: an INVITE, or else an UPDATE."""

    key: ServerKey
    request: Request
    server: InviteServer | None


class Incoming:
    def __init__(self, common: Common) -> None:
        self._common = common
        self._endpoint = common.endpoint
        self._offers = common.offers
        self._timer = common.timer
        self._words = common.words
        self._served: dict[int, InviteServer] = {}  # by CSeq
        self._owed: _Owed | None = None
        self._to_answer: InviteServer | None = None  # whose ACK will have the answer to our offer

    @property
    def over(self) -> bool:
        """Whether every INVITE is answered and acknowledged."""
        return not self._served

    # -- what comes

    def invited(self, key: ServerKey, request: Request, now: float, *, ours_open: bool = False) -> bool:
        """An INVITE came. `ours_open`: one of ours is under way. Whether it can be taken. Raises `SipSyntaxError`: 400."""
        said = described_in(request)
        status = self._refusal(ours_open=ours_open)
        if self._refuses(key, request, status):
            return False
        server = InviteServer(key, request, self._endpoint.timing, self._words, now)
        self._served[server.number] = server
        self._offers.happens("blank in" if said is None else "offer in")
        self._owed = _Owed(key, request, server)
        self._words.append(Offered(said, request))
        return True

    def updated(self, key: ServerKey, request: Request, dialog: Dialog, now: float) -> None:
        """An UPDATE came. RFC 3311 §5.2. Raises `SipSyntaxError`: 400."""
        said = described_in(request)
        status = None if said is None else self._offers.refusal
        if self._refuses(key, request, status):
            return
        if said is None:
            self._take_update(key, request, dialog, now)
        else:
            self._offers.happens("offer in")
            self._owed = _Owed(key, request, None)
            self._words.append(Offered(said, request))

    def cancelled(self, number: int, now: float) -> bool:
        """A CANCEL of the INVITE of that CSeq came. False: it is too late."""
        server = self._served.get(number)
        if server is None or not server.open:
            return False
        return self.drop(now)

    def acknowledged(self, ack: Request, now: float) -> str | None:
        """An ACK came: "ACK", "no answer" if it ought to have one, or None if it had come before."""
        server = self._served.get(ack.headers[CSEQ].number)
        if server is None or not server.happens("ACK", now):
            return None
        self._prune()
        if server is not self._to_answer:
            return "ACK"
        said = described_in(ack)
        self._to_answer = None
        if said is None:
            self._offers.happens("drop")
            return "no answer"
        self._offers.happens("answer in")
        self._words.append(AnswerCame(said))
        return "ACK"

    def hung_up(self, now: float) -> None:
        """A BYE came: who sent it waits for nothing, and has got what we said."""
        self.drop(now)
        for server in self._served.values():
            server.happens("BYE", now)
        self._prune()

    # -- what we say

    def ring(self, status: int, description: bytes | None, rows: Rows, now: float) -> bool:
        """Say a 1xx. False: there is no INVITE that waits. Raises ValueError for a description that is no answer."""
        owed = self._owed
        if owed is None or owed.server is None:
            return False
        if description is not None and self._offers.ours_due:
            raise ValueError("an offer needs a 1xx that is reliable")
        owed.server.say(self._response(owed, status, rows, description), now)
        return True

    def accept(self, description: bytes, dialog: Dialog | None, rows: Rows, now: float) -> bool:
        """Say 200. False: nothing waits for it."""
        owed, self._owed = self._owed, None
        if owed is None:
            return False
        ours_due = self._offers.ours_due
        self._offers.happens("offer out" if ours_due else "answer out")
        rows = (*self._timer.grant(owed.request, now), *rows)
        response = self._response(owed, 200, rows, description)
        if dialog is not None:
            dialog.refresh(owed.request)
        if owed.server is None:
            self._words.append(Respond(owed.key, response))
            return True
        self._to_answer = owed.server if ours_due else self._to_answer
        owed.server.say(response, now)
        return True

    def refuse(self, status: int, rows: Rows, now: float) -> Response | None:
        """Say something above 299: what was said; None: nothing waits for it."""
        owed, self._owed = self._owed, None
        if owed is None:
            return None
        self._offers.happens("drop")
        response = self._response(owed, status, rows)
        if owed.server is None:
            self._words.append(Respond(owed.key, response))
        else:
            owed.server.say(response, now)
        self._prune()
        return response

    def drop(self, now: float) -> bool:
        """Nobody wants an answer any more. §9.2, §15.1.2."""
        return self.refuse(487, (), now) is not None

    # -- time

    def advance(self, now: float) -> list[str]:
        """Say "expired" when nobody wants an answer to an INVITE any more, "unacknowledged" when no ACK came. §13.3.1."""
        told = [each for server in list(self._served.values()) for each in server.advance(now)]
        if "expired" in told:
            self.drop(now)
        self._prune()
        return told

    @property
    def deadline(self) -> float | None:
        deadlines = [server.deadline for server in self._served.values()]
        return min((at for at in deadlines if at is not None), default=None)

    # -- both

    def _refusal(self, *, ours_open: bool) -> int | None:
        """Of an INVITE. §14.2."""
        if ours_open:
            return 491
        if len(self._served) >= _MOST_UNACKNOWLEDGED or any(server.open for server in self._served.values()):
            return 500
        return self._offers.refusal

    def _refuses(self, key: ServerKey, request: Request, status: int | None) -> bool:
        too_brief = self._timer.refusal(request)
        rows: Rows = ()
        if status is None and too_brief is not None:
            status, rows = 422, too_brief
        elif status == 500:
            rows = (("Retry-After", str(self._endpoint.rng.randint(0, _LONGEST_RETRY_AFTER_S))),)
        if status is None:
            return False
        self._common.respond(key, request, status, rows)
        return True

    def _take_update(self, key: ServerKey, request: Request, dialog: Dialog, now: float) -> None:
        rows = self._timer.grant(request, now)
        dialog.refresh(request)
        self._common.respond(key, request, 200, rows)

    def _response(self, owed: _Owed, status: int, rows: Rows, description: bytes | None = None) -> Response:
        return self._endpoint.response(owed.request, status, self._common.tag, rows, description=description)

    def _prune(self) -> None:
        self._served = {number: server for number, server in self._served.items() if not server.over}
