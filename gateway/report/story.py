"""The story of a call: who spoke when, what was cut and what was heard, and everything else that happened. A core."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, assert_never

import msgspec

from gateway.report import happenings as h
from gateway.report.airing import Airing

__all__ = ["Cut", "Event", "Mark", "Story", "Utterance", "tell"]


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """The agent was interrupted. `heard`: the words, an estimate; the bounds are of the item's own audio.

    `low_us`, `high_us`: when the bounds were played; None where nothing was.
    """

    t_us: int
    item: str
    heard: str
    low_ms: float
    high_ms: float
    low_us: int | None
    high_us: int | None


class Utterance(msgspec.Struct, kw_only=True):
    """What one of them said, in one go. `text` is empty where nobody has written it down.

    `spans`: when it was to be heard; a held answer has several. `cut`: the agent did not get to its end.
    `ignored`: it was not taken for an interruption. `broken_off`: the voice was lost before it had given all of it.
    """

    who: Literal["caller", "agent"]
    item: str
    text: str = ""
    spans: list[tuple[int, int]] = msgspec.field(default_factory=list)
    cut: Cut | None = None
    ignored: bool = False
    broken_off: bool = False

    @property
    def from_us(self) -> int:
        return self.spans[0][0]

    @property
    def to_us(self) -> int:
        return self.spans[-1][1]


class Mark(msgspec.Struct, kw_only=True):
    """A mark of ours. `returned_us`: when it came back. `cleared`: it did so because of a clear."""

    name: str
    sent_us: int
    returned_us: int | None = None
    cleared: bool = False


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something for the list. `kind`: fact, request, report or carrier."""

    t_us: int
    kind: str
    name: str
    fields: dict[str, Any]


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """Everything in the order of time; utterances by when they began."""

    utterances: Sequence[Utterance]
    cuts: Sequence[Cut]
    keys: Sequence[h.KeyPressed]
    marks: Sequence[Mark]
    events: Sequence[Event]


def tell(happenings: Iterable[h.Happening]) -> Story:
    """The story of what happened, in the order in which it happened."""
    teller = _Teller()
    for happening in happenings:
        teller.take(happening)
    return teller.story()


