"""Blind transfer: REFER, and NOTIFY of what became of it, on both sides. RFC 3515, RFC 4488, RFC 6665. A core."""

from typing import Final

from gateway.wire.sip.common import Common
from gateway.wire.sip.dialog import Dialog
from gateway.wire.sip.endpoint import Rows
from gateway.wire.sip.fields import CSEQ, EVENT, REFER_TO, SUBSCRIPTION_STATE
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.parser import parse_fragment
from gateway.wire.sip.reasons import reason_of
from gateway.wire.sip.session_words import TransferAsked, TransferTold
from gateway.wire.sip.steps import Row, Steps, Table
from gateway.wire.sip.transactions import ServerKey
from gateway.wire.sip.uri import Uri
from gateway.wire.sip.values import Word

__all__ = ["REFER_ISSUED", "REFER_TAKEN", "ReferIssuer", "ReferRecipient"]

_FRAGMENT: Final = "message/sipfrag;version=2.0"
# Nobody lets it ring for longer; who said so many hours gets a 481 then.
_LONGEST_S: Final = 300.0

# -- as who refers --------------------------------------------------------------------------------------

# "told": how it goes; "told last": and nothing more.
REFER_ISSUED: Table = {
    "": {"begin": Row("idle")},
    "idle": {"refer": Row("asking")},
    "asking": {  # RFC 3515 §2.4.2
        "2xx": Row("watching", ("start silence",)),
        "2xx alone": Row("idle", ("told last",)),  # RFC 4488 §4: there will be no NOTIFY
        "refused": Row("idle", ("told last",)),
        "NOTIFY": Row("watching", ("start silence", "told")),  # it overtook the 202
        "last NOTIFY": Row("idle", ("told last",)),
    },
    "watching": {  # RFC 3515 §2.4.4, RFC 6665 §4.1.2
        "2xx": Row("watching"),
        "2xx alone": Row("idle", ("stop silence", "told last")),
        "refused": Row("idle", ("stop silence", "told last")),
        "NOTIFY": Row("watching", ("start silence", "told")),
        "last NOTIFY": Row("idle", ("stop silence", "told last")),
        "silence": Row("idle", ("told last",)),
    },
}


class ReferIssuer:
    """A transfer of ours, one at a time."""

    def __init__(self, common: Common) -> None:
        self._asking = common.asking
        self._words = common.words
        self._status: int | None = None
        self._silence_s = self._patience_s = 64 * common.endpoint.timing.t1_s  # RFC 6665 §4.1.2.4, timer N
        self._steps = Steps(REFER_ISSUED, lambda _timer: self._silence_s)
        self._steps.happens("begin", 0.0)

    @property
    def idle(self) -> bool:
        return self._steps.state == "idle"

    def refer(self, dialog: Dialog, target: Uri, rows: Rows, now: float, *, watch: bool) -> bool:
        """Send a REFER. False: another is under way."""
        if not self._steps.can("refer"):
            return False
        self._steps.happens("refer", now)
        self._status = None
        self._silence_s = self._patience_s
        alone: Rows = () if watch else (("Refer-Sub", "false"), ("Supported", "norefersub"))
        self._asking.ask(dialog, "REFER", (("Refer-To", f"<{target}>"), *alone, *rows))
        return True

    def answered(self, response: Response, now: float) -> None:
        """The final response to the REFER came."""
        if response.status >= 300:
            self._status = response.status
            self._tell(self._steps.happens("refused", now))
            return
        alone = (response.headers.get("Refer-Sub") or "").strip().lower().startswith("false")
        self._tell(self._steps.happens("2xx alone" if alone else "2xx", now))

    def dropped(self, now: float) -> None:
        """The session was over before the REFER was sent."""
        self._tell(self._steps.happens("refused", now))

    def notified(self, request: Request, now: float) -> int:
        """A NOTIFY came: what it is to be answered with. Raises `SipSyntaxError`: with a 400."""
        event = request.headers.get(EVENT)
        if event is None or event.word.lower() != "refer":
            return 489
        state = request.headers[SUBSCRIPTION_STATE]
        fragment = parse_fragment(request.body) if request.body else None
        what = "last NOTIFY" if state.word.lower() == "terminated" else "NOTIFY"
        if not self._steps.can(what):
            return 481
        if isinstance(fragment, Response):
            self._status = fragment.status
        self._silence_s = _lifetime_s(state)
        self._tell(self._steps.happens(what, now))
        return 200

    def advance(self, now: float) -> None:
        self._tell(self._steps.passes(now))

    @property
    def deadline(self) -> float | None:
        return self._steps.deadline

    def _tell(self, does: list[str]) -> None:
        self._words += [TransferTold(self._status, last=each == "told last") for each in does]


def _lifetime_s(state: Word) -> float:
    """For how long a subscription is good without another NOTIFY."""
    said = state.parameters.get("expires") or ""
    return (
        min(float(said), _LONGEST_S) if said.isascii() and said.isdigit() and len(said) < 10 else _LONGEST_S
    )


