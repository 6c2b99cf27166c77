"""The caller speaks while the agent does: the agent falls silent, and is cut or goes on. A core."""

from collections.abc import Callable

from gateway.calls.barge_in import BargeIn, Verdict
from gateway.calls.paths import Downlink
from gateway.contracts import Cut, Fact, Output
from gateway.media.heard import words_heard
from gateway.voice.session_core import SessionCore

__all__ = ["Interruptions"]


class Interruptions:
    """One conversation's. Every method takes the session that talks.

    `emit` takes outputs in order. `settle_leg` has the call read what the leg has to say at once, `flush` what the
    session has. `interruptible`: the agent stops when the caller speaks.
    """

    def __init__(
        self,
        barge_in: BargeIn,
        downlink: Downlink,
        *,
        interruptible: bool,
        emit: Callable[[Output], None],
        settle_leg: Callable[[float], object],
        flush: Callable[[], None],
    ) -> None:
        self._barge_in = barge_in
        self._downlink = downlink
        self._interruptible = interruptible
        self._emit = emit
        self._settle_leg = settle_leg
        self._flush = flush
        self._ignored: str | None = None  # the turn that was no interruption
        self._cleared = False  # the agent was silenced at the far end
        self._turn_waits = False  # a turn is over, and it is not sure yet that it was one

    def began(self, session: SessionCore, item: str, now: float) -> None:
        """The caller makes a sound, which may become the turn `item`."""
        if self._interruptible and (self._downlink.speaking(now) or session.responding):
            self._hold(now)
            self._judge(session, self._barge_in.began(item, now), now)

    def stopped(self, session: SessionCore, lasted_ms: int, now: float) -> bool:
        """The sound is over. True when it was nothing, now or as it turns out at once."""
        return self._judge(session, self._barge_in.stopped(lasted_ms, now), now)

    def written_down(self, session: SessionCore, item: str, text: str, now: float) -> bool:
        """What the caller said in `item` is known. True when it was nothing."""
        return self._judge(session, self._barge_in.written_down(item, text), now)

    def advance(self, session: SessionCore, now: float) -> None:
        """Time passes: a sound that lasts is an interruption."""
        verdict = self._barge_in.advance(now)
        if verdict is not None:
            self._judge(session, verdict, now)

    def pressed(self, session: SessionCore, now: float) -> None:
        """A key interrupts like a word, and is none by mistake."""
        if self._interruptible:
            self._barge_in.forget()
            self._hold(now)
            self._cut(session, now)

    def turn_taken(self, session: SessionCore, item: str) -> None:
        """The caller's turn `item` is over: ask for the answer, where the voice does not answer by itself."""
        if not self._barge_in.waits or item == self._ignored:
            return
        if self._barge_in.suspected:
            self._turn_waits = True
        else:
            session.respond()

    def lost(self) -> None:
        """The session that heard the caller is gone, or the agent says its last word: a sound is none."""
        self._barge_in.forget()
        self._turn_waits = False
        self._downlink.resume()

    def _judge(self, session: SessionCore, verdict: Verdict | None, now: float) -> bool:
        if verdict is None:
            return False
        turn_waits, self._turn_waits = self._turn_waits, False
        if verdict is Verdict.NOTHING:
            self._ignored = self._barge_in.item
            self._downlink.resume()
            self._emit(Fact("caller.ignored"))
            return True
        self._cut(session, now)
        if turn_waits:
            session.respond()
        return False

    def _hold(self, now: float) -> None:
        """The agent falls silent; what it was saying is kept."""
        if self._downlink.held:
            return
        self._cleared = self._downlink.speaking(now)
        if self._cleared:
            self._downlink.clear(now)
            self._settle_leg(now)
        self._downlink.hold(now)
        if self._barge_in.waits:
            self._emit(Cut())

    def _cut(self, session: SessionCore, now: float) -> None:
        """What the agent was saying is dropped, and its voice is told what the caller heard."""
        responding = session.responding
        session.cancel()
        cut = self._downlink.drop(now) if self._downlink.speaking(now) or self._cleared else ()
        self._downlink.resume()
        for item, heard_ms in cut:
            if not session.is_voice(item.item):
                continue
            words = words_heard(session.history.text(item.item), heard_ms, item.received_ms)
            session.truncate(item.item, heard_ms, words)
            bounds = {"heard_low_ms": round(item.low_ms), "heard_high_ms": round(item.high_ms)}
            fields = {"item": item.item, **bounds, "text": words, "estimated": True}
            self._emit(Fact("agent.interrupted", fields))
        if cut or responding:
            self._flush()
            self._emit(Cut())
