"""What the voice owes the caller, since when, and how long he waited for it. A core."""

__all__ = ["Answers"]


class Answers:
    """One conversation's. It begins with something that is owed: the greeting.

    `dead_air_s`: how long the voice may owe an answer.
    """

    def __init__(self, dead_air_s: float, now: float) -> None:
        self._dead_air_s = dead_air_s
        self._owed_since: float | None = now
        self._stopped_at: float | None = None  # when the caller stopped, until the answer is sent

    @property
    def owed(self) -> bool:
        return self._owed_since is not None

    def overdue(self, now: float) -> bool:
        """The voice has been silent for too long although it was its turn: it is as good as lost."""
        return self._owed_since is not None and now - self._owed_since > self._dead_air_s

    def owe(self, now: float) -> None:
        """From now on an answer is owed."""
        self._owed_since = now

    def turn_over(self, now: float, silent_for_s: float = 0.0) -> None:
        """The caller is done, and fell silent so long ago."""
        self._owed_since, self._stopped_at = now, now - silent_for_s

    def nothing_owed(self) -> None:
        """The caller speaks, or made a sound that was nothing."""
        self._owed_since = self._stopped_at = None

    def came(self) -> None:
        """The answer is there, or there is none to wait for."""
        self._owed_since = None

    def forget_turn(self) -> None:
        """The answer had no audio: what is heard next answers something else."""
        self._stopped_at = None

    def sent(self, now: float) -> int | None:
        """Audio went out: how long the caller waited for it in ms, if it is the first of an answer, and no filler."""
        if self._stopped_at is None or self._owed_since is not None:
            return None
        stopped_at, self._stopped_at = self._stopped_at, None
        return round((now - stopped_at) * 1000)
