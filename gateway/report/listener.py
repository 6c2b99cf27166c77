"""From a trace's entries and outputs to what happened in the call. A core.

The only part of the report that knows Realtime events; the carrier's messages are read by its reader. What it does
not know, it passes over, so that a report can be made of calls of any carrier and of gateways that say more.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from gateway import contracts as c
from gateway.report import happenings as h
from gateway.report.carriers import CarrierReader
from gateway.report.uplink import Uplink
from gateway.report.wishes import DEFAULT, Wishes, wishes
from gateway.traces.format import Entry, Lifted, OutputLine
from gateway.wire import realtime

__all__ = ["Listener"]

_CLIP_AUDIO = c.AudioFormat()

# Clips that wait for a silence to be filled. Any other one is played as soon as it is there.
_FILLERS = ("filler", "welcome")

# The resampler's last samples come out behind an item, in at most so much silence.
_TAIL_MS = 2.0

_JSON_TROUBLE = (msgspec.DecodeError, UnicodeEncodeError, RecursionError)


class _ClientEvent(msgspec.Struct, frozen=True):
    type: str = ""
    response_id: str | None = None
    session: dict[str, Any] = {}


_client_events = msgspec.json.Decoder(_ClientEvent)
_commands: msgspec.json.Decoder[c.Command] = msgspec.json.Decoder(c.Command)


class Listener:
    """Takes a call entry by entry. `carrier`: reads its messages; None: nobody can, and they are passed over.

    `media_us`: when the caller's first audio began, with which a recording begins; None before it.
    """

    def __init__(self, carrier: CarrierReader | None) -> None:
        self.media_us: int | None = None
        self._carrier = carrier
        self._happened: list[h.Happening] = []
        self._uplink = Uplink()
        self._cancelled: set[str] = set()
        self._wishes: dict[int, Wishes] = {}  # of each session
        self._open: list[int] = []  # sessions; the oldest talks, another one stands by
        self._fillers: dict[int, str] = {}
        self._filler_ms: dict[str, float] = {}  # of those that are at hand
        self._stopped: realtime.SpeechStopped | None = None  # of the entry that is being taken
        self._was_cut = False  # with this entry

    def take(
        self, entry: Entry, data: str | bytes, outputs: Sequence[tuple[OutputLine, str | bytes]]
    ) -> list[h.Happening]:
        """What happened with one entry, in order. `data`: the whole of what was fed, and of what each output sent."""
        self._stopped = None
        self._was_cut = False
        # Without its audio a text is as good here, and short. Only a long one stands in the audio file whole.
        text = data if entry.lifted is not None and entry.lifted.position == "text" else entry.text
        match entry.port:
            case "carrier" if self._carrier is not None:
                self._of_carrier(self._carrier.received(data, entry.t_us))
            case "tick" if self._carrier is not None:
                self._of_carrier(self._carrier.ticked(entry.t_us))
            case "voice":
                self._from_voice(str(text), _bytes(entry.lifted), entry.t_us)
            case "command":
                self._from_driver(str(text), _bytes(entry.lifted), entry.t_us)
            case _:
                pass
        for line, sent in outputs:
            self._answered(line, sent, entry.t_us)
        self._uplink.settle(entry.t_us)
        happened, self._happened = self._happened, []
        return happened

    # -- what the call was fed

    def _of_carrier(self, happenings: Iterable[h.Happening]) -> None:
        for happening in happenings:
            if isinstance(happening, h.CallerAudio):
                if self.media_us is None:
                    self.media_us = happening.t_us - round(happening.ms * 1000)
                self._uplink.arrived(happening.ms, happening.t_us)
            else:
                self._happened.append(happening)

    def _from_voice(self, text: str, audio_bytes: int, t_us: int) -> None:
        event = realtime.decode(text)
        match event:
            case realtime.AudioDelta():
                ms = (audio_bytes or len(event.delta)) / self._talking.output.bytes_per_ms
                if event.response_id not in self._cancelled:
                    self._happened.append(h.AgentSpoke(t_us, event.response_id, event.item_id, ms))
            case realtime.ItemDone() if event.response_id not in self._cancelled:
                tail_ms = _TAIL_MS if self._talking.output.encoding == "pcm" else 0.0
                self._happened.append(h.AgentSpokeAll(t_us, event.item_id, tail_ms))
            case realtime.TranscriptDelta() if event.response_id not in self._cancelled:
                self._happened.append(h.AgentWords(t_us, event.item_id, event.delta))
            case realtime.ResponseCreated():
                self._happened.append(h.ResponseCreated(t_us, event.response.id))
            case realtime.SpeechStarted():
                began_us = self._at_us(event.audio_start_ms + self._talking.prefix_ms, t_us)
                self._happened.append(h.CallerBegan(t_us, event.item_id, min(began_us, t_us)))
            case realtime.SpeechStopped():
                self._stopped = event
            case _:
                pass

    def _from_driver(self, text: str, audio_bytes: int, t_us: int) -> None:
        try:
            command = _commands.decode(text)
        except _JSON_TROUBLE:
            return
        match command:
            case c.ClipReady():
                ms = (audio_bytes or len(command.pcm)) / _CLIP_AUDIO.bytes_per_ms
                if command.id in self._fillers:
                    self._filler_ms[self._fillers[command.id]] = ms
                else:
                    self._clip_plays(f"clip{command.id}", ms, t_us)
            case c.VoiceEnded() if command.session in self._open:
                self._open.remove(command.session)
            case _:
                pass
        if not isinstance(command, c.StandbySaid):  # of which there is one for every event of a session
            fields = msgspec.to_builtins(command)
            name = fields.pop("type")
            fields.pop("pcm", None)
            self._happened.append(h.Done(t_us, "report", name, fields))

    # -- what the call answered

    def _answered(self, line: OutputLine, sent: str | bytes, t_us: int) -> None:
        output = line.output
        match output:
            case {"type": "fact", "name": str(name), "fields": dict(fields)}:
                if name == "caller.stopped":
                    self._caller_stopped(fields, t_us)
                elif name == "filler.played":
                    self._filler_plays(str(fields.get("clip", _FILLERS[0])), t_us)
                self._was_cut = self._was_cut or name == "agent.interrupted"
                self._happened.append(h.Told(t_us, name, fields))
            case {"type": "carrier"} if self._carrier is not None:
                self._of_carrier(self._carrier.sent(sent, t_us))
            case {"type": "voice", "data": str(text)}:
                self._to_voice(text, _bytes(line.lifted), output.get("session", 1), t_us)
            case {"type": "cut"}:
                if not self._was_cut:
                    self._happened.append(h.Held(t_us))
            case {"type": "carrier" | "voice" | "ended"}:
                pass
            case {"type": str(name)}:
                self._asked(name, {key: value for key, value in output.items() if key != "type"}, t_us)
            case _:
                pass

    def _to_voice(self, text: str, audio_bytes: int, session: int, t_us: int) -> None:
        try:
            event = _client_events.decode(text)
        except _JSON_TROUBLE:
            return
        match event.type:
            case "input_audio_buffer.append":
                form = self._wishes.get(session, DEFAULT).input
                self._uplink.appended(session, audio_bytes / form.bytes_per_ms)
            case "response.create":
                self._happened.append(h.ResponseAsked(t_us))
            case "response.cancel":
                self._was_cut = True
                if event.response_id:
                    self._cancelled.add(event.response_id)
            case "session.update":
                self._wishes[session] = wishes(event.session)
            case _:
                pass

    def _asked(self, name: str, fields: dict[str, Any], t_us: int) -> None:
        match name, fields:
            case "open_voice", {"session": int(session)}:
                self._open.append(session)
            case "close_voice", {"session": int(session)} if session in self._open:
                self._open.remove(session)
            case "synthesize", {"id": int(number), "text": str(text)}:
                self._happened.append(h.ClipNamed(t_us, f"clip{number}", text))
            case "load_clip", {"id": int(number), "name": str(clip)} if clip in _FILLERS:
                self._fillers[number] = clip
            case "load_clip", {"id": int(number), "name": str(clip)}:
                self._happened.append(h.ClipNamed(t_us, f"clip{number}", f"({clip})"))
            case _:
                pass
        self._happened.append(h.Done(t_us, "request", name, fields))

    def _caller_stopped(self, fields: dict[str, Any], t_us: int) -> None:
        silent_ms = fields.get("silent_ms", 0)
        at_ms = self._uplink.sent_ms - silent_ms
        ended_ms = None if self._stopped is None else self._stopped.audio_end_ms
        self._happened.append(
            h.CallerStopped(
                t_us,
                "" if self._stopped is None else self._stopped.item_id,
                t_us - round(silent_ms * 1000),
                self._uplink.carried_us(at_ms, self._talking.delay_ms),
                self._uplink.appended_us(at_ms),
                None if ended_ms is None else self._uplink.appended_us(ended_ms),
            )
        )

    def _at_us(self, at_ms: float, t_us: int) -> int:
        """When that point of the axis of the caller's audio was, taking what was sent last as now."""
        return t_us - round((self._uplink.sent_ms - at_ms) * 1000)

    def _filler_plays(self, clip: str, t_us: int) -> None:
        item = f"{clip}{t_us}"
        self._happened.append(h.ClipNamed(t_us, item, f"({clip})"))
        self._clip_plays(item, self._filler_ms.get(clip, 0.0), t_us)

    def _clip_plays(self, item: str, ms: float, t_us: int) -> None:
        self._happened += (h.AgentSpoke(t_us, "", item, ms), h.AgentSpokeAll(t_us, item, _TAIL_MS))

    @property
    def _talking(self) -> Wishes:
        return self._wishes.get(self._open[0], DEFAULT) if self._open else DEFAULT


def _bytes(lifted: Lifted | None) -> int:
    """Of audio that was taken out of a text."""
    return 0 if lifted is None or lifted.position == "text" else lifted.length
