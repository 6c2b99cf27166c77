"""A Realtime server as a core: client events and results of models in, server events and jobs for models out.

What it says, a `Brain` decides, or a model. OpenAI API reference, Realtime (GA), over a WebSocket.
"""

from typing import TYPE_CHECKING, Any, Literal, assert_never

from gateway.contracts import AudioFormat
from gateway.voice.conversion import Conversion
from gateway.voice.embedded import client_events as client
from gateway.voice.embedded.brain import Brain, Thought
from gateway.voice.embedded.client_events import InvalidRequest, ResponseOptions
from gateway.voice.embedded.conversation import Conversation
from gateway.voice.embedded.input_audio import InputAudio, SpeechStarted
from gateway.voice.embedded.items import Item, Message
from gateway.voice.embedded.jobs import Detect, Job
from gateway.voice.embedded.minds import BrainMind, ModelMind
from gateway.voice.embedded.outbox import Outbox
from gateway.voice.embedded.response import Shape
from gateway.voice.embedded.session_settings import SessionSettings, keep_voice, updated
from gateway.voice.embedded.speaking import Speaking
from gateway.voice.embedded.vad import HOP_MS
from gateway.voice.embedded.writing import Writing, Written

if TYPE_CHECKING:
    import random

__all__ = ["RealtimeServerCore"]

_SHORTEST_TURN_MS = 100
# Who sends faster than it can be heard is told so, before that takes the memory: ten minutes of audio, 64 turns.
_MOST_HOPS = 600_000 // HOP_MS
_MOST_CLIPS = 64


