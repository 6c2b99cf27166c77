"""One session's offers and answers, made as they are due. A core."""

from typing import Final

from gateway.carriers.sip.told import plain_text
from gateway.wire.errors import RemoteProtocolError
from gateway.wire.sdp.agreement import Agreed, NotAcceptable
from gateway.wire.sdp.description import decode, encode
from gateway.wire.sdp.offer_answer import OfferAnswer
from gateway.wire.sip.grammar import quote
from gateway.wire.sip.session import Session
from gateway.wire.sip.session_words import AnswerCame, Offered
from gateway.wire.sip.steps import OVER

__all__ = ["Declined", "SessionMedia"]

_NOT_ACCEPTABLE: Final = 488
_WARNS: Final = "gateway"  # who says so; a host would tell where we are


class Declined(Exception):
    """What they offered or answered cannot be. `status`: what that gets."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class SessionMedia:
    """Gives what each offer and answer comes to. `media` has made the offer already that an INVITE of ours went with.

    Who may offer when is the session's to know: where it has us answer or offer, no offer of ours is open any more,
    though nobody may have said what became of it (an INVITE that crossed another is asked again later).
    """

    def __init__(self, session: Session, media: OfferAnswer) -> None:
        self.session = session
        self.media = media
        self._answer: bytes | None = None

    def offered(self, offer: Offered, now: float) -> Agreed | None:
        """Answer, or, with a call that waits, have the answer ready. None: they are to answer our offer.

        Raises `Declined`: it is refused, and a session that stands goes on as it was.
        """
        if self.session.state == OVER:
            return None
        self.media.withdraw()
        if offer.description is None:
            self.session.accept(encode(self.media.offer()), now)
            return None
        try:
            answer = self.media.answer(decode(offer.description))
        except RemoteProtocolError as error:
            raise self._refused(400, error, now) from error
        except NotAcceptable as error:
            raise self._refused(_NOT_ACCEPTABLE, error, now) from error
        self._answer = encode(answer)
        if self.session.state != "invited":
            self.accept(now)
        return self.media.agreed

    def accept(self, now: float) -> None:
        """Take what was offered; harmless when it is taken."""
        answer, self._answer = self._answer, None
        if answer is not None:
            self.session.accept(answer, now)

    def answered(self, answer: AnswerCame) -> Agreed:
        """Take the answer to our offer. Raises `Declined`: there is no such session."""
        try:
            return self.media.take_answer(decode(answer.description))
        except (RemoteProtocolError, NotAcceptable) as error:
            raise Declined(_NOT_ACCEPTABLE, str(error)) from error

    def offer(self, now: float) -> None:
        """Make the offer that is due: the same again, unless `media` is to be another."""
        self.media.withdraw()
        if not self.session.offer(encode(self.media.offer()), now):
            self.media.withdraw()

    def offer_refused(self) -> None:
        """All stays as it is."""
        self.media.withdraw()

    def _refused(self, status: int, error: Exception, now: float) -> Declined:
        warning = f"399 {_WARNS} {quote(plain_text(str(error)))}"  # RFC 3261 §13.3.1.3, §20.43
        self.session.refuse(status, now, (("Warning", warning),) if status == _NOT_ACCEPTABLE else ())
        return Declined(status, str(error))
