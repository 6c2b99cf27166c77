"""Where the time went between the end of a caller's turn and the first sound of the answer. A core.

A turn is a row of boundaries, each with the time of the trace entry in which it was passed. A segment is what
lies between two of them, named for the one that ends it. Nothing else is added up, so the segments are the
whole. A boundary that the trace does not have gives its name to the segment in which it must lie ("voice +
queue"); one that was passed before the one ahead of it, which the estimate of when speech ended allows for up
to a frame, takes no time.
"""

import enum
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from gateway.report import happenings as h

__all__ = ["Bucket", "Segment", "Turn", "turns"]


class Bucket(enum.StrEnum):
    """What a call can be waiting for."""

    CARRIER_IN = "carrier in"
    RESAMPLER = "resampler"
    SILENCE = "end-of-turn silence"
    DETECTION = "turn detection"
    ASKING = "asking"
    RESPONSE = "response start"
    VOICE = "voice"
    TOOL = "tool"
    LOST = "lost voice"
    RECONNECT = "reconnecting"
    FILLER = "filler"
    QUEUE = "queue"
    PLAYOUT = "playout"


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a turn's latency. `name`: of its bucket, or of several where their boundaries are missing."""

    name: str
    buckets: tuple[Bucket, ...]
    from_us: int
    to_us: int

    @property
    def us(self) -> int:
        return self.to_us - self.from_us


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of the caller and how it was answered.

    `item`: of his words, empty for a key. `from_us`: when he stopped. `sent_us`: when the first audio of the
    answer went to the carrier; None: none did before his next turn, or before the call ended. `latency_ms`: the same as
    the call found it, where it did. The segments reach from `from_us` to the last boundary that is known.
    """

    by: Literal["speech", "key"]
    item: str
    from_us: int
    segments: Sequence[Segment]
    sent_us: int | None
    latency_ms: int | None

    @property
    def us(self) -> int:
        """All segments together."""
        return sum(segment.us for segment in self.segments)

    @property
    def first_audio_us(self) -> int | None:
        """Until the first audio of the answer went out."""
        return None if self.sent_us is None else self.sent_us - self.from_us


def turns(happenings: Iterable[h.Happening]) -> list[Turn]:
    """Each turn of the caller, in order."""
    watch = _Watch()
    for happening in happenings:
        watch.take(happening)
    return [turn.settled() for turn in watch.turns]


class _Open:
    """A turn that is being followed: the boundaries passed so far, in the order of the chain."""

    def __init__(self, by: Literal["speech", "key"], item: str, from_us: int) -> None:
        self.by: Literal["speech", "key"] = by
        self.item = item
        self.from_us = from_us
        self.passed: list[tuple[Bucket, int | None]] = []
        self.responses: set[str] = set()
        self.spoke = False
        self.sent_us: int | None = None
        self.latency_ms: int | None = None
        self.mark: str | None = None
        self.over_us = from_us  # when it was found to be over

    def passes(self, bucket: Bucket, t_us: int | None) -> None:
        self.passed.append((bucket, t_us))

    def settled(self) -> Turn:
        return Turn(
            by=self.by,
            item=self.item,
            from_us=self.from_us,
            segments=_segments(self.from_us, self.passed),
            sent_us=None if self.sent_us is None else max(self.sent_us, self.from_us),
            latency_ms=self.latency_ms,
        )


class _Watch:
    """Follows the newest turn until its answer is on the air, or will not be."""

    def __init__(self) -> None:
        self.turns: list[_Open] = []
        self._turn: _Open | None = None

    def take(self, happening: h.Happening) -> None:
        match happening:
            case h.CallerStopped():
                turn = self._turn
                if turn is not None and turn.by == "speech" and happening.stopped_us < turn.over_us:
                    self._heard_again(turn, happening)
                else:
                    self._stopped(happening)
            case h.KeyPressed():
                self._begin(_Open("key", "", happening.t_us))
            case h.Told(name="caller.ignored"):
                self._ignore()
            case _ if self._turn is not None:
                self._follow(self._turn, happening)
            case _:
                pass

    def _stopped(self, stopped: h.CallerStopped) -> None:
        turn = _Open("speech", stopped.item, stopped.stopped_us)
        turn.over_us = stopped.t_us
        turn.passes(Bucket.CARRIER_IN, stopped.carried_us)
        turn.passes(Bucket.RESAMPLER, stopped.appended_us)
        turn.passes(Bucket.SILENCE, stopped.waited_us)
        turn.passes(Bucket.DETECTION, stopped.t_us)
        self._begin(turn)

    def _heard_again(self, turn: _Open, stopped: h.CallerStopped) -> None:
        """Another session was told the same speech, and finds that the turn is over."""
        turn.item, turn.from_us = stopped.item, stopped.stopped_us
        turn.over_us = stopped.t_us
        turn.passes(Bucket.DETECTION, stopped.t_us)

    def _begin(self, turn: _Open) -> None:
        self._turn = turn
        self.turns.append(turn)

    def _ignore(self) -> None:
        """What was heard last was no turn."""
        if self._turn is not None and self._turn.by == "speech" and self._turn.sent_us is None:
            self.turns.remove(self._turn)
            self._turn = None

    def _follow(self, turn: _Open, happening: h.Happening) -> None:
        if turn.sent_us is None:
            self._until_sent(turn, happening)
        else:
            self._until_played(turn, happening)

    def _until_sent(self, turn: _Open, happening: h.Happening) -> None:
        t_us = happening.t_us
        match happening:
            case h.ResponseAsked():
                turn.passes(Bucket.ASKING, t_us)
            case h.ResponseCreated():
                turn.responses.add(happening.response)
                turn.passes(Bucket.RESPONSE, t_us)
            case h.Told(name="tool.called"):
                turn.passes(Bucket.VOICE, t_us)
            case h.Told(name="tool.answered" | "tool.failed"):
                turn.passes(Bucket.TOOL, t_us)
            case h.Told(name="session.lost"):
                turn.passes(Bucket.LOST, t_us)
            case h.Told(name="session.ready"):
                turn.passes(Bucket.RECONNECT, t_us)
            case h.Told(name="filler.played"):
                turn.passes(Bucket.FILLER, t_us)  # which is no answer: the caller waits on
            case h.Told(name="caller.idle"):
                self._turn = None  # what comes now is no answer but a question
            case h.AgentSpoke() if not turn.spoke and happening.response in turn.responses:
                turn.spoke = True
                turn.passes(Bucket.VOICE, t_us)
            case h.Told(name="turn.answered"):
                latency_ms = happening.fields.get("latency_ms")
                turn.latency_ms = latency_ms if isinstance(latency_ms, int) else None
                self._sent(turn, t_us)
            case h.AudioSent() if turn.spoke:
                self._sent(turn, t_us)
            case _:
                pass

    def _sent(self, turn: _Open, t_us: int) -> None:
        if not turn.spoke:
            turn.passes(Bucket.VOICE, None)  # what was sent is not of a response to this turn
        turn.sent_us = t_us
        turn.passes(Bucket.QUEUE, t_us)

    def _until_played(self, turn: _Open, happening: h.Happening) -> None:
        match happening:
            case h.MarkSent() if turn.mark is None:
                turn.mark = happening.name
            case h.MarkReturned() if happening.name == turn.mark:
                turn.passes(Bucket.PLAYOUT, happening.t_us)
                self._turn = None
            case h.Cleared():
                self._turn = None  # from now on marks come back whether played or not
            case _:
                pass


def _segments(from_us: int, passed: Iterable[tuple[Bucket, int | None]]) -> list[Segment]:
    segments: list[Segment] = []
    waiting: list[Bucket] = []
    for bucket, at_us in passed:
        waiting.append(bucket)
        if at_us is None:
            continue
        to_us = max(from_us, at_us)
        segments.append(
            Segment(name=" + ".join(waiting), buckets=tuple(waiting), from_us=from_us, to_us=to_us)
        )
        from_us, waiting = to_us, []
    return segments
