"""All sessions of one user agent: whose a message is. RFC 3261 §12.2.2, §8.2.1, §9.2. A core.

It stands on `Transactions`: `receive` takes what happened there, `said` gives what is to be asked and answered there.

    Ask          give the request a Via, find the way to `next_hop`, `Transactions.ask`; then `answered` or `unanswered`
    Cancel       `cancel_for` the INVITE as it was sent, `Transactions.ask` by the same flow; its answer is nobody's
    Acknowledge  as `Ask`, but sent without a transaction; the same object again is to be sent as it was
    Respond      `Transactions.respond`
    Forget       end that INVITE's transaction
"""

import heapq
import math
from typing import Final, NamedTuple

from gateway.wire.sip.acceptance import refusal_of
from gateway.wire.sip.endpoint import Endpoint
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.fields import CALL_ID, FROM, TO
from gateway.wire.sip.message import Request, Response, response_to
from gateway.wire.sip.session import Session
from gateway.wire.sip.session_words import Respond, SessionWord
from gateway.wire.sip.transactions import Acknowledged, Asked, ServerKey

__all__ = ["Said", "Sessions"]

# Without a dialog they mean nothing. NOTIFY: only of what we have asked for within one.
_WITHIN_A_DIALOG: Final = frozenset({"BYE", "INFO", "NOTIFY", "PRACK", "REFER", "UPDATE"})
_NO_TAG: Final = "none"
_MOST_STALE: Final = (
    8  # alarms that nobody needs any more; a session timer's would stay for a quarter of an hour
)


class Said(NamedTuple):
    """`session`: whose it is; None: of a request that belongs to none."""

    session: Session | None
    word: SessionWord


Key = tuple[str, str | None]
"""Call-ID and our tag."""


class _Alarm(NamedTuple):
    at: float
    key: Key


class Sessions:
    """Give it what comes and the time; take what is said."""

    def __init__(self) -> None:
        self._sessions: dict[Key, Session] = {}
        self._invited: dict[ServerKey, Session] = {}  # by their INVITE, which a CANCEL names
        self._invites: dict[Session, ServerKey] = {}
        self._touched: dict[Session, None] = {}
        self._alarms: list[_Alarm] = []  # a heap; some are of sessions that are over, or were put off
        self._soonest: dict[Key, float] = {}
        self._said: list[Said] = []

    def __len__(self) -> int:
        return len(self._sessions)

    def named(self, call_id: str, tag: str | None) -> Session | None:
        """The session of a Call-ID and our tag."""
        return self._sessions.get((call_id, tag))

    # -- new ones

    def begin(self, session: Session) -> Session:
        """Take in a session that was made by `Session.inviting`."""
        self._sessions[session.call_id, session.tag] = session
        self.touch(session)
        return session

    def invited(self, asked: Asked, endpoint: Endpoint, now: float) -> Session | None:
        """Begin the session that an INVITE asks for which `receive` has not taken. None: it is refused."""
        request = asked.request
        tag = endpoint.new_tag()
        refusal = refusal_of(request, endpoint.abilities)
        if refusal is not None:
            self._say(asked.key, endpoint.refusal(request, refusal, tag))
            return None
        try:
            session = Session.invited(asked.key, request, endpoint, now)
        except SipSyntaxError as error:
            self._say(asked.key, endpoint.response(request, 400, tag, reason=str(error)))
            return None
        self._invited[asked.key] = session
        self._invites[session] = asked.key
        return self.begin(session)

    # -- what comes

    def receive(self, happened: Asked | Acknowledged, now: float) -> bool:
        """Take what belongs to a session, or would, if there were one. False: it does not, an answer is owed."""
        request = happened.request
        session = self._session_of(happened)
        if session is not None:
            session.receive(happened, now)
            self.touch(session)
            return True
        if isinstance(happened, Acknowledged):
            return True  # of a session that is over
        if request.headers[TO].tag is None and request.method not in {*_WITHIN_A_DIALOG, "CANCEL"}:
            return False
        too_late = happened.cancels is not None  # §9.2: it has been answered
        self._say(happened.key, response_to(request, 200 if too_late else 481, to_tag=_NO_TAG))
        return True

    def answered(self, request: Request, response: Response, now: float) -> bool:
        """A response came to what was an `Ask`. False: it was no session's."""
        session = self._sessions.get((request.headers[CALL_ID], request.headers[FROM].tag))
        if session is not None:
            session.answered(request, response, now)
            self.touch(session)
        return session is not None

    def unanswered(self, request: Request, now: float, *, status: int = 408) -> bool:
        """An `Ask` timed out, or (503) nothing could carry it."""
        return self.answered(request, response_to(request, status, to_tag=_NO_TAG), now)

    def advance(self, now: float) -> None:
        """Time passes."""
        while self._alarms and self._alarms[0].at <= now:
            alarm = heapq.heappop(self._alarms)
            session = self._sessions.get(alarm.key)
            if session is not None and self._soonest.get(alarm.key) == alarm.at:
                del self._soonest[alarm.key]
                session.advance(now)
                self.touch(session)

    @property
    def deadline(self) -> float | None:
        """When `advance` has something to do, or a little earlier; after `said`."""
        return self._alarms[0].at if self._alarms else None

    def touch(self, session: Session) -> None:
        """Something was done with a session: `said` will say what came of it."""
        self._touched[session] = None

    def said(self) -> list[Said]:
        """What all of them said since the last call of this method."""
        said, self._said = self._said, []
        touched, self._touched = self._touched, {}
        for session in touched:
            said += [Said(session, word) for word in session.words()]
            if session.finished:
                self._forget(session)
            else:
                self._wake(session)
        return said

    def _session_of(self, happened: Asked | Acknowledged) -> Session | None:
        if isinstance(happened, Asked) and happened.cancels is not None:
            found = self._invited.get(happened.cancels)
            if found is not None:
                return found
        headers = happened.request.headers
        return self.named(headers[CALL_ID], headers[TO].tag)

    def _say(self, key: ServerKey, response: Response) -> None:
        self._said.append(Said(None, Respond(key, response)))

    def _wake(self, session: Session) -> None:
        """One alarm a session is enough: the next is set when it rings."""
        at, key = session.deadline, (session.call_id, session.tag)
        if at is not None and at < self._soonest.get(key, math.inf):
            self._soonest[key] = at
            heapq.heappush(self._alarms, _Alarm(at, key))

    def _forget(self, session: Session) -> None:
        key = (session.call_id, session.tag)
        self._sessions.pop(key, None)
        self._soonest.pop(key, None)
        if len(self._alarms) > _MOST_STALE + 2 * len(self._sessions):
            self._alarms = [alarm for alarm in self._alarms if self._soonest.get(alarm.key) == alarm.at]
            heapq.heapify(self._alarms)
        invite = self._invites.pop(session, None)
        # A branch that was used again is another's by now.
        if invite is not None and self._invited.get(invite) is session:
            del self._invited[invite]
