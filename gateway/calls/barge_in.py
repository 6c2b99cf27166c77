"""Is the caller interrupting, or was it a cough? A core.

The agent is silenced as soon as the caller makes a sound. Whether that was an interruption is known later: it
lasted, or had words. Until then what the agent was saying is kept.

QUIET --speech while the agent speaks--> SUSPECTED --lasted, words--> QUIET: Verdict.INTERRUPTED
                                             +-----too short, no words--> QUIET: Verdict.NOTHING
"""

import enum

import msgspec

__all__ = ["BargeIn", "BargeInSettings", "Verdict"]

# A transcript that takes longer than this does not come: the caller is believed.
_WORDS_S = 2.0


class Verdict(enum.Enum):
    INTERRUPTED = enum.auto()
    NOTHING = enum.auto()


class BargeInSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What makes a sound of the caller an interruption. `min_speech_ms` of 0: any sound does, at once.

    `min_words`: and what the caller said has at least so many words.
    """

    min_speech_ms: int = 0
    min_words: int = 0

    @property
    def waits(self) -> bool:
        """A sound is not believed at once."""
        return self.min_speech_ms > 0 or self.min_words > 0


class BargeIn:
    """One conversation's. `hangover_s`: how long the voice takes to notice that somebody has stopped."""

    def __init__(self, settings: BargeInSettings, hangover_s: float) -> None:
        self._settings = settings
        self._hangover_s = hangover_s
        self._began_at: float | None = None
        self._stopped_at: float | None = None
        self.item = ""  # the turn that the sound would become

    @property
    def waits(self) -> bool:
        """A sound is not believed at once."""
        return self._settings.waits

    @property
    def suspected(self) -> bool:
        return self._began_at is not None

    def began(self, item: str, now: float) -> Verdict | None:
        """The caller makes a sound while the agent speaks, or would; it may become the turn `item`."""
        if not self._settings.waits:
            return Verdict.INTERRUPTED
        self._began_at, self._stopped_at, self.item = now, None, item
        return None

    def stopped(self, lasted_ms: int, now: float) -> Verdict | None:
        """The sound is over."""
        if self._began_at is None:
            return None
        if lasted_ms < self._settings.min_speech_ms:
            return self._found(Verdict.NOTHING)
        if not self._settings.min_words:
            return self._found(Verdict.INTERRUPTED)
        self._stopped_at = now
        return None

    def written_down(self, item: str, text: str) -> Verdict | None:
        """What the caller said in `item` is known."""
        if self._stopped_at is None or item != self.item:
            return None
        enough = len(text.split()) >= self._settings.min_words
        return self._found(Verdict.INTERRUPTED if enough else Verdict.NOTHING)

    def advance(self, now: float) -> Verdict | None:
        """Time passes."""
        if self._began_at is None:
            return None
        if self._stopped_at is not None:
            return self._found(Verdict.INTERRUPTED) if now - self._stopped_at >= _WORDS_S else None
        lasting_s = self._settings.min_speech_ms / 1000 + self._hangover_s
        if not self._settings.min_words and now - self._began_at >= lasting_s:
            return self._found(Verdict.INTERRUPTED)
        return None

    def forget(self) -> None:
        """The session that heard it is gone, or a key settled it."""
        self._began_at = self._stopped_at = None

    def _found(self, verdict: Verdict) -> Verdict:
        self.forget()
        return verdict
