"""A Realtime server as a core: client events and results of models in, server events and jobs for models out.

What it says, a `Brain` decides. OpenAI API reference, Realtime (GA), over a WebSocket.
"""

from typing import TYPE_CHECKING, Any, Literal, assert_never

from gateway.voice.embedded import client_events as client
from gateway.voice.embedded.brain import Brain, Turn
from gateway.voice.embedded.client_events import InvalidRequest, ResponseOptions
from gateway.voice.embedded.conversation import Conversation, Input
from gateway.voice.embedded.input_audio import InputAudio, SpeechStarted
from gateway.voice.embedded.items import Item, Message
from gateway.voice.embedded.jobs import Detect, Job, Synthesize, Transcribe
from gateway.voice.embedded.outbox import Outbox
from gateway.voice.embedded.reply import Reply, ask, rest_of
from gateway.voice.embedded.response import Response
from gateway.voice.embedded.session_settings import SessionSettings, updated

if TYPE_CHECKING:
    import random

__all__ = ["RealtimeServerCore"]

_BYTES_PER_S = 48_000  # PCM16 at 24 000 Hz
_BYTES_PER_MS = 48
_SHORTEST_TURN_MS = 100


class RealtimeServerCore:
    """One session. `rng` gives the identifiers; `now` is seconds on any clock that never goes back."""

    def __init__(self, brain: Brain, rng: "random.Random", *, model: str) -> None:
        self._brain = brain
        self._outbox = Outbox(rng)
        self._settings = SessionSettings(model=model)
        self._session_id = self._outbox.new_id("sess")
        self._conversation = Conversation(self._outbox)
        self._input = InputAudio(self._settings.audio.input.turn_detection)
        self._jobs: list[Job] = []
        self._last_job = 0
        self._detecting: set[int] = set()
        self._transcribing: dict[int, tuple[str, float]] = {}  # job: item, seconds of audio
        self._turn_id = ""  # the item that the speech of now will become
        self._reply: Reply | None = None
        self._reply_wanted = False  # a turn ended while another one was still being answered
        self._begun = False
        self._unsaid = Turn("")  # of an answer that broke off in an earlier session
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

    def result(self, job_id: int, value: float | str | bytes, now: float) -> None:
        """Take the result of a job. One that nobody waits for any more is dropped."""
        self._now = now
        if job_id in self._detecting:
            self._detecting.discard(job_id)
            self._judge(float(value))
        elif job_id in self._transcribing:
            self._write_down(*self._transcribing.pop(job_id), str(value))
        elif self._reply is not None and self._reply.speaking == job_id and isinstance(value, bytes):
            self._reply.spoken(value)
            self._playing_until = max(self._playing_until, now) + len(value) / _BYTES_PER_S
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
        jobs, self._jobs = self._jobs, []
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
                self._settings = updated(self._settings, event.session)
                self._input.detect_turns(self._settings.audio.input.turn_detection)
                self._outbox.emit("session.updated", session=self._session())
            case client.CommitAudio():
                self._commit()
            case client.ClearAudio():
                self._input.clear()
                if self._reply is None and self._begun:
                    self._quiet_since = self._now  # if the caller was speaking, that is forgotten
                self._outbox.emit("input_audio_buffer.cleared")
            case _:
                assert_never(event)

    def _append(self, pcm: bytes) -> None:
        if len(pcm) % 2:
            message = f"{len(pcm)} bytes are no whole number of 16-bit samples"
            raise InvalidRequest("invalid_value", message, param="audio")
        for hop in self._input.append(pcm):
            job = Detect(self._new_job(), hop)
            self._detecting.add(job.id)
            self._jobs.append(job)

    def _commit(self) -> None:
        clip = self._input.commit()
        length_ms = len(clip) // _BYTES_PER_MS
        if length_ms < _SHORTEST_TURN_MS:
            message = f"The buffer has {length_ms} ms of audio; {_SHORTEST_TURN_MS} ms are the least"
            raise InvalidRequest("input_audio_buffer_commit_empty", message)
        self._add_turn(self._outbox.new_id("item"), clip)

    def _create_item(self, item: Item, previous: str | None) -> None:
        if isinstance(item, Message) and any(part.audio is not None for part in item.content):
            message = "Audio enters by input_audio_buffer.append; an item may have its transcript"
            raise InvalidRequest("invalid_value", message, param="item.content")
        self._conversation.create(item, previous)
        is_last = item.id == self._conversation.last_id  # not the correction of an earlier one
        if isinstance(item, Message) and item.role == "assistant" and is_last and self._reply is None:
            # A client tells a new session what was said in an earlier one: the brain hears it again, and what
            # it would have answered has been said, or the beginning of it.
            # An answer that broke off more than once comes in several pieces.
            inputs = self._conversation.take_unanswered()
            going_on = not inputs and self._unsaid.say
            self._unsaid = rest_of(self._unsaid if going_on else self._think(inputs), item.text)

    def _create_response(self, options: ResponseOptions) -> None:
        if self._reply is not None:
            message = f"The response {self._reply.response.id!r} is still being made"
            raise InvalidRequest("conversation_already_has_active_response", message)
        if options.conversation == "none" and "say" not in (options.metadata or {}):
            message = (
                "A response outside of the conversation needs metadata.say: there is no other context here"
            )
            raise InvalidRequest("invalid_value", message, param="response.conversation")
        self._start_reply(options, idle="idle" in (options.metadata or {}))

    def _cancel_response(self, response_id: str | None) -> None:
        if self._reply is None or response_id not in (None, self._reply.response.id):
            raise InvalidRequest("response_cancel_not_active", "There is no such response to cancel")
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
                self._cancel("turn_detected")
            return
        self._outbox.emit(
            "input_audio_buffer.speech_stopped", audio_end_ms=heard.end_ms, item_id=self._turn_id
        )
        self._add_turn(self._turn_id, heard.clip)
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
            job = Transcribe(self._new_job(), clip)
            self._transcribing[job.id] = (item_id, len(clip) / _BYTES_PER_S)
            self._jobs.append(job)

    def _write_down(self, item_id: str, seconds: float, transcript: str) -> None:
        self._conversation.write_down(item_id, transcript)
        if self._settings.audio.input.transcription is not None:
            self._outbox.emit(
                "conversation.item.input_audio_transcription.completed",
                item_id=item_id,
                content_index=0,
                transcript=transcript,
                usage={"type": "duration", "seconds": seconds},
            )
        self._go_on()

    # -- what the voice says

    def _answer(self) -> None:
        if self._reply is None:
            self._start_reply(ResponseOptions())
        else:
            self._reply_wanted = True

    def _start_reply(self, options: ResponseOptions, *, idle: bool = False) -> None:
        self._quiet_since = None
        conversation = self._conversation if options.conversation == "auto" else None
        metadata = options.metadata or {}
        response = Response(self._outbox, conversation, self._settings.voice, metadata)
        choice = options.tool_choice if options.tool_choice is not None else self._settings.tool_choice
        tools = options.tools if options.tools is not None else self._settings.tools
        self._reply = Reply(response, () if choice == "none" else tools, say=metadata.get("say"), idle=idle)
        self._go_on()

    def _go_on(self) -> None:
        """Do the next thing that the reply needs, if it is not waiting for a model."""
        reply = self._reply
        if reply is None or reply.speaking is not None:
            return
        if not reply.decided:
            if reply.say is None and self._transcribing:
                return
            reply.decide(self._brain, self._turn(reply))
        if reply.sentence is not None:
            job = Synthesize(self._new_job(), reply.sentence, self._settings.voice)
            reply.speaking = job.id
            self._jobs.append(job)
            return
        reply.finish()
        self._reply_over()

    def _turn(self, reply: Reply) -> Turn:
        if reply.say is not None:
            self._begun = True
            return Turn(reply.say)
        if "carry_on" in reply.response.metadata:
            unsaid, self._unsaid = self._unsaid, Turn("")
            return unsaid
        inputs = self._conversation.take_unanswered()
        if reply.idle:
            self._begun = True
            return self._brain.silence()
        return self._think(inputs)

    def _think(self, inputs: list[Input]) -> Turn:
        begun, self._begun = self._begun, True
        return ask(self._brain, inputs) if inputs or begun else self._brain.begin()

    def _cancel(self, reason: Literal["turn_detected", "client_cancelled"]) -> None:
        if self._reply is None:
            return
        self._reply.response.end("cancelled", reason)
        self._playing_until = self._now  # the client plays no more of it
        self._reply_over()

    def _reply_over(self) -> None:
        self._reply = None
        if not self._input.speaking:
            self._quiet_since = self._now
        if self._reply_wanted:
            self._reply_wanted = False
            self._answer()

    def _new_job(self) -> int:
        self._last_job += 1
        return self._last_job

    def _session(self) -> dict[str, Any]:
        return {"id": self._session_id, "object": "realtime.session", **self._settings.shown()}
