"""An INVITE of ours: what is said to it, by one or by many, until nothing more can come. RFC 3261 §13.2, §9.1. A core."""

from gateway.wire.sip.dialog import Dialog, asked_again
from gateway.wire.sip.endpoint import DESCRIPTION, Endpoint, Rows
from gateway.wire.sip.fields import CSEQ, TO
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.session_words import Acknowledge, Ask, Cancel, Forget, SessionWord
from gateway.wire.sip.steps import OVER, Row, Steps, Table
from gateway.wire.sip.uri import Uri

__all__ = ["INVITE_ASKED", "InviteClient"]

# What is done: "ask", "cancel", "forget" the INVITE; what the session hears: that it rings ("progress"), is taken
# ("take") or refused ("refuse"). "decline": a 2xx that nobody wants is acknowledged, and followed by a BYE.
INVITE_ASKED: Table = {
    "": {"begin": Row("calling", ("ask",))},
    "calling": {
        "1xx": Row("proceeding", ("progress",)),
        "2xx": Row("taken", ("start lingering", "take")),
        "3xx-6xx": Row(OVER, ("refuse",)),
        "again": Row("calling", ("ask",)),  # with credentials, or as they asked: §8.1.3.5
        "quit": Row("quitting"),
        "end": Row("ending", ("start patience",)),
    },
    "proceeding": {
        "1xx": Row("proceeding", ("progress",)),
        "2xx": Row("taken", ("start lingering", "take")),
        "3xx-6xx": Row(OVER, ("refuse",)),
        "again": Row("calling", ("ask",)),
        "quit": Row("cancelling", ("cancel", "start patience")),
        "end": Row("ending", ("start patience",)),
    },
    "quitting": {  # §9.1: no CANCEL before a response, which it might overtake
        "1xx": Row("cancelling", ("cancel", "start patience")),
        "2xx": Row("declined", ("start lingering", "decline")),
        "3xx-6xx": Row(OVER),
    },
    "cancelling": {
        "2xx": Row("declined", ("stop patience", "start lingering", "decline")),
        "3xx-6xx": Row(OVER),
        "patience": Row(OVER, ("forget",)),
    },
    "ending": {  # of a dialog that has ended meanwhile
        "2xx": Row("taken", ("stop patience", "start lingering", "repeat")),
        "3xx-6xx": Row(OVER),
        "patience": Row(OVER, ("forget",)),
    },
    "taken": {  # §13.2.2.4: as long as other 2xx may come
        "2xx": Row("taken", ("repeat",)),
        "lingering": Row(OVER),
    },
    "declined": {
        "2xx": Row("declined", ("decline",)),
        "lingering": Row(OVER),
    },
}

_OPEN = frozenset({"calling", "proceeding"})


class InviteClient:
    """Sends `request` at once, towards `next_hop`. `dialog`: the one that it is sent in; None: it begins some.

    `words`: where it says what is to be sent.
    """

    def __init__(
        self,
        request: Request,
        next_hop: Uri,
        endpoint: Endpoint,
        words: list[SessionWord],
        now: float,
        *,
        dialog: Dialog | None = None,
    ) -> None:
        self.request = request
        self.dialogs: dict[str | None, Dialog] = {}  # by the other's tag: early ones, the one, declined ones
        self._next_hop = next_hop
        self._endpoint = endpoint
        self._words = words
        self._within = dialog
        self._acks: dict[str | None, Acknowledge] = {}
        self.taken: Dialog | None = None  # of the 2xx that counts
        self._rows: Rows = ()
        self._steps = Steps(INVITE_ASKED, lambda _timer: 64 * endpoint.timing.t1_s)
        if dialog is not None:
            self.dialogs[dialog.remote.tag] = dialog
        self._carry_out(self._steps.happens("begin", now))

    @property
    def open(self) -> bool:
        """Whether a final response can still matter."""
        return self._steps.state in _OPEN

    @property
    def unwanted(self) -> bool:
        """Whether nobody wants it any more, and they have not said that they know."""
        return self._steps.state in {"quitting", "cancelling"}

    @property
    def over(self) -> bool:
        return self._steps.over

    def answered(self, response: Response, now: float) -> str | None:
        """A response to `request` came: what is left to the session. Its dialog is in `dialogs`, by its To tag."""
        if self.open and self._endpoint.can_ask_again(self.request, response):
            self.again(now)
            return None
        what = {1: "1xx", 2: "2xx"}.get(response.status // 100, "3xx-6xx")
        dialog = None if what == "3xx-6xx" else self._meet(response)
        return self._carry_out(self._steps.happens(what, now), dialog)

    def again(self, now: float, rows: Rows = ()) -> None:
        """Ask once more, as a new request. `rows`: in place of those of these names."""
        number = self._within.next_number() if self._within else self.request.headers[CSEQ].number + 1
        self.request = asked_again(self.request, number)
        for name, text in rows:
            self.request.headers[name] = text
        self._carry_out(self._steps.happens("again", now))

    def acknowledge(self, description: bytes | None = None) -> None:
        """Acknowledge the 2xx that was taken, and each that comes again. `description`: the answer to the offer in it."""
        if self.taken is not None:
            self._acknowledge(self.taken, description)

    def quit(self, now: float, rows: Rows = ()) -> None:
        """Nobody wants it any more. `rows`: headers for the CANCEL."""
        self._rows = rows
        self._carry_out(self._steps.happens("quit", now))

    def end(self, now: float) -> None:
        """The dialog that it was sent in is over."""
        self._steps.happens("end", now)

    def advance(self, now: float) -> None:
        self._carry_out(self._steps.passes(now))

    @property
    def deadline(self) -> float | None:
        return self._steps.deadline

    def _meet(self, response: Response) -> Dialog | None:
        """The dialog of a response, which it may begin or confirm."""
        tag = response.headers[TO].tag
        dialog = self._within or self.dialogs.get(tag)
        if dialog is None and (tag is not None or response.status >= 200):
            self.dialogs[tag] = Dialog.of_response(self.request, response)
            return self.dialogs[tag]
        if dialog is not None and response.status >= 200 and tag not in self._acks:
            dialog.refresh(response)
            if self._within is None:
                dialog.confirm(response)
        return dialog

    def _carry_out(self, does: list[str], dialog: Dialog | None = None) -> str | None:
        told = None
        for each in does:
            if each == "ask":
                self._endpoint.authorize(self.request)
                self._words.append(Ask(self.request, self._next_hop))
            elif each == "cancel":
                self._words.append(Cancel(self.request, self._rows))
            elif each == "forget":
                self._words.append(Forget(self.request))
            elif each in {"repeat", "decline"} and dialog is not None:
                told = self._once_more(dialog)
            else:
                self.taken = dialog if each == "take" else self.taken
                told = each
        return told

    def _once_more(self, dialog: Dialog) -> str | None:
        """A 2xx that came before, or one of another place where it rang as well."""
        ack = self._acks.get(dialog.remote.tag)
        if ack is not None:
            self._words.append(ack)
        elif dialog is not self.taken:  # whose ACK may still have to wait for its answer
            self._acknowledge(dialog)
            return None if self._within else "decline"
        return None

    def _acknowledge(self, dialog: Dialog, description: bytes | None = None) -> None:
        body_type = None if description is None else DESCRIPTION
        rows = self._endpoint.rows_for("ACK", secure=dialog.secure, body_type=body_type)
        request = self._endpoint.acknowledging(dialog.ack(self.request, rows, description or b""))
        ack = Acknowledge(request, dialog.next_hop)
        self._acks[dialog.remote.tag] = ack
        self._words.append(ack)
