"""Our wish to change a session, or to refresh it by an INVITE: when it may be asked, and again. RFC 3261 §14.1. A core."""

from typing import Final

from gateway.wire.sip.backoff import readable, retry_after_s
from gateway.wire.sip.common import Common
from gateway.wire.sip.dialog import Dialog
from gateway.wire.sip.endpoint import DESCRIPTION, described_in
from gateway.wire.sip.fields import ALLOW
from gateway.wire.sip.invite_client import InviteClient
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.session_words import AnswerCame, OfferDue, OfferRefused
from gateway.wire.sip.steps import OVER, Row, Steps, Table

__all__ = ["RENEGOTIATED", "Renegotiation"]

# "offer due": one can be made now. It is made then and not kept from before, since another may have been answered
# meanwhile, and descriptions are numbered (RFC 3264 §8).
RENEGOTIATED: Table = {
    "": {"begin": Row("idle")},
    "idle": {"want": Row("wanted"), "stop": Row(OVER)},
    "wanted": {"may": Row("due", ("offer due",)), "stop": Row(OVER)},
    "due": {"offer": Row("asking"), "may not": Row("wanted"), "stop": Row(OVER)},
    "asking": {
        "want": Row("asking, wanted"),
        "taken": Row("idle"),
        "refused": Row("idle"),
        "later": Row("resting", ("start rest",)),
        "stop": Row(OVER),
    },
    "asking, wanted": {
        "taken": Row("wanted"),
        "refused": Row("wanted"),
        "later": Row("resting", ("start rest",)),
        "stop": Row(OVER),
    },
    "resting": {"rest": Row("wanted"), "stop": Row(OVER)},
}

_LEAST_REST_S: Final = 0.5
_UNITS_A_SECOND: Final = 100  # §14.1 has pauses in units of 10 ms


class Renegotiation:
    """The INVITEs of ours within one session, and its refreshes.

    `owns_call_id`: whether the call is ours; of two who ask at once, its owner waits longer.
    """

    def __init__(self, common: Common, *, owns_call_id: bool) -> None:
        self._endpoint = common.endpoint
        self._offers = common.offers
        self._timer = common.timer
        self._words = common.words
        self._owns_call_id = owns_call_id
        self._asking = common.asking
        self._allowed: frozenset[str] = frozenset()  # methods that they take, as far as they said
        self._rest_s = 0.0
        self._invites: list[InviteClient] = []  # the one under way, and those whose 2xx may come again
        self._steps = Steps(RENEGOTIATED, lambda _timer: self._rest_s)
        self._steps.happens("begin", 0.0)

    @property
    def open(self) -> bool:
        """Whether an INVITE of ours is under way."""
        return any(invite.open for invite in self._invites)

    @property
    def over(self) -> bool:
        """Whether nothing can come any more."""
        return not self._invites

    def want(self) -> None:
        """An `OfferDue` is wanted."""
        self._steps.happens("want", 0.0)

    def proceed(self, *, free: bool) -> None:
        """`free`: no INVITE and no offer is under way."""
        if self._steps.happens("may" if free else "may not", 0.0):
            self._words.append(OfferDue())

    def offer(self, dialog: Dialog, description: bytes, now: float) -> bool:
        """Ask for it. False: no offer is due."""
        if not self._steps.can("offer") or not self._offers.happens("offer out"):
            return False
        self._steps.happens("offer", now)
        ours = self._endpoint.rows_for("INVITE", secure=dialog.secure, body_type=DESCRIPTION)
        request = dialog.request("INVITE", (*ours, *self._timer.asking()), description)
        self._invites.append(
            InviteClient(request, dialog.next_hop, self._endpoint, self._words, now, dialog=dialog)
        )
        return True

    def answered(self, request: Request, response: Response, now: float) -> Response | None:
        """A response came: the one that refused it, if it did."""
        invite = next((each for each in self._invites if each.request is request), None)
        if invite is None:
            return None
        if response.status == 422 and invite.open and self._timer.too_brief(response):
            invite.again(now, self._timer.asking())
            return None
        told = invite.answered(response, now)
        self._prune()
        if told == "take":
            self._taken(invite, response, now)
        return self._refused(response, now) if told == "refuse" else None

    def learn(self, message: Request | Response) -> None:
        """Take what they say that they take."""
        allowed = readable(message.headers, ALLOW)
        self._allowed = frozenset(allowed or ())

    def refresh(self, dialog: Dialog | None) -> None:
        """By an UPDATE, which needs no offer, or else by an INVITE. RFC 4028 §7.4."""
        if dialog is not None and "UPDATE" in self._allowed:
            self._asking.ask(dialog, "UPDATE", self._timer.asking())
        else:
            self.want()

    def refreshed(self, response: Response, dialog: Dialog | None, now: float) -> None:
        """The final response to the UPDATE came."""
        if response.status < 300 and dialog is not None:
            dialog.refresh(response)
            self._timer.agreed(response, now)
        elif response.status == 422 and self._timer.too_brief(response):
            self.refresh(dialog)
        else:
            self._allowed -= {"UPDATE"} if response.status in {405, 501} else set()
            self._timer.failed(now)

    def end(self, now: float) -> None:
        """The session is over."""
        self._steps.happens("stop", now)
        for invite in self._invites:
            invite.end(now)

    def advance(self, now: float) -> None:
        self._steps.passes(now)
        for invite in self._invites:
            invite.advance(now)
        self._prune()

    @property
    def deadline(self) -> float | None:
        deadlines = [self._steps.deadline, *(invite.deadline for invite in self._invites)]
        return min((at for at in deadlines if at is not None), default=None)

    def _taken(self, invite: InviteClient, response: Response, now: float) -> None:
        self._steps.happens("taken", now)
        self._timer.agreed(response, now)
        said = described_in(response)
        self._offers.happens("drop" if said is None else "answer in")
        invite.acknowledge()
        self._words.append(OfferRefused(response) if said is None else AnswerCame(said))

    def _refused(self, response: Response, now: float) -> Response:
        """The session is as it was before. §14.1."""
        self._offers.happens("drop")
        self._rest_s = self._pause_s(response)
        if self._rest_s:
            self._steps.happens("later", now)
        else:
            self._steps.happens("refused", now)
            self._timer.failed(now)
            self._words.append(OfferRefused(response))
        return response

    def _pause_s(self, response: Response) -> float:
        """How long to wait before it is asked again: 0 if it is not."""
        if response.status == 491:
            least, most = (210, 400) if self._owns_call_id else (1, 200)
            return self._endpoint.rng.randint(least, most) / _UNITS_A_SECOND
        if response.status in {500, 503} and "Retry-After" in response.headers:
            return max(_LEAST_REST_S, retry_after_s(response))
        return 0.0

    def _prune(self) -> None:
        self._invites = [invite for invite in self._invites if not invite.over]
