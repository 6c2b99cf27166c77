"""The sessions that a conversation takes: one that talks, one that is made ready before the first must go. A core.

A session that breaks is followed by another, which is told what was said so far and what the caller says now.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.audio.g711 import Codec
from gateway.calls.attempts import Attempts, Next
from gateway.contracts import AudioFormat, CloseVoice, Fact, OpenVoice, Output, VoiceMessage, VoiceTraits
from gateway.media.backlog import Backlog
from gateway.voice.conversion import Conversion
from gateway.voice.history import History
from gateway.voice.session_core import SessionCore
from gateway.voice.session_events import SessionReady

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

__all__ = ["Link", "Sessions"]

_LINE_HZ = 8000
_MOST_APPEND_BYTES = 8_000  # G.711, a second: a gap that is filled with silence comes in one piece
_STOOD_S = 5.0  # a session that lasted so long has worked, even if nobody spoke
_STANDBY_AGAIN_S = 15.0  # a standby that could not be had; there are minutes left


class Link:
    """One session, its number in the call and the way of the caller's audio to it, so much at a time."""

    def __init__(self, number: int, session: SessionCore, uplink: Conversion, chunk_ms: int = 0) -> None:
        self.number = number
        self.session = session
        self.open_since: float | None = None
        self.ready = False  # the voice has taken our configuration
        self.closed = False
        self._uplink = uplink
        self._chunk_bytes = chunk_ms * _LINE_HZ // 1000
        self._gathered = b""

    def carry(self, payload: bytes, *, again: bool = False) -> None:
        send = self.session.send_audio_again if again else self.session.send_audio
        if self._chunk_bytes and not again:
            self._gathered += payload
            if len(self._gathered) < self._chunk_bytes:
                return
            payload, self._gathered = self._gathered, b""
        for at in range(0, len(payload), _MOST_APPEND_BYTES):
            send(self._uplink.carry(payload[at : at + _MOST_APPEND_BYTES]))


