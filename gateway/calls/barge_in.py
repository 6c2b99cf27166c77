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
        self._began_at: float | None = None  # the sound that is made now
        self._unwritten: dict[str, float] = {}  # turns whose words may come yet: when each was over
        self.item = ""  # the turn that the last sound would become

    @property
    def waits(self) -> bool:
        """A sound is not believed at once."""
        return self._settings.waits

    @property
    def suspected(self) -> bool:
        return self._began_at is not None or bool(self._unwritten)

    def began(self, item: str, now: float) -> Verdict | None:
        """The caller makes a sound while the agent speaks, or would; it may become the turn `item`."""
        if not self._settings.waits:
            return Verdict.INTERRUPTED
        self._began_at, self.item = now, item
        return None

    def stopped(self, lasted_ms: int, now: float) -> Verdict | None:
        """The sound is over."""
        if self._began_at is None:
            return None
        self._began_at = None
        if lasted_ms < self._settings.min_speech_ms:
            return self._nothing()
        if not self._settings.min_words:
            return self._interrupted()
        self._unwritten[self.item] = now
        return None

    def written_down(self, item: str, text: str) -> Verdict | None:
        """What the caller said in `item` is known."""
        if self._unwritten.pop(item, None) is None:
            return None
        enough = len(text.split()) >= self._settings.min_words
        return self._interrupted() if enough else self._nothing()

    def advance(self, now: float) -> Verdict | None:
        """Time passes."""
        if self._began_at is None and not self._unwritten:
            return None
        if any(now - over_at >= _WORDS_S for over_at in self._unwritten.values()):
            return self._interrupted()
        lasting_s = self._settings.min_speech_ms / 1000 + self._hangover_s
        lasts = self._began_at is not None and now - self._began_at >= lasting_s
        return self._interrupted() if lasts and not self._settings.min_words else None

    def forget(self) -> None:
        """The session that heard it is gone, or a key settled it."""
        self._began_at = None
        self._unwritten.clear()

    def _interrupted(self) -> Verdict:
        self.forget()
        return Verdict.INTERRUPTED

    def _nothing(self) -> Verdict | None:
        """This sound was nothing; what the caller said just before it may be something yet."""
        return None if self.suspected else Verdict.NOTHING
