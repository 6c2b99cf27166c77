"""One call's signalling, as its leg is told it: what was agreed and what happened, never how. A core.

    session says a word --> said ----> told: what the leg core takes, and for the sockets the keys
    what the call wants --> answer, refuse, hang_up, transfer
    a message passed -----> passed --> told, for the ladder

After each of these the `sessions` may have something to say: the user agent is to look at them.

Their offers are answered at once, whatever they change (hold, resume, another address or codec); but the first, with
which they call, by `answer`. Where they leave the first offer to us (RFC 3261 §13.2.1), it is made at once in a 200,
since nothing can be agreed on before their ACK.

A transfer that they ask for (REFER) moves the call: another session is begun, and once it is answered its media takes
the place of what was agreed before. The leg only sees another agreement.

    wanted --> a session to it is begun --> move(session, media) --> answered: `session` is that one
    wanted --> it cannot be             --> stay(status)         --> all stays as it was, as it does when it is refused
"""

from typing import Final, NamedTuple, assert_never

import msgspec

from gateway.carriers.sip.ladder import passed_message
from gateway.carriers.sip.leg_messages import (
    CallOver,
    FromSip,
    Ringing,
    TransferAsked,
    TransferTold,
)
from gateway.carriers.sip.parting import part
from gateway.carriers.sip.session_media import Declined, SessionMedia
from gateway.carriers.sip.told import call_over, digit_informed, media_agreed, plain_text
from gateway.endings import ENDINGS, EndReason
from gateway.wire.sdp.agreement import Agreed
from gateway.wire.sdp.media import Direction
from gateway.wire.sdp.offer_answer import OfferAnswer
from gateway.wire.sip import session_words as words
from gateway.wire.sip.backoff import readable
from gateway.wire.sip.endpoint import Rows
from gateway.wire.sip.fields import REFERRED_BY
from gateway.wire.sip.flow import Flow
from gateway.wire.sip.grammar import unescape
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.session import Session
from gateway.wire.sip.uri import SipUri, TelUri, Uri

__all__ = ["Signalling", "Told"]

_NOT_ACCEPTABLE: Final = 488
_NOT_ALLOWED: Final = 603
_NOT_BUILT: Final = 501
_GONE: Final = 487
# What we tell of a transfer that they took without a word of how it went.
_TAKEN: Final = 202


class Told(NamedTuple):
    """`agreed`: with a `MediaAgreed`, the same with the keys of SRTP."""

    message: FromSip
    agreed: Agreed | None = None