class Sessions:
    """One conversation's sessions. `new_session(traits, history)` makes the core of one.

    `emit` takes outputs in order. `renew_s`: how old a session may become.
    """

    def __init__(
        self,
        voices: "Sequence[VoiceTraits]",
        new_session: Callable[[VoiceTraits, History], SessionCore],
        codec: Codec,
        *,
        numbers: Callable[[], int],
        emit: Callable[[Output], None],
        renew_s: float,
        rng: "random.Random",
    ) -> None:
        self.history = History()
        self.backlog = Backlog()
        self._new_session = new_session
        self._line = AudioFormat(encoding=codec.name, rate_hz=_LINE_HZ)
        self._numbers = numbers
        self._emit = emit
        self._renew_s = renew_s
        self._attempts = Attempts(voices, rng)
        self._next: Next | None = None
        self._standby: Link | None = None
        self._no_standby_before = 0.0
        self.lost_since: float | None = None  # an outage: the voice has failed and is not heard again yet
        self.talking = self._open(self._attempts.voice)
        self.backlog.keep()

    # -- what happens to the connections

    def opened(self, number: int, now: float) -> None:
        """The connection stands."""
        if self.is_talking(number):
            self._configure(self.talking, now)
            self._seed(self.talking)
            self._emit(Fact("session.opened", {"voice": self.talking.session.traits.name}))
        elif self._standby is not None and number == self._standby.number:
            self._configure(self._standby, now)

    def ready(self, *, asked: bool) -> None:
        """The voice has taken our configuration. Not `asked` for anything, it has come back in time."""
        self.talking.ready = True
        if not asked:
            self.lost_since = None

    def proved(self) -> None:
        """The agent is heard: an outage is over."""
        self._attempts.proved()
        self.lost_since = None

    def fail(self, how: str, now: float, retry_after_s: float = 0.0) -> bool:
        """What talks is of no use any more: another one, now or later. False when there is no voice left to try.

        It was "refused", is "busy" (and asks for `retry_after_s` of patience), "silent", or simply lost.
        """
        match how:
            case "busy":
                following = self._attempts.busy(now, retry_after_s)
            case "refused":
                following = self._attempts.refused(now)
            case "silent":  # it took long to find out: not many more tries
                following = self._lost(now, failures=3)
            case _:
                following = self._lost(now, failures=1)
        return self._replace(following, now)

    def _lost(self, now: float, *, failures: int) -> Next | None:
        since = self.talking.open_since
        if failures == 1 and self.lost_since is None and since is not None and now - since >= _STOOD_S:
            self._attempts.proved()  # what failed before is another story
        return self._attempts.lost(now, failures)

    def is_talking(self, number: int) -> bool:
        return number == self.talking.number and not self.talking.closed

    def standby_lost(self, number: int, now: float, *, refused: bool) -> None:
        """A session is gone that was to follow; unless it was refused, there is time for another one."""
        if self._standby is not None and number == self._standby.number:
            self._close(self._standby)
            self._standby = None
            self._no_standby_before = math.inf if refused else now + _STANDBY_AGAIN_S

    def standby_said(self, number: int, event: str) -> None:
        """Take what the session says that is to follow."""
        if self._standby is None or number != self._standby.number:
            return
        self._standby.session.receive(event)
        if any(isinstance(each, SessionReady) for each in self._standby.session.events()):
            self._standby.ready = True

    # -- time

    def advance(self, now: float, *, gap: bool) -> bool:
        """Make what is due. `gap`: nobody speaks, and nothing is under way. True when another session talks now."""
        if self._next is not None and now >= self._next.at:
            self.talking = self._open(self._next.voice)
            self._next = None
        since = self.talking.open_since
        if since is None or now - since < self._renew_s:
            return False
        if self._standby is None and now >= self._no_standby_before:
            self._standby = self._open(self._attempts.voice)
        if gap and self._standby is not None and self._standby.ready:
            self._switch()
            return True
        return False

    # -- audio and messages

    def carry(self, payload: bytes) -> None:
        """The caller's next G.711."""
        self.backlog.add(payload)
        if self.talking.open_since is not None:
            self.talking.carry(payload)

    def flush(self) -> None:
        """Hand on what the voice must be sent."""
        for link in (self.talking, self._standby):
            if link is not None and link.open_since is not None:
                for event, caller_ms in link.session.outgoing():
                    self._emit(VoiceMessage(event, caller_ms, link.number))

    def close(self) -> None:
        """No session is needed any more."""
        for link in (self.talking, self._standby):
            if link is not None:
                self._close(link)
        self._standby = self._next = None

    # -- one session after the other

    def _open(self, voice: VoiceTraits) -> Link:
        session = self._new_session(voice, self.history)
        link = Link(self._numbers(), session, Conversion(self._line, voice.input), voice.chunk_ms)
        session.connect()
        self._emit(OpenVoice(session=link.number, agent=session.agent.name, backend=voice.name))
        return link

    def _configure(self, link: Link, now: float) -> None:
        link.open_since = now
        link.session.opened()

    def _seed(self, link: Link) -> None:
        link.session.seed()
        link.carry(self.backlog.everything(), again=True)

    def _replace(self, following: Next | None, now: float) -> bool:
        """The session that talks has failed: let the standby talk, or another one, as soon as it is due."""
        if self.lost_since is None:
            self.lost_since = now
        self.backlog.keep()
        standby = self._standby
        if standby is not None and standby.ready and standby.session.traits == self._attempts.voice:
            self._switch()
            return True
        # A standby that is not ready goes too: of two that are being made, the driver takes the older one to talk.
        self.close()
        self._next = following
        return following is not None

    def _switch(self) -> None:
        """What was made ready talks from now on: it is told all that was said, and half a second of sound."""
        if self._standby is None:
            raise AssertionError("there is no session to switch to")
        self.flush()
        self._close(self.talking)
        self.talking, self._standby = self._standby, None
        self._seed(self.talking)

    def _close(self, link: Link) -> None:
        if link.closed:
            return
        link.session.ended()
        link.closed, link.ready, link.open_since = True, False, None
        self._emit(CloseVoice(session=link.number))
