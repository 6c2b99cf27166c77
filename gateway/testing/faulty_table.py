"""What goes wrong with a voice, as rows of a table.

    FaultyVoice(backend, [
        Busy(times=3, retry_after_s=2),
        Drop(connection=4, at="response.output_audio.delta", count=5),
        Unreachable(connection=5, times=None, for_s=8),
    ])

Every row says whom it strikes: of the attempts to connect, by all or by one `agent`, the `connection`-th (1 is
the first) and those that follow, `times` in all, or all of them for None; and with `for_s` only while the first
of them is no longer ago than that.
"""

import math
from typing import TypeAlias

import msgspec

__all__ = ["Busy", "Drop", "Expire", "FailResponse", "Fault", "GoMute", "Late", "Refuse", "Unreachable"]


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    agent: str | None = None
    connection: int = 1
    times: int | None = 1
    for_s: float = math.inf

    def strikes(self, attempt: int) -> bool:
        """Whether the `attempt`-th connection is among those meant."""
        return self.connection <= attempt < self.connection + (math.inf if self.times is None else self.times)


class Unreachable(_Row, frozen=True):
    """There is nobody: `SessionLost`, after `after_s` of trying."""

    after_s: float = 0


class Refuse(_Row, frozen=True):
    """`SessionRefused`."""

    detail: str = "the voice does not want you"


class Busy(_Row, frozen=True):
    """`SessionBusy`."""

    retry_after_s: float | None = None


class Late(_Row, frozen=True):
    """The connection stands, but only `by_s` seconds after it was asked for."""

    by_s: float


class _Moment(_Row, frozen=True):
    """Strikes a connection `after_s` seconds after it carried the `count`-th event of type `at`, whichever side
    said it; without `at`, after it stood.
    """

    at: str | None = None
    count: int = 1
    after_s: float = 0


class Drop(_Moment, frozen=True):
    """The connection is gone, without a word."""


class GoMute(_Moment, frozen=True):
    """From then on the voice takes everything and says nothing: dead air on a connection that looks alive."""


class Expire(_Moment, frozen=True):
    """The session is as old as it may get: an `error` event says so, and it is gone."""

    message: str = "Your session hit the maximum duration of 60 minutes."


class FailResponse(_Row, frozen=True):
    """The connection's `response`-th response, and `in_a_row` in all, end as failed before a word.

    What the last of them would have said comes when a response is asked for again, unless something was said since.
    """

    response: int = 1
    in_a_row: int = 1
    code: str = "rate_limit_exceeded"
    message: str = "Rate limit reached on tokens per min. Please try again in 2s."


Fault: TypeAlias = Unreachable | Refuse | Busy | Late | Drop | GoMute | Expire | FailResponse
