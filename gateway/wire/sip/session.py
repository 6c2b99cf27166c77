"""A call as SIP knows it: from an INVITE to a BYE, on either side. RFC 3261 §13 to §15. A core.

    session = Session.invited(key, request, endpoint, now)   or   Session.inviting(uri, endpoint, now, ...)
    what comes:   receive, answered, and time by advance at `deadline`
    what we do:   ring, accept, refuse, hang_up; renegotiate, then offer; inform; refer, and `referral`
    what it says: words(), after each of these

Descriptions are bytes: who may offer when is decided here, what they say is not.

It is either side of any call. The gateway answers at once, sends keys in RTP and changes nothing of itself, so that
`ring`, `inform` and `renegotiate` are for the far ends that it is tested with; behind the last is what refreshes a
session by an INVITE (RFC 4028 §7.4).
"""

from collections.abc import Iterable
from typing import Final

from gateway.wire.sip.common import Common
from gateway.wire.sip.dialog import Dialog, path_of
from gateway.wire.sip.endpoint import Endpoint, Rows
from gateway.wire.sip.fields import CALL_ID, CSEQ, FROM
from gateway.wire.sip.incoming import Incoming
from gateway.wire.sip.invitation import Invitation
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.name_addr import NameAddr
from gateway.wire.sip.renegotiation import Renegotiation
from gateway.wire.sip.requests import Requests
from gateway.wire.sip.session_states import SESSION
from gateway.wire.sip.session_words import REASONS, Confirmed, Ended, SessionWord, Why
from gateway.wire.sip.steps import OVER, Steps
from gateway.wire.sip.transactions import Acknowledged, Asked, ServerKey
from gateway.wire.sip.transfer import ReferIssuer, ReferRecipient
from gateway.wire.sip.uri import Uri
from gateway.wire.sip.values import Reason

__all__ = ["Session"]

_UNANSWERED: Final = 408