# -- as who is referred ---------------------------------------------------------------------------------

# One NOTIFY at a time, or they would overtake one another. What is told meanwhile waits; the newest is enough.
REFER_TAKEN: Table = {
    "": {"begin": Row("idle")},
    "idle": {"REFER": Row("asked")},
    "asked": {  # RFC 3515 §2.4.4: a NOTIFY at once
        "accept": Row("notifying", ("start expiry", "notify")),
        "accept alone": Row("idle"),  # RFC 4488
        "refuse": Row("idle"),
    },
    "notifying": {
        "1xx": Row("behind"),
        "final": Row("behind at last"),
        "expiry": Row("behind at last"),
        "notified": Row("waiting"),
        "lost": Row("idle", ("stop expiry",)),
    },
    "behind": {
        "1xx": Row("behind"),
        "final": Row("behind at last"),
        "expiry": Row("behind at last"),
        "notified": Row("notifying", ("notify",)),
        "lost": Row("idle", ("stop expiry",)),
    },
    "behind at last": {
        "notified": Row("ending", ("stop expiry", "notify last")),
        "lost": Row("idle", ("stop expiry",)),
    },
    "waiting": {
        "1xx": Row("notifying", ("notify",)),
        "final": Row("ending", ("stop expiry", "notify last")),
        "expiry": Row("ending", ("notify last",)),
    },
    "ending": {"notified": Row("idle"), "lost": Row("idle")},
}


class ReferRecipient:
    """A transfer that they ask of us, one at a time: `accept` it or `refuse` it, and `tell` how our call goes."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self._asked: tuple[ServerKey, Request, Dialog] | None = None
        self._status = 100
        self._refers = 0
        self._event = "refer"
        self._steps = Steps(REFER_TAKEN, lambda _timer: _LONGEST_S)
        self._steps.happens("begin", 0.0)

    @property
    def idle(self) -> bool:
        return self._steps.state == "idle"

    @property
    def ending(self) -> bool:
        """Whether they are about to be told how it came out."""
        return self._steps.state in {"behind at last", "ending"}

    def referred(self, key: ServerKey, request: Request, dialog: Dialog, now: float) -> None:
        """A REFER came. Raises `SipSyntaxError`: 400."""
        target = request.headers[REFER_TO].uri
        if not self._steps.can("REFER"):
            self._common.respond(key, request, 491)
            return
        self._steps.happens("REFER", now)
        self._asked = key, request, dialog
        self._refers += 1
        # §2.4.6: after the first of a dialog, each NOTIFY says which REFER it is about.
        self._event = "refer" if self._refers == 1 else f"refer;id={request.headers[CSEQ].number}"
        self._common.words.append(TransferAsked(request, target))

    def accept(self, now: float) -> bool:
        """Say that we will call. False: there is nothing to be accepted."""
        if self._asked is None or not self._steps.can("accept"):
            return False
        key, request, _ = self._asked
        self._status = 100
        alone = (request.headers.get("Refer-Sub") or "").strip().lower().startswith("false")
        rows: Rows = (("Refer-Sub", "false"),) if alone else ()
        self._common.respond(key, request, 202, rows)
        self._carry_out(self._steps.happens("accept alone" if alone else "accept", now))
        return True

    def refuse(self, now: float, status: int = 603) -> bool:
        """Say that we will not: 603, since where it leads is not allowed. False: there is nothing to be refused."""
        if self._asked is None or not self._steps.can("refuse"):
            return False
        key, request, _ = self._asked
        self._steps.happens("refuse", now)
        self._common.respond(key, request, status)
        return True

    def tell(self, status: int, now: float) -> None:
        """How our call goes: its status. The first above 199 is the last."""
        what = "1xx" if status < 200 else "final"
        if self._steps.can(what):
            self._status = status
            self._carry_out(self._steps.happens(what, now))

    def answered(self, response: Response, now: float) -> None:
        """The final response to a NOTIFY came. RFC 6665 §4.2.2: one that says so ends the subscription, not the call."""
        self._carry_out(self._steps.happens("notified" if response.status < 300 else "lost", now))

    def advance(self, now: float) -> None:
        self._carry_out(self._steps.passes(now))

    @property
    def deadline(self) -> float | None:
        return self._steps.deadline

    def _carry_out(self, does: list[str]) -> None:
        for each in does:
            self._notify(last=each == "notify last")

    def _notify(self, *, last: bool) -> None:
        assert self._asked is not None  # or there would be nothing to tell of
        _, _, dialog = self._asked
        ended = "noresource" if self._status >= 200 else "timeout"
        state = f"terminated;reason={ended}" if last else f"active;expires={_LONGEST_S:.0f}"
        rows = (("Event", self._event), ("Subscription-State", state))
        body = f"SIP/2.0 {self._status} {reason_of(self._status)}\r\n".encode()
        self._common.asking.ask(dialog, "NOTIFY", rows, body, body_type=_FRAGMENT)
