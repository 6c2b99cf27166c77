"""Who may offer when: one offer is open at a time, and only who got it answers it. RFC 3264 §4, RFC 6337 §2. A core."""

from gateway.wire.sip.steps import Row, Steps, Table

__all__ = ["OFFERS", "Offers"]

# What is sent ("out") and what comes ("in"): an "offer", an "answer", or a "blank", which is an INVITE without
# either: its 2xx has the offer then. "drop": what had the offer was refused, or came to nothing.
OFFERS: Table = {
    "": {"begin": Row("closed")},
    "closed": {
        "offer out": Row("ours"),
        "offer in": Row("theirs"),
        "blank out": Row("theirs is due"),
        "blank in": Row("ours is due"),
    },
    "ours": {"answer in": Row("closed"), "drop": Row("closed")},
    "theirs": {"answer out": Row("closed"), "drop": Row("closed")},
    "ours is due": {"offer out": Row("ours"), "drop": Row("closed")},
    "theirs is due": {"offer in": Row("theirs"), "drop": Row("closed")},
}

# RFC 3261 §14.2, RFC 3311 §5.2: to an offer while ours is open, and while another of theirs is.
_PENDING = 491
_OVERLAPPING = 500


class Offers:
    """The open offer of one session, if there is one."""

    def __init__(self) -> None:
        self._steps = Steps(OFFERS)
        self._steps.happens("begin", 0.0)

    def happens(self, what: str) -> bool:
        """Whether that may be."""
        may = self._steps.can(what)
        self._steps.happens(what, 0.0)
        return may

    @property
    def closed(self) -> bool:
        """Whether anybody may offer."""
        return self._steps.state == "closed"

    @property
    def ours_open(self) -> bool:
        """Whether they owe us an answer."""
        return self._steps.state == "ours"

    @property
    def ours_due(self) -> bool:
        """Whether they left it to us to offer."""
        return self._steps.state == "ours is due"

    @property
    def refusal(self) -> int | None:
        """What an offer of theirs gets now, if it is not taken."""
        return {"closed": None, "ours": _PENDING, "theirs is due": _PENDING}.get(
            self._steps.state, _OVERLAPPING
        )