class Signalling:
    """The session of one call, and its offers and answers.

    `session`: one that was asked for, or one of ours (`Session.inviting`), whose offer `media` has made. It becomes
    another by a move. `takes_transfers`: whether they may have us call somebody else; else that gets a 603, and an
    attended transfer, whose call would take another's place (RFC 3891), always a 501: as a plain call it would ring
    somebody up a second time.
    `confirmed`: both sides know that the call is on. `ended`: how it ended; None: it has not. `declined`: what was wrong
    with the offer that they called with, or with their answer to ours; None: nothing. `wanted`: whom they want
    us to call, until `move` or `stay`; `wanted_by`: in whose name, for Referred-By. `transfer_outcome`: of a transfer
    of ours: the status of their call, or of their answer to our REFER; 202: they took it, and nobody knows what became
    of it; None: nobody has said yet.
    """

    def __init__(self, session: Session, media: OfferAnswer, *, takes_transfers: bool = False) -> None:
        self.confirmed = False
        self.ended: words.Ended | None = None
        self.declined: Declined | None = None
        self.wanted: Uri | None = None
        self.wanted_by: str | None = None
        self.transfer_outcome: int | None = None
        self._here = SessionMedia(session, media)
        self._there: SessionMedia | None = None  # where the call moves to
        self._left: Session | None = None  # where it has moved from, or has not moved to
        self._takes_transfers = takes_transfers
        self._deserted: words.Ended | None = None  # who asked for the move has not waited for it
        self._transfers = False
        self._transfer_to: Uri | None = None  # as soon as the call is on
        self._told: list[Told] = []

    @property
    def session(self) -> Session:
        return self._here.session

    @property
    def sessions(self) -> tuple[Session, ...]:
        """All that may have something to say after something was done here."""
        there = self._there.session if self._there is not None else None
        return tuple(filter(None, (self.session, there, self._left)))

    @property
    def parted(self) -> bool:
        """Whether the call has ended, and they know, or have had their time to say so."""
        return self.ended is not None and all(session.parted for session in self.sessions)

    @property
    def transfer_answered(self) -> bool:
        """Whether no transfer of ours is under way, or none any more."""
        return not self._transfers

    def told(self) -> list[Told]:
        """What happened since the last call of this method."""
        told, self._told = self._told, []
        return told

    # -- what comes

    def said(self, session: Session, word: words.SessionWord, now: float) -> None:
        """A session of this call said something. What one says that the call has moved from is of no interest."""
        if session is self.session:
            self._said(word, now)
        elif self._there is not None and session is self._there.session:
            self._said_there(self._there, word, now)

    def passed(self, message: Request | Response, flow: Flow, *, sent: bool) -> None:
        """A message of a session of this call was sent, or came."""
        self._tell(passed_message(message, sent=sent, flow=flow))

    # -- what the call wants

    def answer(self, now: float) -> None:
        """Take the call. Harmless when it is taken, or over."""
        self._here.accept(now)

    def refuse(self, status: int, now: float, rows: Rows = ()) -> None:
        """Do not take the call. `rows`: more headers. Harmless when it is taken, or over."""
        if self.session.state == "invited":
            self.session.refuse(status, now, rows)

    def hang_up(self, reason: EndReason, now: float) -> None:
        """End the call, however far it is: a final status, CANCEL or BYE. Harmless when it is over."""
        status = ENDINGS[reason].sip_status
        self._transfer_to = self.wanted = None
        for session in self.sessions:
            part(session, status, now)
        if self._deserted is not None:
            self.ended = self._deserted

    def transfer(self, target: Uri, now: float) -> bool:
        """Have them call `target` (REFER); a call that is not answered yet is answered for that. False: it cannot be.

        `transfer_answered` says when it is known how it goes. A call that was transferred is hung up by either side.
        """
        if self._transfers or self.ended is not None:
            return False
        if self.session.state in {"invited", "accepted"}:
            self.answer(now)
            self._transfer_to = target
        elif not self.session.refer(target, now):
            return False
        self._transfers, self.transfer_outcome = True, None
        return True

    # -- what becomes of a transfer that they want

    def move(self, session: Session, media: OfferAnswer) -> bool:
        """Have the call go on in `session`, which is one of ours to `wanted`, once that is answered. `media`: its offer.

        They are told how it goes. False: they have left meanwhile, or nobody has asked; it is to be hung up.
        """
        if self.wanted is None:
            return False
        self.wanted = None
        self._there = SessionMedia(session, media)
        return True

    def stay(self, status: int, now: float) -> None:
        """The call does not go to `wanted`; they are told why."""
        if self._there is not None:
            self._left = self._there.session
        self.wanted = self._there = None
        self.session.referral.tell(status, now)
        if self._deserted is not None:
            self._over(self._deserted)

    # -- words of the session

    def _said(self, word: words.SessionWord, now: float) -> None:
        match word:
            case words.Offered():
                self._offered(word, now)
            case words.AnswerCame():
                if self.ended is None:  # or it came with the ACK that our BYE has waited for
                    self._answered(word, now)
            case words.Progressed(response):
                self._tell(Ringing(status=response.status))
            case words.Confirmed():
                self._confirmed(now)
            case words.OfferDue():
                self._here.offer(now)
            case words.OfferRefused():
                self._here.offer_refused()
            case words.Informed(request):
                digit = digit_informed(request)
                if digit is not None:
                    self._tell(digit)
            case words.TransferAsked():
                self._transfer_asked(word, now)
            case words.TransferTold(status, last):
                self._transfer_told(status, last=last)
            case words.Ended():
                self._ended(word)
            case words.Ask() | words.Acknowledge() | words.Cancel() | words.Forget() | words.Respond():
                pass  # the user agent's
            case _:
                assert_never(word)

    def _offered(self, offer: words.Offered, now: float) -> None:
        is_first = self.session.state == "invited"
        try:
            agreed = self._here.offered(offer, now)
        except Declined as declined:
            if is_first:
                self._fail("refused", declined)
            return
        if agreed is not None:
            self._agreed(agreed)
        elif is_first:
            self._tell(Ringing(status=200))

    def _answered(self, answer: words.AnswerCame, now: float) -> None:
        try:
            agreed = self._here.answered(answer)
        except Declined as declined:
            if not answer.early:  # what comes with the 200 counts
                self._fail("no answer", declined)
                part(self.session, declined.status, now)
            return
        self._agreed(agreed, early=answer.early)

    def _confirmed(self, now: float) -> None:
        self.confirmed = True
        target, self._transfer_to = self._transfer_to, None
        if target is not None:
            self.session.refer(target, now)

    def _ended(self, ended: words.Ended) -> None:
        if ended.why == "hung up" and not ended.by_us:
            if self.wanted is not None or self._there is not None:
                self._desert(ended)
                return
            if self._transfers:  # many carriers take a REFER, do it, and say no more than BYE
                self._transfer_told(None, last=True)
        self._over(ended)

    def _over(self, ended: words.Ended) -> None:
        self.ended = ended
        self.wanted = self._deserted = None
        self._transfers = False
        if not ended.by_us or ended.why not in {"hung up", "refused"}:  # those are our wish
            self._tell(call_over(ended))

    # -- a transfer of ours

    def _transfer_told(self, status: int | None, *, last: bool) -> None:
        """RFC 3515 §2.4.5: a status below 200 that is the last says that they go on, and tell no more."""
        if last and (status is None or status < 200):
            status = None
            self.transfer_outcome = _TAKEN
        elif status is not None and status >= 200:
            self.transfer_outcome = status
        self._transfers = self._transfers and self.transfer_outcome is None
        self._tell(TransferTold(status=status, last=last))

    # -- a transfer of theirs

    def _transfer_asked(self, asked: words.TransferAsked, now: float) -> None:
        target, headers = asked.target, asked.request.headers
        is_attended = isinstance(target, SipUri) and _has_replaces(target)
        taken = self._takes_transfers and self._there is None and isinstance(target, SipUri | TelUri)
        taken = taken and not is_attended
        if taken:
            self.session.referral.accept(now)
            self.wanted = target
            # RFC 3892 §2.2: as it is.
            self.wanted_by = headers.get("Referred-By") if readable(headers, REFERRED_BY) else None
        else:
            self.session.referral.refuse(now, _NOT_BUILT if is_attended else _NOT_ALLOWED)
        self._tell(TransferAsked(taken=taken))

    def _said_there(self, there: SessionMedia, word: words.SessionWord, now: float) -> None:
        match word:
            case words.Progressed(response):
                self.session.referral.tell(response.status, now)
            case words.AnswerCame():
                try:
                    agreed = there.answered(word)
                except Declined as declined:
                    if not word.early:
                        part(there.session, declined.status, now)
                        self.stay(_NOT_ACCEPTABLE, now)
                    return
                if not word.early:
                    self._moved(there, agreed, now)
                elif self._deserted is not None:  # nobody else is there to be heard
                    self._agreed(agreed, early=True)
            case words.Ended():
                refused = word.message.status if isinstance(word.message, Response) else _GONE
                self.stay(max(refused, 300), now)

    def _moved(self, there: SessionMedia, agreed: Agreed, now: float) -> None:
        left, self._left = self._here.session, self._here.session
        self._here, self._there = there, None
        self._deserted = None
        self.confirmed = False
        left.referral.tell(200, now)
        part(left, 200, now)
        self._agreed(agreed)

    def _desert(self, ended: words.Ended) -> None:
        """Who asked for the transfer leaves at once (RFC 5589 §6.1 has it wait). The call waits as if it were on hold."""
        self._deserted = ended
        if self._here.media.agreed is not None:
            self._agreed(msgspec.structs.replace(self._here.media.agreed, direction=Direction.INACTIVE))

    # -- what is told

    def _agreed(self, agreed: Agreed, *, early: bool = False) -> None:
        self._told.append(Told(media_agreed(agreed, early=early), agreed))

    def _fail(self, why: words.Why, declined: Declined) -> None:
        self.ended, self.declined = words.Ended(why, by_us=True), declined
        status = declined.status if why == "refused" else None
        self._tell(CallOver(why=why, status=status, text=plain_text(str(declined))))

    def _tell(self, message: FromSip) -> None:
        self._told.append(Told(message))


def _has_replaces(uri: SipUri) -> bool:
    """Whatever it says, and however its name is written."""
    return any(unescape(name).lower() == "replaces" for name, _ in uri.headers)
