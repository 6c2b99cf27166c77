"""From a trace's entries and outputs to what happened in the call. A core.

The only part of the report that knows Twilio's messages and Realtime events. What it does not know, it
passes over, so that a report can be made of calls of any carrier and of gateways that say more.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from gateway import contracts as c
from gateway.report import happenings as h
from gateway.report.uplink import Uplink
from gateway.report.wishes import DEFAULT, Wishes, wishes
from gateway.traces.format import Entry, Lifted, OutputLine
from gateway.wire import realtime, twilio
from gateway.wire.errors import RemoteProtocolError

__all__ = ["Listener"]

_G711_BYTES_PER_MS = 8
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
_to_twilio: msgspec.json.Decoder[twilio.ToTwilio] = msgspec.json.Decoder(twilio.ToTwilio)
_commands: msgspec.json.Decoder[c.Command] = msgspec.json.Decoder(c.Command)


class Listener:
    """Takes a call entry by entry. `carrier`: as the trace's header names it.

    `media_us`: when the caller's first audio began, with which a recording begins; None before it.
    """

    def __init__(self, carrier: str) -> None:
        self.media_us: int | None = None
        self._twilio = carrier == "twilio"
        self._happened: list[h.Happening] = []
        self._uplink = Uplink()
        self._cancelled: set[str] = set()
        self._wishes: dict[int, Wishes] = {}  # of each session
        self._open: list[int] = []  # sessions; the oldest talks, another one stands by
        self._fillers: dict[int, str] = {}
        self._filler_ms: dict[str, float] = {}  # of those that are at hand
        self._stopped: realtime.SpeechStopped | None = None  # of the entry that is being taken

    def take(self, entry: Entry, data: str | bytes, outputs: Sequence[OutputLine]) -> list[h.Happening]:
        """What happened with one entry, in order. `data`: the whole of what was fed."""
        self._stopped = None
        # Without its audio a text is as good here, and short. Only a long one stands in the audio file whole.
        text = data if entry.lifted is not None and entry.lifted.position == "text" else entry.text
        match entry.port:
            case "carrier" if self._twilio and isinstance(text, str):
                self._from_twilio(text, _bytes(entry.lifted), entry.t_us)
            case "voice":
                self._from_voice(str(text), _bytes(entry.lifted), entry.t_us)
            case "command":
                self._from_driver(str(text), _bytes(entry.lifted), entry.t_us)
            case _:
                pass
        for line in outputs:
            self._answered(line, entry.t_us)
        self._uplink.settle(entry.t_us)
        happened, self._happened = self._happened, []
        return happened

    # -- what the call was fed

    def _from_twilio(self, text: str, audio_bytes: int, t_us: int) -> None:
        try:
            message = twilio.decode(text)
        except RemoteProtocolError:
            return
        match message:
            case twilio.Media():
                size = audio_bytes or len(message.media.payload)
                if self.media_us is None:
                    self.media_us = t_us - size * 1000 // _G711_BYTES_PER_MS
                self._uplink.arrived(size / _G711_BYTES_PER_MS, t_us)
            case twilio.Mark():
                self._happened.append(h.MarkReturned(t_us, message.mark.name))
            case twilio.Dtmf():
                self._happened.append(h.KeyPressed(t_us, message.dtmf.digit))
            case _:
                pass

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

    def _answered(self, line: OutputLine, t_us: int) -> None:
        output = line.output
        match output:
            case {"type": "fact", "name": str(name), "fields": dict(fields)}:
                if name == "caller.stopped":
                    self._caller_stopped(fields, t_us)
                elif name == "filler.played":
                    self._filler_plays(str(fields.get("clip", _FILLERS[0])), t_us)
                self._happened.append(h.Told(t_us, name, fields))
            case {"type": "carrier", "data": str(text)} if self._twilio:
                self._to_twilio(text, _bytes(line.lifted), t_us)
            case {"type": "voice", "data": str(text)}:
                self._to_voice(text, _bytes(line.lifted), output.get("session", 1), t_us)
            case {"type": "carrier" | "voice" | "cut" | "ended"}:
                pass
            case {"type": str(name)}:
                self._asked(name, {key: value for key, value in output.items() if key != "type"}, t_us)
            case _:
                pass

    def _to_twilio(self, text: str, audio_bytes: int, t_us: int) -> None:
        try:
            message = _to_twilio.decode(text)
        except _JSON_TROUBLE:
            return
        match message:
            case twilio.Play():
                size = audio_bytes or len(message.media.payload)
                self._happened.append(h.AudioSent(t_us, size / _G711_BYTES_PER_MS))
            case twilio.SendMark():
                self._happened.append(h.MarkSent(t_us, message.mark.name))
            case twilio.Clear():
                self._happened.append(h.Cleared(t_us))

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
            case "response.cancel" if event.response_id:
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