class RealtimeServerCore:
    """One session. `brain` of None: what is said is a job for a model.

    `rng` gives the identifiers; `now` is seconds on any clock that never goes back.
    """

    def __init__(self, brain: Brain | None, rng: "random.Random", *, model: str) -> None:
        self._outbox = Outbox(rng)
        self._settings = SessionSettings(model=model)
        self._session_id = self._outbox.new_id("sess")
        self._conversation = Conversation(self._outbox)
        self._input = InputAudio(self._settings.audio.input.turn_detection)
        self._jobs: list[Job] = []
        self._last_job = 0
        self._detecting: set[int] = set()
        self._transcribing = Writing(self._new_job)
        self._microphone = self._microphone_of(self._settings)
        self._turn_id = ""  # the item that the speech of now will become
        mind = BrainMind(brain) if brain is not None else ModelMind()
        self._speaking = Speaking(mind, self._conversation, self._outbox, self._new_job)
        self._reply_wanted = False  # a turn ended while another one was still being answered
        self._quiet_since: float | None = None  # the caller could speak and does not
        self._playing_until = 0.0  # when a client that plays all it gets would be through
        self._now = 0.0
        self._outbox.emit("session.created", session=self._session())

    def receive(self, text: str, now: float) -> None:
        """Take one client event. One that cannot be done is answered with an `error` event."""
        self._now = now
        try:
            self._obey(client.decode(text))
        except InvalidRequest as error:
            self._outbox.emit("error", error=error.body(client.event_id_of(text)))

    def result(self, job_id: int, value: float | str | bytes | Thought, now: float) -> None:
        """Take a result of a job. One that nobody waits for any more is dropped."""
        self._now = now
        if job_id in self._detecting and isinstance(value, float):
            self._detecting.discard(job_id)
            self._judge(value)
        elif job_id in self._transcribing and isinstance(value, str):
            self._write_down(self._transcribing.result(job_id, value))
        elif (audio_s := self._speaking.result(job_id, value)) is not None:
            self._playing_until = max(self._playing_until, now) + audio_s
            self._go_on()

    def advance(self, now: float) -> None:
        """Let time pass: a caller who says nothing is spoken to."""
        self._now = now
        detection = self._settings.audio.input.turn_detection
        if detection is None or detection.idle_timeout_ms is None or self._quiet_since is None:
            return
        if now - max(self._quiet_since, self._playing_until) >= detection.idle_timeout_ms / 1000:
            self._break_silence(detection.idle_timeout_ms)

    def outgoing(self) -> list[str]:
        """Server events, in order, since the last call of this method."""
        return self._outbox.drain()

    def jobs(self) -> list[Job]:
        """Work for the models since the last call of this method. The order of `Detect` must be kept."""
        jobs, self._jobs = [*self._jobs, *self._speaking.jobs()], []
        return jobs

    # -- what the client wants

    def _obey(self, event: client.ClientEvent) -> None:
        match event:
            case client.AppendAudio():
                self._append(event.audio)
            case client.CreateResponse():
                self._create_response(event.response)
            case client.CancelResponse():
                self._cancel_response(event.response_id)
            case client.CreateItem():
                self._create_item(event.item, event.previous_item_id)
            case client.TruncateItem():
                self._conversation.truncate(event.item_id, event.content_index, event.audio_end_ms)
                self._playing_until = self._now  # the client has stopped playing
            case client.DeleteItem():
                self._conversation.delete(event.item_id)
            case client.RetrieveItem():
                self._conversation.retrieve(event.item_id)
            case client.UpdateSession():
                self._update(event.session)
            case client.CommitAudio():
                self._commit()
            case client.ClearAudio():
                self._input.clear()
                self._turn_id = ""
                if self._speaking.response is None and self._speaking.begun:
                    self._quiet_since = self._now  # if the caller was speaking, that is forgotten
                self._outbox.emit("input_audio_buffer.cleared")
            case _:
                assert_never(event)

    def _update(self, changes: dict[str, Any]) -> None:
        before = self._settings.audio.input.format
        self._settings = updated(self._settings, changes, has_spoken=self._speaking.was_aloud)
        audio = self._settings.audio.input
        if audio.format != before:
            # What is in the buffer was heard in the other format, and stays: only what comes now is in this one.
            self._microphone = self._microphone_of(self._settings)
        self._input.detect_turns(audio.turn_detection)
        self._outbox.emit("session.updated", session=self._session())

    def _append(self, audio: bytes) -> None:
        client.check_audio(audio, self._settings.audio.input.format.audio, "audio")
        if len(self._detecting) > _MOST_HOPS:
            raise InvalidRequest("rate_limit_exceeded", "Audio comes faster than it can be heard")
        for hop in self._input.append(self._microphone.carry(audio)):
            job = Detect(self._new_job(), hop)
            self._detecting.add(job.id)
            self._jobs.append(job)

    def _commit(self) -> None:
        length_ms = self._input.uncommitted_ms
        if length_ms < _SHORTEST_TURN_MS:
            message = (
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{_SHORTEST_TURN_MS}ms of audio, but buffer only has {length_ms:.2f}ms of audio."
            )
            raise InvalidRequest("input_audio_buffer_commit_empty", message)
        self._check_room()
        item_id, self._turn_id = self._turn_id or self._outbox.new_id("item"), ""
        self._add_turn(item_id, self._input.commit())

    def _create_item(self, item: Item, previous: str | None) -> None:
        clips: dict[int, bytes] = {}
        for at, part in enumerate(item.content if isinstance(item, Message) else ()):
            if part.audio is not None and part.transcript is None:
                sound = self._settings.audio.input.format.audio
                client.check_audio(part.audio, sound, f"item.content[{at}].audio")
                clips[at] = self._microphone_of(self._settings).carry(part.audio)
        if clips:
            self._check_room()
        self._conversation.create(item, previous)
        for at, clip in clips.items():
            # What was said in an item is written down for the brain; the protocol tells it of the buffer's alone.
            self._jobs += self._transcribing.start(item.id, clip, content_index=at, told=False)
        is_last = item.id == self._conversation.last_id  # not the correction of an earlier one
        if (
            isinstance(item, Message)
            and item.role == "assistant"
            and is_last
            and self._speaking.response is None
        ):
            # A client tells a new session what was said in an earlier one.
            self._speaking.remember(item.text)

    def _check_room(self) -> None:
        """Whether one more clip can be written down. Raises `InvalidRequest`."""
        if len(self._transcribing) >= _MOST_CLIPS:
            message = f"{len(self._transcribing)} turns wait to be written down already"
            raise InvalidRequest("rate_limit_exceeded", message)

    def _create_response(self, options: ResponseOptions) -> None:
        if self._speaking.response is not None:
            message = (
                f"Conversation already has an active response in progress: {self._speaking.response.id}. "
                "Wait until the response is finished before creating a new one."
            )
            raise InvalidRequest("conversation_already_has_active_response", message)
        if options.conversation == "none" and "say" not in (options.metadata or {}):
            message = (
                "A response outside of the conversation needs metadata.say: there is no other context here"
            )
            raise InvalidRequest("invalid_value", message, param="response.conversation")
        if self._speaking.was_aloud and options.conversation == "auto":
            keep_voice(self._settings.voice, Shape.of(self._settings, options).voice)
        self._start_reply(options, idle="idle" in (options.metadata or {}))

    def _cancel_response(self, response_id: str | None) -> None:
        response = self._speaking.response
        if response is None or response_id not in (None, response.id):
            raise InvalidRequest(
                "response_cancel_not_active", "Cancellation failed: no active response found"
            )
        self._cancel("client_cancelled")

    # -- what the caller does

    def _judge(self, likely: float) -> None:
        detection = self._settings.audio.input.turn_detection
        heard = self._input.judge(likely)
        if detection is None or heard is None:
            return
        if isinstance(heard, SpeechStarted):
            self._turn_id = self._outbox.new_id("item")
            self._quiet_since = None
            self._outbox.emit(
                "input_audio_buffer.speech_started", audio_start_ms=heard.start_ms, item_id=self._turn_id
            )
            if detection.interrupt_response:
                # A turn that waits for its answer is answered with this one: nobody speaks while the caller does.
                self._reply_wanted = False
                self._cancel("turn_detected")
            return
        item_id, self._turn_id = self._turn_id, ""
        self._outbox.emit("input_audio_buffer.speech_stopped", audio_end_ms=heard.end_ms, item_id=item_id)
        self._add_turn(item_id, heard.clip)
        if detection.create_response:
            self._answer()

    def _break_silence(self, idle_ms: int) -> None:
        item_id = self._outbox.new_id("item")
        end_ms = self._input.appended_ms
        self._outbox.emit(
            "input_audio_buffer.timeout_triggered",
            audio_start_ms=max(0, end_ms - idle_ms),
            audio_end_ms=end_ms,
            item_id=item_id,
        )
        self._add_turn(item_id, None)
        self._start_reply(ResponseOptions(), idle=True)

    def _add_turn(self, item_id: str, clip: bytes | None) -> None:
        """Add what was said to the conversation. `clip` of None: the caller said nothing."""
        previous = self._conversation.last_id
        self._outbox.emit("input_audio_buffer.committed", previous_item_id=previous, item_id=item_id)
        self._conversation.add_turn(item_id)
        if clip is not None:
            self._jobs += self._transcribing.start(item_id, clip)

    def _write_down(self, written: Written | None) -> None:
        if written is None:
            return  # there is more of that clip
        self._conversation.write_down(written.item_id, written.content_index, written.text)
        if written.told and self._settings.audio.input.transcription is not None:
            self._outbox.emit(
                "conversation.item.input_audio_transcription.completed",
                item_id=written.item_id,
                content_index=written.content_index,
                transcript=written.text,
                usage={"type": "duration", "seconds": written.seconds},
            )
        self._go_on()

    # -- what the voice says

    def _answer(self) -> None:
        if self._speaking.response is None:
            self._start_reply(ResponseOptions())
        else:
            self._reply_wanted = True

    def _start_reply(self, options: ResponseOptions, *, idle: bool = False) -> None:
        self._quiet_since = None
        self._speaking.start(self._settings, options, idle=idle)
        self._go_on()

    def _go_on(self) -> None:
        if self._speaking.go_on(all_written=not self._transcribing):
            self._reply_over()

    def _cancel(self, reason: Literal["turn_detected", "client_cancelled"]) -> None:
        if self._speaking.cancel(reason):
            self._playing_until = self._now  # the client plays no more of it
            self._reply_over()

    def _reply_over(self) -> None:
        if not self._input.speaking:
            self._quiet_since = self._now
        if self._reply_wanted:
            self._reply_wanted = False
            self._answer()

    def _new_job(self) -> int:
        self._last_job += 1
        return self._last_job

    @staticmethod
    def _microphone_of(settings: SessionSettings) -> Conversion:
        """The client's audio on its way in."""
        return Conversion(settings.audio.input.format.audio, AudioFormat())

    def _session(self) -> dict[str, Any]:
        return {"id": self._session_id, "object": "realtime.session", **self._settings.shown()}