class _Teller:
    def __init__(self) -> None:
        self._airing = Airing()
        self._caller: dict[str, Utterance] = {}
        self._agent_texts: dict[str, str] = {}
        self._agent_words: dict[str, str] = {}  # so far, of what may never be said to its end
        self._giving: set[str] = set()  # items of the agent of which more will come
        self._broken_off: set[str] = set()
        self._speaking: tuple[str, int] | None = None  # the caller's turn that has not ended
        self._newest: Utterance | None = None  # of the caller
        self._stopped_at_us = 0  # when a turn of the caller was last found to be over
        self._cuts: list[Cut] = []
        self._keys: list[h.KeyPressed] = []
        self._marks: list[Mark] = []
        self._out: dict[str, Mark] = {}
        self._events: list[Event] = []
        self._last_us = 0

    def take(self, happening: h.Happening) -> None:
        self._last_us = happening.t_us
        match happening:
            case h.Told():
                self._told(happening)
            case h.Done():
                self._note(happening.t_us, happening.kind, happening.name, happening.fields)
            case h.CallerBegan():
                self._speaking = (happening.item, happening.began_us)
            case h.CallerStopped():
                self._caller_stopped(happening)
            case h.KeyPressed():
                self._keys.append(happening)
            case h.AgentSpoke():
                self._giving.add(happening.item)
                self._airing.given(happening.item, happening.ms)
            case h.AgentSpokeAll():
                self._giving.discard(happening.item)
                self._airing.given_all(happening.item, happening.tail_ms)
            case h.AgentWords():
                so_far = self._agent_words.get(happening.item, "")
                self._agent_words[happening.item] = so_far + happening.text
            case h.ClipNamed():
                self._agent_texts[happening.item] = happening.text
            case h.CarrierTold():
                self._note(happening.t_us, "carrier", happening.name, happening.fields)
            case h.AudioSent():
                self._airing.sent(happening.ms, happening.t_us)
            case h.SilenceSent():
                self._airing.sent_silence(happening.ms, happening.t_us)
            case h.Held():
                self._airing.held()
            case h.Cleared():
                self._cleared(happening.t_us)
            case h.MarkSent():
                self._out[happening.name] = Mark(name=happening.name, sent_us=happening.t_us)
                self._marks.append(self._out[happening.name])
            case h.MarkReturned():
                mark = self._out.pop(happening.name, None)
                if mark is not None:
                    mark.returned_us = happening.t_us
            case h.ResponseCreated():
                self._airing.resumed()  # no voice is asked to answer before it is known what it heard
            case h.ResponseAsked() | h.CallerAudio() | h.Signal():
                pass
            case _:
                assert_never(happening)

    def story(self) -> Story:
        if self._speaking is not None:
            self._caller_spoke(*self._speaking, self._last_us)
        utterances = [*self._caller.values(), *self._agent()]
        heard = sorted((u for u in utterances if u.spans), key=lambda u: u.from_us)
        return Story(
            utterances=heard, cuts=self._cuts, keys=self._keys, marks=self._marks, events=self._events
        )

    # -- the caller

    def _caller_stopped(self, stopped: h.CallerStopped) -> None:
        item, began_us = self._speaking or (stopped.item, stopped.stopped_us)
        self._speaking = None
        if stopped.stopped_us < self._stopped_at_us and self._newest is not None:
            self._heard_again(stopped.item or item, self._newest)
        else:
            self._caller_spoke(stopped.item or item, began_us, stopped.stopped_us)
        self._stopped_at_us = stopped.t_us

    def _heard_again(self, item: str, utterance: Utterance) -> None:
        """Another session was told once more what the one before it had not answered."""
        if item:
            del self._caller[utterance.item]
            utterance.item = item
            self._caller[item] = utterance

    def _caller_spoke(self, item: str, began_us: int, stopped_us: int) -> None:
        key = item or f"caller{len(self._caller)}"
        utterance = self._caller.setdefault(key, Utterance(who="caller", item=key))
        utterance.spans.append((began_us, max(began_us, stopped_us)))
        self._newest = utterance

    # -- the agent

    def _agent(self) -> Iterable[Utterance]:
        cuts = {cut.item: cut for cut in self._cuts}
        for item, spans in self._airing.spans.items():
            yield Utterance(
                who="agent",
                item=item,
                text=self._agent_texts.get(item) or self._agent_words.get(item, "").strip(),
                spans=[(span.from_us, span.to_us) for span in spans if span.to_us > span.from_us],
                cut=cuts.get(item),
                broken_off=item in self._broken_off,
            )

    def _cleared(self, t_us: int) -> None:
        self._airing.cleared(t_us)
        for mark in self._out.values():
            mark.cleared = True
        self._note(t_us, "carrier", "clear", {})

    def _told(self, fact: h.Told) -> None:
        fields = fact.fields
        if fact.name == "digit.pressed" and self._keys and self._keys[-1].t_us == fact.t_us:
            fields = fields | {"digit": self._keys[-1].digit}  # which no fact tells, so that no log has it
        self._note(fact.t_us, "fact", fact.name, fields)
        match fact.name, fields:
            case "caller.said", {"item": str(item), "text": str(text)}:
                self._caller.setdefault(item, Utterance(who="caller", item=item)).text = text
            case "caller.ignored", _:
                self._airing.resumed()
                if self._newest is not None:
                    self._newest.ignored = True
            case "session.lost", _:
                self._airing.resumed()
                self._broken_off |= self._giving
                self._giving.clear()
            case "agent.said", {"item": str(item), "text": str(text)}:
                self._agent_texts[item] = text
            case "agent.interrupted", {
                "item": str(item),
                "heard_low_ms": int() | float() as low_ms,
                "heard_high_ms": int() | float() as high_ms,
            }:
                cut = Cut(
                    t_us=fact.t_us,
                    item=item,
                    heard=str(fact.fields.get("text", "")),
                    low_ms=low_ms,
                    high_ms=high_ms,
                    low_us=self._airing.at_us(item, low_ms),
                    high_us=self._airing.at_us(item, high_ms),
                )
                self._cuts.append(cut)
                self._airing.dropped()
            case _:
                pass

    def _note(self, t_us: int, kind: str, name: str, fields: dict[str, Any]) -> None:
        self._events.append(Event(t_us=t_us, kind=kind, name=name, fields=fields))
