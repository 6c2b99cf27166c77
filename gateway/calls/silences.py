"""Silences that last too long: the voice is away, or the caller says nothing. A core."""

__all__ = ["STILL_THERE", "Idle", "Outage"]

_ASK = (
    "The caller has said nothing for some time. Ask in one short sentence whether he is still there. "
    "If you have asked twice already, say goodbye and call end_call."
)
STILL_THERE = {"instructions": _ASK, "metadata": {"idle": "yes"}}
"""What the response to a silence is asked with."""

_UNEXPECTED_S = 0.3  # nobody takes so short a pause for a fault
_AGAIN_S = 5.0


class Outage:
    """The caller waits for a voice that is away: when to tell him so."""

    def __init__(self) -> None:
        self._silent_since: float | None = None
        self._told_at: float | None = None

    def due(self, now: float, *, waiting: bool, sounding: bool, ready: bool = True) -> bool:
        """A word is due now. `waiting`: it is our turn to speak, and we cannot. `sounding`: the caller hears us.

        `ready`: there is something to say; without, it is due as soon as there is.
        """
        if not waiting:
            self._silent_since = self._told_at = None
            return False
        if sounding:
            self._silent_since = None
            return False
        if self._silent_since is None:
            self._silent_since = now
        silence_s = _UNEXPECTED_S if self._told_at is None else _AGAIN_S
        if now - self._silent_since < silence_s or not ready:
            return False
        self._told_at, self._silent_since = now, None
        return True


class Idle:
    """Nobody says anything: when the agent should ask. `after_s` of 0: never."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._quiet_since: float | None = None

    def due(self, now: float, *, quiet: bool) -> bool:
        """The agent should ask now. `quiet`: both are silent, and neither is about to speak."""
        if not quiet or not self._after_s:
            self._quiet_since = None
            return False
        if self._quiet_since is None:
            self._quiet_since = now
        if now - self._quiet_since < self._after_s:
            return False
        self._quiet_since = None
        return True
