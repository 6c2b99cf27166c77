"""The call core: whatever its far end and its voices do, in whatever order."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway import contracts as c
from tests.calls.far_voice import FarVoice
from tests.calls.storm import Storm
from tests.calls.weather import PCM, WEATHERS, Weather

Calls = tuple[tuple[str, str], ...]
CALLS: tuple[Calls, ...] = (
    (),
    (),
    (),
    (("hours", "{}"),),
    (("hours", "{}"), ("hours", "{}")),
    (("send_digits", '{"digits":"1w2"}'),),
    (("send_digits", "{"),),
    (("no_such_tool", "{}"), ("hours", "{}")),
    (("transfer_call", '{"destination":"nowhere"}'),),
    (("transfer_call", '{"destination":"front_desk"}'),),
    (("end_call", "{}"),),
)
SIZES = st.lists(st.sampled_from([1, 7, 159, 160, 161, 800, 3201, 9600]), max_size=4)  # bytes of G.711
WORDS = ("", "Yes.", "We are open from nine to five.")
NUMBERS = st.integers(0, 5)


def alive(history: "AnyHistory") -> bool:
    return history.storm.core.ended is None


def talking(history: "AnyHistory") -> bool:
    return alive(history) and history.storm.talking is not None


def responding(history: "AnyHistory") -> bool:
    return talking(history) and bool(history.voice.running)


def wired(history: "AnyHistory") -> bool:
    return alive(history) and bool(history.storm.wires)


class AnyHistory(RuleBasedStateMachine):
    """What may happen to a call. `Storm` asserts what must hold."""

    @initialize(weather=WEATHERS, ready=st.sampled_from([True, True, False]))
    def starts(self, weather: Weather, *, ready: bool) -> None:
        self.storm = Storm(weather)
        self.storm.start()
        self.names = 0
        self.turn = "u0"
        self.spoke_at_ms = self.pressed_at_ms = 0
        if ready:
            for clip in self.storm.clips:
                self.storm.command(c.ClipReady(id=clip, pcm=b""))
            self.storm.passes(20)
            self.sessions_open(configured=True)
            self._answers([8000], ())

    def teardown(self) -> None:
        if hasattr(self, "storm") and self.storm.sound:
            self.storm.calms()
            self.storm.ends()

    @property
    def voice(self) -> FarVoice:
        assert self.storm.talking is not None
        return self.storm.talking

    def _new(self, kind: str) -> str:
        self.names += 1
        return f"{kind}{self.names}"

    # -- time and network

    @rule(ms=st.sampled_from([13, 40, 100, 250, 600, 1500]), connects=st.booleans())
    def time_passes(self, ms: int, connects: bool) -> None:
        self.storm.passes(ms)
        if connects and wired(self) and not all(session.opened for session in self.storm.wires):
            self.sessions_open(configured=True)
            self.storm.passes(20)

    @precondition(alive)
    @rule(
        fates=st.lists(st.sampled_from([0, 1, 2]), max_size=3),
        stalls_ms=st.sampled_from([0, 40, 300]),
    )
    def the_network_is_bad(self, fates: list[int], stalls_ms: int) -> None:
        self.storm.mark_fates += fates
        self.storm.stalls(stalls_ms)

    # -- connections

    @precondition(wired)
    @rule(configured=st.booleans())
    def sessions_open(self, configured: bool) -> None:
        """All that are asked for; or, when there are none, one is configured once more."""
        for session in self.storm.wires:
            if not session.opened:
                self.storm.opens(session)
                self.storm.says(session, {"type": "session.created", "session": {"id": f"s{session.number}"}})
            if configured:
                self.storm.says(session, {"type": "session.updated", "session": {"id": f"s{session.number}"}})

    @precondition(wired)
    @rule(
        n=NUMBERS,
        how=st.sampled_from(["lost", "lost", "busy", "busy for long", "refused", "expired", "late"]),
    )
    def a_session_goes(self, n: int, how: str) -> None:
        session = self.storm.wires[n % len(self.storm.wires)]
        gone = [each.number for each in self.storm.sessions.values() if each.closed]
        match how:
            case "expired" if session.opened:
                error = {"type": "x", "code": "session_expired", "message": "60 minutes"}
                self.storm.says(session, {"type": "error", "error": error})
            case "late" if gone:
                self.storm.command(c.VoiceOpened(session=gone[n % len(gone)]))
                self.storm.command(c.VoiceEnded(session=gone[n % len(gone)], refused=False))
            case "refused" if not session.opened:
                self.storm.goes(session, refused=True)
            case "busy" if not session.opened:
                self.storm.goes(session, busy_s=0.0)
            case "busy for long" if not session.opened:
                self.storm.goes(session, busy_s=20.0)
            case _:
                self.storm.goes(session)

    # -- what the voice says

    @precondition(talking)
    @rule(sizes=SIZES, calls=st.sampled_from(CALLS))
    def the_agent_answers(self, sizes: list[int], calls: Calls) -> None:
        """A response, whole."""
        self._answers(sizes, calls)

    @precondition(talking)
    @rule(sizes=SIZES, text=st.sampled_from(WORDS))
    def a_response_begins(self, sizes: list[int], text: str) -> None:
        self._begins(sizes)
        if talking(self):
            self._writes(text, done=False)

    @precondition(talking)
    @rule(sizes=SIZES, calls=st.sampled_from(CALLS), ms=st.sampled_from([40, 600]))
    def a_turn_is_taken(self, sizes: list[int], calls: Calls, ms: int) -> None:
        """The caller says something, and is answered."""
        self.the_caller_speaks(ms)
        if talking(self):
            self.the_caller_is_silent(taken=True, spoke_ms=400)
        if talking(self):
            self.the_caller_is_written_down(WORDS[-1])
            self._answers(sizes, calls)
            self.storm.passes(ms)

    def _begins(self, sizes: list[int]) -> None:
        if talking(self) and not self.voice.running:
            self.storm.says(self.voice, self.voice.created(self._new("r")))
        self._speaks(sizes, self._new("i"))

    def _answers(self, sizes: list[int], calls: Calls) -> None:
        self._begins(sizes)
        if talking(self):
            self._writes(WORDS[-1], done=True)
        if responding(self):
            self._item_done()
        if responding(self):
            self.a_response_ends("completed", calls, "")

    @precondition(responding)
    @rule(sizes=SIZES, new=st.booleans())
    def the_agent_goes_on(self, sizes: list[int], new: bool) -> None:
        items = [item for item in self.voice.items.values() if item.response == self.voice.running[-1]]
        goes_on = bool(items) and not items[-1].done and not new
        self._speaks(sizes, items[-1].name if goes_on else self._new("i"))

    def _speaks(self, sizes: list[int], name: str) -> None:
        for size in sizes:
            if not responding(self):
                return
            voice = self.voice
            whole = voice.traits.output == PCM and size > 1  # one byte of PCM is no audio
            self.storm.audio(voice, voice.running[-1], name, size * 6 if whole else size)

    @precondition(lambda self: talking(self) and self.voice.items)
    @rule(text=st.sampled_from(WORDS), done=st.booleans())
    def words_come(self, text: str, done: bool) -> None:
        self._writes(text, done=done)

    def _writes(self, text: str, *, done: bool) -> None:
        if self.voice.items:
            item = list(self.voice.items.values())[-1]
            kind = "response.output_audio_transcript"
            event = (
                {"type": f"{kind}.done", "transcript": text}
                if done
                else {"type": f"{kind}.delta", "delta": text}
            )
            self.storm.says(self.voice, event | {"response_id": item.response, "item_id": item.name})

    @precondition(lambda self: talking(self) and self.voice.items)
    @rule()
    def an_item_is_done(self) -> None:
        self._item_done()

    def _item_done(self) -> None:
        if self.voice.items:
            item = list(self.voice.items.values())[-1]
            item.done = True
            done = {"type": "response.output_audio.done", "response_id": item.response, "item_id": item.name}
            self.storm.says(self.voice, done)

    @precondition(responding)
    @rule(
        status=st.sampled_from(["completed", "completed", "completed", "failed", "incomplete"]),
        calls=st.sampled_from(CALLS),
        code=st.sampled_from(["server_error", "server_error", "rate_limit_exceeded", "insufficient_quota"]),
    )
    def a_response_ends(self, status: str, calls: Calls, code: str) -> None:
        output = [
            {"type": "function_call", "id": self._new("f"), "call_id": self._new("call_")}
            | {"name": name, "arguments": text}
            for name, text in calls
        ]
        voice = self.voice
        self.storm.says(voice, voice.done(voice.running[0], status, output, code))

    @precondition(talking)
    @rule(
        what=st.sampled_from(["created again", "created", "done", "done again", "audio", "junk", "news"]),
        size=st.sampled_from([1, 160, 3201]),
    )
    def the_voice_is_confused(self, what: str, size: int) -> None:
        """It says what should not come, or not now."""
        voice = self.voice
        match what:
            case "created again" if voice.running:
                self.storm.says(voice, {"type": "response.created", "response": {"id": voice.running[-1]}})
            case "created":
                self.storm.says(voice, voice.created(self._new("r")))
            case "done":
                self.storm.says(voice, voice.done(self._new("r"), "completed", [], ""))
            case "done again" if voice.over:
                self.storm.says(voice, voice.done(voice.over[-1], "completed", [], ""))
            case "audio":
                response = voice.over[-1] if voice.over else self._new("r")
                self.storm.audio(voice, response, self._new("i"), size * 6)
            case "junk":
                self.storm.says(voice, {"type": "response.output_audio.delta", "delta": size})
            case _:
                self.storm.says(voice, {"type": "response.grew_legs"})

    @precondition(talking)
    @rule(asked=st.booleans())
    def the_voice_complains(self, asked: bool) -> None:
        """Of the response that it was asked for, or of something."""
        error: dict[str, Any] = {"type": "x", "code": "response_cancel_not_active", "message": "no"}
        if asked:
            error["event_id"], self.voice.asked = self.voice.asked, None
        self.storm.says(self.voice, {"type": "error", "error": error})

    # -- the caller

    @precondition(talking)
    @rule(ms=st.sampled_from([0, 0, 60, 300]))
    def the_caller_speaks(self, ms: int) -> None:
        self.turn = self._new("u")
        self.spoke_at_ms = self.storm.ms
        event = {"type": "input_audio_buffer.speech_started", "item_id": self.turn}
        self.storm.speech_began(self.voice, event | {"audio_start_ms": self.storm.ms})
        self.storm.passes(ms)

    @precondition(talking)
    @rule(taken=st.booleans(), spoke_ms=st.sampled_from([0, 150, 400]))
    def the_caller_is_silent(self, taken: bool, spoke_ms: int) -> None:
        event = {"type": "input_audio_buffer.speech_stopped", "item_id": self.turn}
        self.storm.says(self.voice, event | {"audio_end_ms": self.spoke_at_ms + 800 + spoke_ms})
        if taken and talking(self):
            self.storm.says(self.voice, {"type": "input_audio_buffer.committed", "item_id": self.turn})

    @precondition(talking)
    @rule(before_ms=st.sampled_from([20, 130, 250]), ms=st.sampled_from([0, 60]), taken=st.booleans())
    def the_caller_coughs(self, before_ms: int, ms: int, taken: bool) -> None:
        """While the agent speaks."""
        self._begins([9600])
        self.storm.passes(before_ms)
        if talking(self):
            self.the_caller_speaks(ms)
        if talking(self):
            self.the_caller_is_silent(taken=taken, spoke_ms=0)

    @precondition(talking)
    @rule(text=st.sampled_from(WORDS))
    def the_caller_is_written_down(self, text: str) -> None:
        kind = "conversation.item.input_audio_transcription.completed"
        self.storm.says(self.voice, {"type": kind, "item_id": self.turn, "transcript": text})

    @precondition(lambda self: self.storm.ms >= self.pressed_at_ms + 100)
    @rule(digit=st.sampled_from("1#"))
    def a_key_is_pressed(self, digit: str) -> None:
        self.pressed_at_ms = self.storm.ms
        self.storm.digit(digit)

    # -- what was asked of the driver

    @precondition(lambda self: alive(self) and self.storm.tools)
    @rule(n=NUMBERS, failed=st.booleans(), again=st.booleans())
    def a_tool_is_done(self, n: int, failed: bool, again: bool) -> None:
        call = self.storm.tools[n % len(self.storm.tools)]
        if not again:
            self.storm.tools.remove(call)
        self.storm.command(c.ToolDone(id=call, output="nine", failed=failed))

    @precondition(lambda self: alive(self) and self.storm.clips)
    @rule(n=NUMBERS, ms=st.sampled_from([0, 30, 500]), failed=st.sampled_from([False, False, True]))
    def a_clip_comes(self, n: int, ms: int, failed: bool) -> None:
        clip = self.storm.clips.pop(n % len(self.storm.clips))
        done = c.ClipFailed(id=clip, detail="mute") if failed else c.ClipReady(id=clip, pcm=bytes(48 * ms))
        self.storm.command(done)

    @precondition(lambda self: alive(self) and self.storm.transfers)
    @rule(taken=st.booleans())
    def a_transfer_is_answered(self, taken: bool) -> None:
        destination = self.storm.transfers.pop()
        if taken:
            self.storm.command(c.TransferTaken(destination=destination))
        else:
            self.storm.command(c.TransferRefused(destination=destination, detail="engaged"))

    # -- the end

    @precondition(lambda self: alive(self) and self.storm.ms > 4000)
    @rule(how=st.sampled_from(["stop", "closed", "operator"]))
    def the_call_ends(self, how: str) -> None:
        if how == "stop":
            self.storm.stop()
        elif how == "closed":
            self.storm.command(c.CarrierClosed())
        else:
            self.storm.command(c.HangUp(reason=c.EndReason.OPERATOR))


def test_no_history_breaks_a_call():
    limits = settings(
        max_examples=200,
        stateful_step_count=50,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    run_state_machine_as_test(AnyHistory, settings=limits)