class Session:
    """`referral`: the transfer that they ask for. `call_id` and `tag` name it in every message: `tag` is ours.

    `owns_call_id`: whether the call is ours.
    """

    def __init__(self, endpoint: Endpoint, call_id: str, tag: str, *, owns_call_id: bool) -> None:
        self.call_id = call_id
        self.tag = tag
        self.dialog: Dialog | None = None
        self._common = common = Common.of(endpoint, tag)
        self._words = common.words
        self._offers = common.offers
        self._timer = common.timer
        self._asking = common.asking
        self._steps = Steps(SESSION)
        self._invitation: Invitation | None = None  # ours; theirs is the first of `_incoming`
        self._incoming = Incoming(common)
        self._renegotiation = Renegotiation(common, owns_call_id=owns_call_id)
        self._issuer = ReferIssuer(common)
        self.referral = ReferRecipient(common)
        self._requests = Requests(common, self._incoming, self._issuer, self.referral)
        self._answer: bytes | None = None  # which goes into our ACK
        self._rows: Rows = ()  # why we leave
        self._owes_bye = False
        self._ended = Ended("hung up", by_us=True)

    @classmethod
    def invited(cls, key: ServerKey, request: Request, endpoint: Endpoint, now: float) -> "Session":
        """An INVITE came that belongs to no session. Raises `SipSyntaxError` for one that wants a 400.

        One that is refused here (422) makes a session that is over.
        """
        session = cls(endpoint, request.headers[CALL_ID], endpoint.new_tag(), owns_call_id=False)
        session.dialog = Dialog.of_invite(request, session.tag, first_number=endpoint.new_number())
        session._renegotiation.learn(request)
        taken = session._incoming.invited(key, request, now)
        session._steps.happens("theirs" if taken else "theirs, refused", now)
        return session

    @classmethod
    def inviting(
        cls,
        uri: Uri,
        endpoint: Endpoint,
        now: float,
        *,
        local: NameAddr,
        remote: NameAddr | None = None,
        description: bytes | None = None,
        routes: Iterable[NameAddr] = (),
        rows: Rows = (),
    ) -> "Session":
        """Call `uri`. `local`: who we are, without a tag. `remote`: who is called, if that is not `uri`.

        `description`: the offer; None: the other makes one. `routes`: by which proxies. `rows`: more headers.
        """
        session = cls(endpoint, endpoint.new_call_id(), endpoint.new_tag(), owns_call_id=True)
        session._steps.happens("ours", now)
        session._invitation = Invitation(
            session._common,
            path_of(uri, tuple(routes)),
            session.call_id,
            parties=(local.tagged(session.tag), remote or NameAddr(uri)),
            description=description,
            rows=rows,
            now=now,
        )
        return session

    @property
    def state(self) -> str:
        """A row of `SESSION`."""
        return self._steps.state

    @property
    def finished(self) -> bool:
        """Whether no message can come any more that is for it."""
        return (
            self._steps.over
            and not self._asking.open
            and self._incoming.over
            and self._renegotiation.over
            and (self._invitation is None or self._invitation.over)
            and self._issuer.idle
            and self.referral.idle
        )

    @property
    def parted(self) -> bool:
        """Whether it is over, and they know, or have had their time to say so: nothing is to be sent any more."""
        return (
            self._steps.over
            and not self._asking.open
            and self._incoming.over
            and (self._invitation is None or not self._invitation.unwanted)
        )

    # -- what we do. False: too late, or too early, and nothing is done

    def ring(self, now: float, status: int = 180, description: bytes | None = None, rows: Rows = ()) -> bool:
        """Say a 1xx to the INVITE. `description`: a preview of the answer. Raises ValueError if we are to offer."""
        return self._incoming.ring(status, description, rows, now)

    def accept(self, description: bytes, now: float, rows: Rows = ()) -> bool:
        """Take what was `Offered`, with our answer, or our offer if it had none."""
        if self.state == "taken":
            self._offers.happens("answer out")
            self._answer = description
            self._carry_out(self._steps.happens("answer", now), now)
            return True
        within = None if self.state == "invited" else self.dialog
        accepted = self._incoming.accept(description, within, rows, now)
        if accepted:
            self._steps.happens("accept", now)
        return accepted

    def refuse(self, status: int, now: float, rows: Rows = ()) -> bool:
        """Do not take what was `Offered`: a call, or a change to it, which goes on as before."""
        if self.state == "taken":
            self._end("leave", "refused", now, by_us=True)
            return True
        response = self._incoming.refuse(status, rows, now)
        self._end("refuse", "refused", now, by_us=True, message=response)
        return response is not None

    def hang_up(self, now: float, reasons: Iterable[Reason] = (), *, status: int = 480) -> None:
        """End it, however far it is. `status`: for an INVITE that has not been answered. `reasons`: RFC 3326."""
        self._rows = tuple(("Reason", str(reason)) for reason in reasons)
        if self.state == "invited":
            self.refuse(status, now, self._rows)
        else:
            self._end("leave", "hung up", now, by_us=True)

    def renegotiate(self) -> None:
        """We want to change it: an `OfferDue` will say when that may be."""
        self._renegotiation.want()

    def offer(self, description: bytes, now: float) -> bool:
        """The offer that was `OfferDue`. `AnswerCame`, `OfferRefused` or another `OfferDue` will follow."""
        return self.dialog is not None and self._renegotiation.offer(self.dialog, description, now)

    def inform(self, body: bytes, body_type: str, rows: Rows = ()) -> bool:
        """Send an INFO."""
        if self.dialog is None or self.state != "confirmed":
            return False
        self._asking.ask(self.dialog, "INFO", rows, body, body_type=body_type)
        return True

    def refer(self, target: Uri, now: float, rows: Rows = (), *, watch: bool = True) -> bool:
        """Have them call `target`; `TransferTold` says how it goes. `watch`: False: we need not know (RFC 4488)."""
        if self.dialog is None or self.state != "confirmed":
            return False
        return self._issuer.refer(self.dialog, target, rows, now, watch=watch)

    # -- what comes

    def receive(self, happened: Asked | Acknowledged, now: float) -> None:
        """A request of theirs came: in a dialog of this session, or a CANCEL of its INVITE."""
        if isinstance(happened, Acknowledged):
            self._acknowledged(happened.request, now)
        elif happened.request.method == "CANCEL":
            self._cancelled(happened, now)
        else:
            self._asked(happened.key, happened.request, now)

    def answered(self, request: Request, response: Response, now: float) -> None:
        """A response came to what was an `Ask`. One that timed out counts as a 408, one that nothing could carry as a
        503 (RFC 3261 §8.1.3.1).
        """
        if self._invitation is not None and request is self._invitation.request:
            self._invitation_answered(self._invitation, response, now)
        elif refused := self._renegotiation.answered(request, response, now):
            self._lose(refused, now)
        elif self._asking.answered(request, response):
            self._concluded(request, response, now)

    def advance(self, now: float) -> None:
        """Time passes."""
        for told in self._incoming.advance(now):
            if told == "expired":
                self._end("CANCEL", "cancelled", now, by_us=False)
            else:
                self._end("unacknowledged", "unacknowledged", now, by_us=True)
        for part in (self._invitation, self._renegotiation, self._issuer, self.referral):
            if part is not None:
                part.advance(now)
        for told in self._timer.advance(now):
            if told == "refresh":
                self._renegotiation.refresh(self.dialog)
            else:
                self._end("leave", "expired", now, by_us=True)

    @property
    def deadline(self) -> float | None:
        """When `advance` has something to do."""
        parts = (
            self._incoming,
            self._invitation,
            self._renegotiation,
            self._issuer,
            self.referral,
            self._timer,
        )
        deadlines = [part.deadline for part in parts if part is not None]
        return min((at for at in deadlines if at is not None), default=None)

    def words(self) -> list[SessionWord]:
        """What it says since the last call of this method."""
        self._renegotiation.proceed(free=self._is_free())
        said = self._words.copy()
        self._words.clear()
        return said

    # -- requests of theirs

    def _asked(self, key: ServerKey, request: Request, now: float) -> None:
        dialog = self._dialog_of(request)
        if dialog is None:
            self._common.respond(key, request, 481)
        elif not dialog.takes(request):
            self._common.respond(key, request, 500)
        elif request.method == "BYE":
            self._hung_up(key, request, dialog, now)
        elif self.state in {OVER, "leaving"} and request.method != "NOTIFY":
            self._common.respond(key, request, 481)
        else:
            ours_open = dialog is not self.dialog or self._renegotiation.open
            self._requests.serve(key, request, dialog, now, ours_open=ours_open)

    def _hung_up(self, key: ServerKey, request: Request, dialog: Dialog, now: float) -> None:
        """§15.1.2. Of a dialog that was declined, a BYE ends nothing; nor does one that requires what we have not, and
        is to come again without (§8.1.3.5).
        """
        if self._requests.refuses(key, request):
            return
        self._common.respond(key, request, 200)
        self._owes_bye = False
        early = self._invitation.early_dialogs if self._invitation is not None else {}
        if dialog is self.dialog or len(early) == 1:
            self._incoming.hung_up(now)
            self._end("BYE", "hung up", now, by_us=False, message=request)

    def _cancelled(self, cancel: Asked, now: float) -> None:
        """§9.2. A call that was accepted lives on."""
        self._common.respond(cancel.key, cancel.request, 481 if cancel.cancels is None else 200)
        if self._incoming.cancelled(cancel.request.headers[CSEQ].number, now):
            self._end("CANCEL", "cancelled", now, by_us=False, message=cancel.request)

    def _acknowledged(self, ack: Request, now: float) -> None:
        what = None if self._dialog_of(ack) is None else self._incoming.acknowledged(ack, now)
        if what == "ACK":
            self._carry_out(self._steps.happens("ACK", now), now)
        elif what == "no answer":
            self._end("no answer", "no answer", now, by_us=True, message=ack)

    # -- answers of theirs

    def _invitation_answered(self, invitation: Invitation, response: Response, now: float) -> None:
        what = invitation.answered(response, now)
        if what == "refused":
            self._end("refused", "refused", now, by_us=False, message=response)
        elif what is not None:
            self.dialog = invitation.dialog
            self._renegotiation.learn(response)
            self._steps.happens("2xx", now)
        if what == "answered":
            self._carry_out(self._steps.happens("answer", now), now)
        elif what == "no answer":
            self._end("leave", "no answer", now, by_us=True, message=response)

    def _concluded(self, request: Request, response: Response, now: float) -> None:
        match request.method:
            case "NOTIFY":
                self.referral.answered(response, now)
                if self._owes_bye:
                    self._say_goodbye()
            case "REFER":
                self._issuer.answered(response, now)
                self._lose(response, now)
            case "UPDATE":
                self._renegotiation.refreshed(response, self.dialog, now)
                self._lose(response, now)
            case "INFO":
                self._lose(response, now)

    def _lose(self, refusal: Response, now: float) -> None:
        """What ends the dialog that it came in. §12.2.1.2, RFC 5057 §5."""
        if refusal.status == 481:
            self._end("lost", "lost", now, by_us=False, message=refusal)
        elif refusal.status == _UNANSWERED:
            self._end("leave", "lost", now, by_us=False, message=refusal)

    # -- what they share

    def _end(
        self, what: str, why: Why, now: float, *, by_us: bool, message: Request | Response | None = None
    ) -> None:
        """Something happens that may end it."""
        if self._steps.can(what):
            if self.state != "leaving":  # which has said why
                self._ended = Ended(why, by_us, message)
                self._rows = (("Reason", str(REASONS[why])),) if why in REASONS else self._rows
            self._carry_out(self._steps.happens(what, now), now)

    def _carry_out(self, does: list[str], now: float) -> None:
        if self.state in {OVER, "leaving"}:
            self._wind_up(now)
        for each in does:
            match each:
                case "bye":
                    self._say_goodbye()
                case "acknowledge" if self._invitation is not None:
                    self._invitation.acknowledge(self._answer)
                case "quit" if self._invitation is not None:
                    self._invitation.quit(self._rows, now)
                case "confirmed":
                    self._words.append(Confirmed())
                case "ended":
                    self._words.append(self._ended)

    def _say_goodbye(self) -> None:
        """Not before they know how the transfer came out that they asked for: with the call many forget it. RFC 5589 §6.1."""
        self._owes_bye = self.referral.ending
        if self.dialog is not None and not self._owes_bye:
            self._asking.ask(self.dialog, "BYE", self._rows)

    def _wind_up(self, now: float) -> None:
        """What was under way comes to nothing."""
        self._timer.stop()
        if "REFER" in self._asking.end():
            self._issuer.dropped(now)
        self._renegotiation.end(now)
        self._incoming.drop(now)
        self.referral.refuse(now, 487)

    def _is_free(self) -> bool:
        """Whether we may offer. §14.1."""
        return (
            self.state == "confirmed"
            and self._offers.closed
            and not self._asking.open
            and self._incoming.over
            and not self._renegotiation.open
        )

    def _dialog_of(self, request: Request) -> Dialog | None:
        tag = request.headers[FROM].tag
        if self.dialog is not None and self.dialog.remote.tag == tag:
            return self.dialog
        return None if self._invitation is None else self._invitation.early_dialogs.get(tag)
