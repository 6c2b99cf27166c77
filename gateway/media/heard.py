"""How much of what was sent the caller has heard."""

import msgspec

__all__ = ["Heard"]


class Heard(msgspec.Struct, frozen=True):
    """Bounds on one monotonic playout axis: milliseconds of agent audio sent since the call began.

    The caller has heard at least `low_ms` and at most `high_ms`. `low_ms <= high_ms <= sent`. Audio that
    was cleared before it was played keeps its place on the axis and is never heard.
    """

    low_ms: float
    high_ms: float
