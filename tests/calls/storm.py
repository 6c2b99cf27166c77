"""A call core in a storm: whatever its far end and its voices do, what must hold is asserted after every input."""

import base64
import json
from collections import deque
from typing import Any

import msgspec

from gateway import contracts as c
from tests.calls.far_end import BYTES_PER_MS, FRAME_MS, FarEnd, Frame, Item, frames_of
from tests.calls.far_voice import FarVoice
from tests.calls.ladder import STREAM_SID, Ladder
from tests.calls.weather import Weather

LEAD_MS = 200
_CALLER = base64.b64encode(b"\xff" * 160).decode()
_ANSWER_BYTES = 3200  # of G.711
_PATIENCE_S = 40
# Bounds are sums of seconds as floats, rounded to the microsecond.
_ROUNDING_MS = 0.01
_MARK_MS = 100  # how far marks are apart
_SHORT_MS = 500  # longer than any mark is on its way here
_FILTER_MS = 4  # what the resampler makes of an item's edges


class Storm(Ladder):
    """One call. Time passes by `passes`; whatever else happens, happens between two milliseconds."""

    def __init__(self, weather: Weather) -> None:
        super().__init__()
        self.weather = weather
        self.core = weather.core()
        self.far = FarEnd()
        self.ms = 0
        self.sessions: dict[int, FarVoice] = {}
        self.items: list[Item] = []  # all, youngest last
        self.tools: list[str] = []
        self.clips: list[int] = []
        self.transfers: list[str] = []
        self.sound = True  # every claim has held so far
        self.closing = False
        self.presses = 0
        self.low_slack_ms = _ROUNDING_MS
        self.mark_fates: deque[int] = deque()  # how often the next marks come back
        self._history: list[tuple[c.Port, str, float, list[c.Output]]] = []
        self._line_ms = 0
        self._down: deque[tuple[int, str, Any]] = deque()
        self._up: deque[tuple[int, str]] = deque()
        self._stalled_until_ms = 0
        self._chunk = 0

    # -- time, and what travels

    def passes(self, ms: int) -> None:
        for _ in range(ms):
            if self.core.ended is not None:
                return
            self.ms += 1
            self.now = self.ms / 1000
            self._play()
            if self.ms % FRAME_MS == 0:
                self._speak()
            while self._up and self._up[0][0] <= self.ms:
                self._feed("carrier", self._up.popleft()[1])
            if self.ms % FRAME_MS == self.weather.tick_ms:
                self._feed("tick", "")

    def digit(self, digit: str) -> "Storm":
        self.presses += 1
        super().digit(digit)
        return self

    def stalls(self, ms: int) -> None:
        """For so long nothing comes from Twilio; then all of it at once."""
        self._stalled_until_ms = self.ms + ms

    def sends(self, message: dict[str, Any]) -> None:
        """Twilio says something; it arrives behind all that it said before."""
        due_ms = max(self.ms + self.weather.up_ms, self._stalled_until_ms)
        if self._up:
            due_ms = max(due_ms, self._up[-1][0])
        self._up.append((due_ms, json.dumps(message | {"streamSid": STREAM_SID, "sequenceNumber": "2"})))

    def _play(self) -> None:
        while self._down and self._down[0][0] < self.ms:
            _, kind, what = self._down.popleft()
            if kind == "media":
                self.far.media(what)
            elif kind == "mark":
                self.far.mark(what)
            else:
                self._clear(what)
        for name in self.far.play_1_ms():
            self._return(name)

    def _clear(self, low_ms: float) -> None:
        """The far end is cleared; by then the call took all up to `low_ms` for heard."""
        lag_ms = self.far.played_to_ms - low_ms
        self.far.repeat_bytes = (int(lag_ms) + FRAME_MS + 1) * BYTES_PER_MS
        for item in self.items:
            item.cleared = item.heard_at_ms > low_ms - FRAME_MS
        self.far.clear()

    def _return(self, name: str) -> None:
        mark = {"event": "mark", "mark": {"name": name}}
        for _ in range(self.mark_fates.popleft() if self.mark_fates else 1):
            self.sends(mark)

    def _speak(self) -> None:
        self._chunk += 1
        timestamp = str(135 + FRAME_MS * self._chunk)
        media = {"track": "inbound", "chunk": str(self._chunk), "timestamp": timestamp, "payload": _CALLER}
        self.sends({"event": "media", "media": media})

    # -- the keeper's book

    @property
    def wires(self) -> list[FarVoice]:
        """The sessions that are wanted and not gone, oldest first."""
        return [session for session in self.sessions.values() if not session.closed]

    @property
    def talking(self) -> FarVoice | None:
        """The session whose words reach the core as the voice's."""
        wires = self.wires
        return wires[0] if wires and wires[0].opened else None

    def opens(self, session: FarVoice) -> None:
        session.opened = True
        self.command(c.VoiceOpened(session=session.number))

    def says(self, session: FarVoice, event: dict[str, Any]) -> None:
        """A session says something, and the keeper hands it on as what it is by then."""
        if session.closed:
            return
        if session is self.talking:
            self.voice(**event)
        else:
            text = json.dumps({"event_id": "e"} | event)
            self.command(c.StandbySaid(session=session.number, event=text))

    def goes(self, session: FarVoice, *, refused: bool = False, busy_s: float | None = None) -> None:
        """The connection ends, or could not be had."""
        session.closed = True
        self.command(c.VoiceEnded(session=session.number, refused=refused, busy_s=busy_s))

    def audio(self, session: FarVoice, response: str, name: str, size_bytes: int) -> None:
        audio, event = session.delta(response, name, size_bytes)
        item = session.items[name]
        if item not in self.items:
            self.items.append(item)
        self.says(session, event | {"delta": base64.b64encode(audio).decode()})

    def speech_began(self, session: FarVoice, event: dict[str, Any]) -> None:
        """The caller speaks: at once, or when it is sure, all that he would still have heard is taken back."""
        at_stake = [item for item in self.items if len(item.audio) - item.sent >= FRAME_MS * BYTES_PER_MS]
        self.says(session, event)
        if self.weather.interruptible and not self.weather.barge_in.waits and not self.closing:
            for item in at_stake:
                assert item.dropped or item.name not in session.items, (
                    f"{item.name} will be heard all the same"
                )
                item.dropped = True

    # -- one input, and all that must hold after it

    def _feed(self, port: c.Port, data: str) -> "Storm":
        was_over, self.sound = self.core.ended is not None, False
        self.core.feed(port, data, self.now)
        outputs = self.core.drain()
        self._history.append((port, data, self.now, outputs))
        self.out += outputs
        assert not (was_over and outputs), f"after the end came {outputs}"
        for at, output in enumerate(outputs):
            self._take(output)
            is_last = at == len(outputs) - 1
            assert is_last or not isinstance(output, c.Ended), f"after the end came {outputs[at + 1 :]}"
        self._check_interruption(outputs)
        if self.core.ended is None:
            self._check_heard(now_known=port == "tick")
        self.sound = True
        return self

    def _take(self, output: c.Output) -> None:
        match output:
            case c.CarrierMessage():
                self._carry(json.loads(output.data))
            case c.VoiceMessage():
                session = self.sessions[output.session]
                session.take(output.data)
                assert session.digits <= self.presses, "a key is told more often than it was pressed"
            case c.OpenVoice():
                traits = next(each for each in self.weather.voices if each.name == output.backend)
                assert output.session not in self.sessions
                self.sessions[output.session] = FarVoice(output, traits)
            case c.CloseVoice():
                session = self.sessions[output.session]
                assert not session.was_closed, f"session {session.number} is closed twice"
                session.closed = session.was_closed = True
            case c.RunTool():
                self.tools.append(output.id)
            case c.LoadClip() | c.Synthesize():
                self.clips.append(output.id)
            case c.TransferCall():
                self.transfers.append(output.destination)
            case c.Fact(name="tool.called"):
                self.closing = self.closing or output.fields["tool"] in ("end_call", "transfer_call")
            case c.Fact(name="agent.interrupted"):
                for item in self.items:
                    item.dropped = item.dropped or item.name == output.fields["item"]

    def _carry(self, message: dict[str, Any]) -> None:
        due_ms = self.ms + self.weather.down_ms
        match message["event"]:
            case "media":
                payload = base64.b64decode(message["media"]["payload"])
                self._down.append((due_ms, "media", self._recognize(payload)))
                self._line_ms += len(payload) // BYTES_PER_MS
            case "mark":
                self._down.append((due_ms, "mark", message["mark"]["name"]))
            case "clear":
                self._down.append((due_ms, "clear", self.heard_ms()))
            case other:
                raise AssertionError(f"Twilio knows no {other}")

    def _recognize(self, payload: bytes) -> list[Frame]:
        unheard_first = sorted(self.items, key=lambda item: item.played >= len(item.audio))
        return frames_of(payload, unheard_first)

    def _check_interruption(self, outputs: list[c.Output]) -> None:
        """An interruption takes back whatever has not been heard, and the session that said it is told."""
        if not any(isinstance(output, c.Fact) and output.name == "agent.interrupted" for output in outputs):
            return
        told = self.talking.truncated if self.talking is not None else {}
        for item in self.items:
            if item.received_ms >= (1 if item.exact else FRAME_MS / 2) and not item.sent:
                is_ours = self.talking is not None and item.name in self.talking.items
                assert told.get(item.name) == 0 or not is_ours, f"{item.name} was not heard, and is not cut"
                item.dropped = True

    def _check_heard(self, *, now_known: bool) -> None:
        """What the call knows is true; `now_known`: how late it is, the leg learns with each tick."""
        downlink = self.core._downlink
        if downlink is None:
            return
        ledger, heard = downlink.ledger, downlink.ledger.heard
        assert heard.low_ms <= heard.high_ms <= ledger.sent_ms + _ROUNDING_MS
        assert ledger.sent_ms == self._line_ms, "the ledger is not what was sent"
        assert self.far.queued_ms <= LEAD_MS, "more than the lead is at the far end"
        if any(kind == "clear" for _, kind, _ in self._down):
            return  # what the call says by now will be true when its `clear` is there
        # A short pause of the far end shows only in the next mark: until then the leg may take it for audio.
        pause_ms = min(self.far.pause_ms, _MARK_MS) if self.far.pause_ms < _SHORT_MS else 0
        over_ms = heard.low_ms - self.far.played_to_ms
        assert over_ms <= max(self.low_slack_ms, pause_ms), "low is above what was played"
        self.low_slack_ms = max(over_ms, self.low_slack_ms)
        if now_known:
            assert self.far.played_to_ms <= heard.high_ms + _ROUNDING_MS, "high is below what was played"
        for item in self.items[-8:]:
            entry = ledger.item(item.name)
            played_ms = item.played / BYTES_PER_MS
            most_ms = played_ms + self.low_slack_ms + (0 if item.exact else _FILTER_MS)
            assert item.truncated_ms <= most_ms, f"{item.name} is truncated behind what was heard"
            if item.dropped or not entry.received_ms:
                continue
            assert 0 <= entry.low_ms <= entry.high_ms <= entry.received_ms + _ROUNDING_MS
            assert entry.sent_ms <= entry.received_ms + _ROUNDING_MS
            assert entry.low_ms <= most_ms, f"{item.name}: {entry.low_ms} is above {most_ms}"
            if now_known and item.exact:
                high_ms = entry.high_ms + _ROUNDING_MS
                assert played_ms <= high_ms, f"{item.name}: high is below what was played"

    # -- after the storm

    def calms(self) -> None:
        """All goes well from now on: the caller, who presses a key, is answered, unless the call ends."""
        self.mark_fates.clear()
        for session in self.wires:
            for response in list(session.running):
                self.says(session, session.done(response, "completed", [], ""))
        self.digit("5")
        known = len(self.items)
        for _ in range(_PATIENCE_S * 10):
            self.passes(100)
            if self.core.ended is not None or any(
                item.played >= _ANSWER_BYTES // 2 for item in self.items[known:]
            ):
                return
            self._serve()
        raise AssertionError("the caller has pressed a key, and is not answered")

    def _serve(self) -> None:
        """Driver, tools and voice do what they are asked for."""
        while self.clips:
            self.command(c.ClipReady(id=self.clips.pop(), pcm=b""))
        while self.tools:
            self.command(c.ToolDone(id=self.tools.pop(0), output="nine"))
        while self.transfers:
            self.command(c.TransferTaken(destination=self.transfers.pop()))
        for wire in self.wires:
            if not wire.opened:
                self.opens(wire)
                self.says(wire, {"type": "session.updated", "session": {"id": f"s{wire.number}"}})
        session = self.talking
        if session is not None and session.asked is not None and not session.running:
            name = f"i{1000 + len(self.items)}"
            self.says(session, session.created(f"r{name}"))
            self.audio(
                session, f"r{name}", name, _ANSWER_BYTES * session.traits.output.bytes_per_ms // BYTES_PER_MS
            )
            self.says(
                session, {"type": "response.output_audio.done", "response_id": f"r{name}", "item_id": name}
            )
            self.says(session, session.done(f"r{name}", "completed", [], ""))

    # -- the end

    def ends(self) -> None:
        """Hang up, if nobody has, and see that all of it was given back and can be had again."""
        self.command(c.HangUp(reason=c.EndReason.OPERATOR))
        self._feed("tick", "")
        self.command(c.VoiceOpened(session=1))
        self.stop()
        assert len(self.all(c.Ended)) == 1
        opened = [request.session for request in self.all(c.OpenVoice)]
        assert sorted(request.session for request in self.all(c.CloseVoice)) == opened
        self._replay()

    def _replay(self) -> None:
        again = self.weather.core()
        for port, data, now, outputs in self._history:
            again.feed(port, data, now)
            assert msgspec.json.encode(again.drain()) == msgspec.json.encode(outputs)
