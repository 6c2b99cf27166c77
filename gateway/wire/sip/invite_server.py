"""An INVITE that we are asked: what we say to it, until it is acknowledged. RFC 3261 §13.3.1. A core."""

from gateway.wire.sip.backoff import readable
from gateway.wire.sip.fields import CSEQ, EXPIRES
from gateway.wire.sip.message import Request, Response, response_to
from gateway.wire.sip.session_words import Respond, SessionWord
from gateway.wire.sip.steps import OVER, Row, Steps, Table
from gateway.wire.sip.transaction import Timing
from gateway.wire.sip.transactions import ServerKey

__all__ = ["INVITE_SERVED", "InviteServer"]

# What is done: "say" the last response, "100"; and what the session hears: that nobody wants an answer any more
# ("expired"), that the ACK came ("acknowledged"), or never will ("unacknowledged").
INVITE_SERVED: Table = {
    "": {"begin": Row("trying", ("start 100", "start expiry"))},
    "trying": {  # RFC 3261 §17.2.1: a 100 after 200 ms
        "100": Row("trying", ("100",)),
        "1xx": Row("ringing", ("stop 100", "say", "start repeat")),
        "2xx": Row("accepted", ("stop 100", "stop expiry", "say", "start again", "start patience")),
        "3xx-6xx": Row(OVER, ("say",)),
        "expiry": Row("trying", ("expired",)),
    },
    "ringing": {  # §13.3.1.1: proxies forget an INVITE that is silent for three minutes
        "repeat": Row("ringing", ("say", "start repeat")),
        "1xx": Row("ringing", ("say", "start repeat")),
        "2xx": Row("accepted", ("stop repeat", "stop expiry", "say", "start again", "start patience")),
        "3xx-6xx": Row(OVER, ("say",)),
        "expiry": Row("ringing", ("expired",)),
    },
    "accepted": {  # §13.3.1.4: on every transport, since there may be others behind it
        "again": Row("accepted", ("say", "start again")),
        "ACK": Row(OVER, ("acknowledged",)),
        "BYE": Row(OVER),  # who hangs up has got the 2xx
        "patience": Row(OVER, ("unacknowledged",)),
    },
}

_TRYING_S = 0.2
_REPEAT_S = 60.0


class InviteServer:
    """Begins when the INVITE comes. `words`: where it says what is to be sent."""

    def __init__(
        self, key: ServerKey, request: Request, timing: Timing, words: list[SessionWord], now: float
    ) -> None:
        self.key = key
        self.request = request
        self._words = words
        self._timing = timing
        self._response: Response | None = None
        self._again_s = timing.t1_s
        self._steps = Steps(INVITE_SERVED, self._pause_s)
        self._carry_out(self._steps.happens("begin", now))

    @property
    def number(self) -> int:
        """Its CSeq, which its ACK has too."""
        return self.request.headers[CSEQ].number

    @property
    def open(self) -> bool:
        """Whether it has no final response yet."""
        return self._steps.state in {"trying", "ringing"}

    @property
    def over(self) -> bool:
        return self._steps.over

    def say(self, response: Response, now: float) -> None:
        """Answer it, as long as it is `open`."""
        what = {1: "1xx", 2: "2xx"}.get(response.status // 100, "3xx-6xx")
        self._response = response
        self._carry_out(self._steps.happens(what, now))

    def happens(self, what: str, now: float) -> list[str]:
        """Its "ACK" came, or a "BYE"."""
        return self._carry_out(self._steps.happens(what, now))

    def advance(self, now: float) -> list[str]:
        return self._carry_out(self._steps.passes(now))

    @property
    def deadline(self) -> float | None:
        return self._steps.deadline

    def _carry_out(self, does: list[str]) -> list[str]:
        """What is left to the session."""
        told = []
        for each in does:
            if each == "100":
                self._words.append(Respond(self.key, response_to(self.request, 100)))
            elif each == "say" and self._response is not None:
                self._words.append(Respond(self.key, self._response))
            else:
                told.append(each)
        return told

    def _pause_s(self, timer: str) -> float | None:
        match timer:
            case "100":
                return _TRYING_S
            case "repeat":
                return _REPEAT_S
            case "again":
                pause_s, self._again_s = self._again_s, min(2 * self._again_s, self._timing.t2_s)
                return pause_s
            case "expiry":  # §13.3.1
                return readable(self.request.headers, EXPIRES)
        return 64 * self._timing.t1_s
