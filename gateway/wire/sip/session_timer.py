"""How long a session lasts unless it is refreshed, and who refreshes it. RFC 4028. A core."""

from typing import Final, Literal

from gateway.wire.sip.backoff import readable
from gateway.wire.sip.endpoint import Rows
from gateway.wire.sip.fields import MIN_SE, SESSION_EXPIRES, SUPPORTED
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.steps import OVER, Row, Steps, Table
from gateway.wire.sip.values import SessionExpires

__all__ = ["SESSION_REFRESHED", "SessionTimer"]

# An INVITE or UPDATE has worked, and says whose the next refresh is: "ours", "theirs", or "nobody's" for a session
# that needs none. "refresh" is ours to do now.
SESSION_REFRESHED: Table = {
    "": {"begin": Row("nobody's")},
    "nobody's": {
        "ours": Row("ours", ("start half", "start end")),
        "theirs": Row("theirs", ("start end",)),
        "stop": Row(OVER),
    },
    "ours": {  # RFC 4028 §7.2, §10
        "ours": Row("ours", ("stop retry", "start half", "start end")),
        "theirs": Row("theirs", ("stop half", "stop retry", "start end")),
        "nobody's": Row("nobody's", ("stop half", "stop retry", "stop end")),
        "half": Row("ours", ("refresh",)),
        "failed": Row("ours", ("start retry",)),
        "retry": Row("ours", ("refresh",)),
        "end": Row(OVER, ("expired",)),
        "stop": Row(OVER),
    },
    "theirs": {
        "ours": Row("ours", ("start half", "start end")),
        "theirs": Row("theirs", ("start end",)),
        "nobody's": Row("nobody's", ("stop end",)),
        "end": Row(OVER, ("expired",)),
        "stop": Row(OVER),
    },
}

# RFC 4028 §4 forbids less than 90 s. Who says less is believed down to here, or he would have us refresh all the time.
_LEAST_S: Final = 10
_RETRY_S: Final = 10.0
_MARGIN_S: Final = 32.0
_MOST_422: Final = 4  # proxies on the way may each want more than the one before; more are nobody's


class SessionTimer:
    """`wanted_s`: what we ask for; None: nothing. `least_s`: less is refused."""

    def __init__(self, wanted_s: int | None, least_s: int) -> None:
        self._wanted_s = wanted_s
        self._least_s = least_s
        self._their_least_s = 0
        self._brief = 0
        self._agreed_s = 0
        self._steps = Steps(SESSION_REFRESHED, self._pause_s)
        self._steps.happens("begin", 0.0)

    # -- as who asks

    def asking(self) -> Rows:
        """What our INVITE or UPDATE says. Who refreshes goes on to do so. RFC 4028 §7.1, §7.4."""
        seconds = self._agreed_s if self._refresher("uac", "uas") else self._wanted_s
        if seconds is None:
            return ()
        least_s = max(self._least_s, self._their_least_s)
        said = SessionExpires(max(seconds, least_s), self._refresher("uac", "uas"))
        return (("Session-Expires", str(said)), ("Min-SE", str(least_s)))

    def too_brief(self, response: Response) -> bool:
        """Take a 422 to that. Whether it is worth while to ask again. §7.3."""
        least_s = readable(response.headers, MIN_SE) or 0
        self._brief += 1
        longer = least_s > max(self._least_s, self._their_least_s, self._agreed_s, self._wanted_s or 0)
        self._their_least_s = max(self._their_least_s, least_s)
        return longer and self._brief <= _MOST_422

    def agreed(self, response: Response, now: float) -> None:
        """Take the 2xx to that. §7.2: one that says nothing is of a peer that does without."""
        said = readable(response.headers, SESSION_EXPIRES)
        if said is None:
            self._steps.happens("nobody's", now)
        else:
            self._agree(said.seconds, now, by_us=said.refresher != "uas")

    def failed(self, now: float) -> None:
        """A refresh was refused. It is tried again, as long as the session lasts. §10."""
        self._steps.happens("failed", now)

    # -- as who is asked

    def refusal(self, request: Request) -> Rows | None:
        """What a 422 to it says; None: it gets none. §9."""
        said = request.headers.get(SESSION_EXPIRES)
        if said is None or said.seconds >= self._least_s or not _knows_timers(request):
            return None
        return (("Min-SE", str(self._least_s)),)

    def grant(self, request: Request, now: float) -> Rows:
        """What our 2xx to it says. §9, table 2. Who knows no timers is not asked to have one.

        Its Session-Expires must have been read.
        """
        said = request.headers.get(SESSION_EXPIRES)
        knows = _knows_timers(request)
        seconds = said.seconds if said else self._wanted_s
        if seconds is None or not (said or knows):
            self._steps.happens("nobody's", now)
            return ()
        if said is None:
            seconds = max(seconds, readable(request.headers, MIN_SE) or 0)
        refresher = (said and said.refresher) or self._refresher("uas", "uac") or "uac"
        refresher = refresher if knows else "uas"  # a proxy of theirs wants it, and they cannot do it
        self._agree(seconds, now, by_us=refresher == "uas")
        rows = (("Session-Expires", str(SessionExpires(seconds, refresher))),)
        return (*rows, ("Require", "timer")) if refresher == "uac" else rows

    # -- time

    def stop(self) -> None:
        """The session is over."""
        self._steps.happens("stop", 0.0)

    def advance(self, now: float) -> list[str]:
        """Say "refresh" when one is to be sent, and "expired" when the session is over and wants a BYE."""
        return self._steps.passes(now)

    @property
    def deadline(self) -> float | None:
        return self._steps.deadline

    def _agree(self, seconds: int, now: float, *, by_us: bool) -> None:
        self._agreed_s = max(seconds, _LEAST_S)
        self._steps.happens("ours" if by_us else "theirs", now)

    def _refresher(
        self, ours: Literal["uac", "uas"], theirs: Literal["uac", "uas"]
    ) -> Literal["uac", "uas"] | None:
        """Who it is now, as they are called in a request: `ours` if it is us."""
        return {"ours": ours, "theirs": theirs}.get(self._steps.state)

    def _pause_s(self, timer: str) -> float:
        agreed_s = float(self._agreed_s)
        match timer:
            case "half":
                return agreed_s / 2
            case "retry":
                return _RETRY_S
        return agreed_s - min(_MARGIN_S, agreed_s / 3)


def _knows_timers(request: Request) -> bool:
    return "timer" in {tag.lower() for tag in readable(request.headers, SUPPORTED) or ()}
