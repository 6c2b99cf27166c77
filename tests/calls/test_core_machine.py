"""The call core: whatever its far end and its voices do, in whatever order."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from gateway import contracts as c
from gateway.calls.barge_in import BargeInSettings
from gateway.dialplan.actions import Action
from gateway.dialplan.actions.converse import Converse
from gateway.dialplan.actions.hang_up import HangUp
from gateway.dialplan.actions.say import Say
from gateway.dialplan.actions.transfer import Transfer
from tests.calls.far_voice import Tell
from tests.calls.storm import Storm, Weather

TALK, LISTEN = Converse(agent="reception"), Converse(agent="reception", interruptible=False)
STEPS: tuple[tuple[Action, ...], ...] = (
    (TALK,),
    (TALK, Say(text="Goodbye."), HangUp()),
    (LISTEN, Transfer(to="front_desk")),
    (Say(text="Hello."), TALK, LISTEN),
)
FALLBACKS: tuple[tuple[Action, ...], ...] = (
    (),
    (HangUp(),),
    (Say(text="Please call again."), HangUp()),
    (Transfer(to="front_desk"),),
)
BARGE_INS = (
    BargeInSettings(),
    BargeInSettings(min_speech_ms=200),
    BargeInSettings(min_speech_ms=100, min_words=2),
)
PCM, PCMU = c.AudioFormat(), c.AudioFormat(encoding="pcmu", rate_hz=8000)
VOICES = st.lists(
    st.builds(lambda output, input_: (output, input_), st.sampled_from([PCMU, PCMU, PCM]), st.sampled_from([PCMU, PCM])),
    min_size=1,
    max_size=2,
).map(
    lambda forms: tuple(
        c.VoiceTraits(name=f"v{number}", output=output, input=input_) for number, (output, input_) in enumerate(forms)
    )
)
WEATHERS = st.builds(
    Weather,
    voices=VOICES,
    steps=st.sampled_from(STEPS),
    fallback=st.sampled_from(FALLBACKS),
    barge_in=st.sampled_from(BARGE_INS),
    greeting=st.sampled_from([None, "Good morning. How can I help you?"]),
    idle_s=st.sampled_from([0.0, 0.5]),
    dead_air_s=st.sampled_from([10.0, 1.0]),
    renew_s=st.sampled_from([3300.0, 0.5]),
    down_ms=st.sampled_from([0, 0, 35]),
    up_ms=st.sampled_from([0, 0, 45]),
    tick_ms=st.sampled_from([0, 7]),
)
CALLS = (
    [],
    [("hours", "{}")],
    [("hours", "{}"), ("hours", "{}")],
    [("send_digits", '{"digits":"1w2"}')],
    [("send_digits", "{")],
    [("no_such_tool", "{}"), ("hours", "{}")],
    [("transfer_call", '{"destination":"nowhere"}')],
    [("transfer_call", '{"destination":"front_desk"}')],
    [("end_call", "{}")],
)
CODES = ("server_error", "rate_limit_exceeded", "insufficient_quota")
WORDS = ("", "Yes.", "We are open from nine to five.")
NUMBERS = st.integers(0, 5)


def alive(machine: "AnyHistory") -> bool:
    return machine.storm.core.ended is None


def talking(machine: "AnyHistory") -> bool:
    return alive(machine) and machine.storm.talking is not None


def late(machine: "AnyHistory") -> bool:
    return alive(machine) and machine.rules > 12


class AnyHistory(RuleBasedStateMachine):
    """What may happen to a call. `Storm` asserts what must hold."""

    @initialize(weather=WEATHERS)
    def starts(self, weather: Weather) -> None:
        self.storm = Storm(weather)
        self.storm.start()
        self.rules = 0
        self.names = 0

    def teardown(self) -> None:
        if hasattr(self, "storm") and self.storm.sound:
            self.storm.ends()

    def _new(self, kind: str) -> str:
        self.names += 1
        return f"{kind}{self.names}"

    @property
    def voice(self) -> Tell:
        assert self.storm.talking is not None
        return self.storm.talking

    # -- time and network

    @precondition(alive)
    @rule(ms=st.sampled_from([1, 13, 40, 100, 250, 600]))
    def time_passes(self, ms: int) -> None:
        self.rules += 1
        self.storm.passes(ms)

    @precondition(alive)
    @rule(ms=st.sampled_from([40, 300]))
    def the_network_stalls(self, ms: int) -> None:
        self.storm.stalls(ms)

    @precondition(alive)
    @rule(fates=st.lists(st.sampled_from(["lost", "twice", "returned"]), min_size=1, max_size=4))
    def marks_fare(self, fates: list[str]) -> None:
        self.storm.mark_fates += fates

    @precondition(alive)
    @rule(digit=st.sampled_from("1#"))
    def a_key_is_pressed(self, digit: str) -> None:
        self.storm.digit(digit)

    # -- connections

    @precondition(lambda self: alive(self) and any(not tell.opened for tell in self.storm.wires))
    @rule(configured=st.booleans())
    def a_session_opens(self, configured: bool) -> None:
        tell = next(tell for tell in self.storm.wires if not tell.opened)
        self.storm.opens(tell)
        self.storm.says(tell, {"type": "session.created", "session": {"id": f"s{tell.number}"}})
        if configured:
            self.storm.says(tell, {"type": "session.updated", "session": {"id": f"s{tell.number}"}})

    @precondition(lambda self: alive(self) and self.storm.wires)
    @rule(n=NUMBERS)
    def a_session_is_configured(self, n: int) -> None:
        opened = [tell for tell in self.storm.wires if tell.opened]
        if opened:
            tell = opened[n % len(opened)]
            self.storm.says(tell, {"type": "session.updated", "session": {"id": f"s{tell.number}"}})

    @precondition(lambda self: alive(self) and self.storm.wires)
    @rule(n=NUMBERS, busy_s=st.sampled_from([None, None, None, 0.0, 0.5, 20.0]))
    def a_session_is_lost(self, n: int, busy_s: float | None) -> None:
        tell = self.storm.wires[n % len(self.storm.wires)]
        self.storm.goes(tell, busy_s=None if tell.opened else busy_s)

    @precondition(lambda self: alive(self) and any(not tell.opened for tell in self.storm.wires))
    @rule()
    def a_session_is_refused(self) -> None:
        self.storm.goes(next(tell for tell in self.storm.wires if not tell.opened), refused=True)

    @precondition(lambda self: alive(self) and self.storm.sessions)
    @rule(n=NUMBERS)
    def an_opening_is_reported_once_more(self, n: int) -> None:
        closed = [tell.number for tell in self.storm.sessions.values() if tell.closed]
        if closed:
            self.storm.command(c.VoiceOpened(session=closed[n % len(closed)]))

    # -- what the voice says

    @precondition(talking)
    @rule()
    def a_response_begins(self) -> None:
        self.storm.says(self.voice, self.voice.created(self._new("r")))

    @precondition(talking)
    @rule(n=NUMBERS, size=st.sampled_from([1, 7, 159, 160, 161, 800, 3201, 9600]), new=st.booleans(), most=st.integers(1, 3))
    def audio_comes(self, n: int, size: int, new: bool, most: int) -> None:
        """To the running response, of its last item or of another one."""
        for _ in range(most):
            voice = self.storm.talking
            if voice is None or not voice.running:
                return
            response = voice.running[-1]
            names = [item.name for item in voice.items.values() if item.response == response]
            name = self._new("i") if new or not names else names[-1]
            self.storm.audio(voice, response, name, size * 6 if voice.traits.output == PCM and size % 2 == 0 else size)

    @precondition(talking)
    @rule(text=st.sampled_from(WORDS), done=st.booleans(), n=NUMBERS)
    def words_come(self, text: str, done: bool, n: int) -> None:
        items = list(self.voice.items.values())[-2:]
        if items:
            item = items[n % len(items)]
            words = {"response_id": item.response, "item_id": item.name}
            kind = "response.output_audio_transcript"
            event = {"type": f"{kind}.done", "transcript": text} if done else {"type": f"{kind}.delta", "delta": text}
            self.storm.says(self.voice, event | words)

    @precondition(talking)
    @rule(n=NUMBERS)
    def an_item_is_done(self, n: int) -> None:
        items = list(self.voice.items.values())[-2:]
        if items:
            item = items[n % len(items)]
            done = {"type": "response.output_audio.done", "response_id": item.response, "item_id": item.name}
            self.storm.says(self.voice, done)

    @precondition(lambda self: talking(self) and self.voice.running)
    @rule(calls=st.sampled_from(CALLS))
    def a_response_is_completed(self, calls: list[tuple[str, str]]) -> None:
        self._done("completed", calls)

    @precondition(lambda self: talking(self) and self.voice.running)
    @rule(status=st.sampled_from(["failed", "incomplete"]), code=st.sampled_from(CODES))
    def a_response_fails(self, status: str, code: str) -> None:
        self._done(status, [], code)

    def _done(self, status: str, calls: list[tuple[str, str]], code: str = "") -> None:
        output = [
            {"type": "function_call", "id": self._new("f"), "call_id": self._new("call_"), "name": name, "arguments": text}
            for name, text in calls
        ]
        voice = self.voice
        self.storm.says(voice, voice.done(voice.running[0], status, output, code))

    @precondition(talking)
    @rule(asked=st.booleans(), code=st.sampled_from(["server_error", "session_expired", "response_cancel_not_active"]))
    def an_error_comes(self, asked: bool, code: str) -> None:
        error: dict[str, Any] = {"type": "x", "code": code, "message": "no"}
        if asked:
            error["event_id"], self.voice.asked = self.voice.asked, None
        self.storm.says(self.voice, {"type": "error", "error": error})

    # -- the caller speaks, as the voice finds

    @precondition(talking)
    @rule()
    def speech_starts(self) -> None:
        self.turn = self._new("u")
        at_ms = self.storm.ms
        event = {"type": "input_audio_buffer.speech_started", "audio_start_ms": at_ms, "item_id": self.turn}
        self.storm.speech_began(self.voice, event)

    @precondition(lambda self: talking(self) and hasattr(self, "turn"))
    @rule(taken=st.booleans())
    def speech_stops(self, taken: bool) -> None:
        voice = self.voice
        end_ms = self.storm.ms
        event = {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": end_ms, "item_id": self.turn}
        self.storm.says(voice, event)
        if taken:
            self.storm.says(voice, {"type": "input_audio_buffer.committed", "item_id": self.turn})

    @precondition(lambda self: talking(self) and hasattr(self, "turn"))
    @rule(text=st.sampled_from(WORDS))
    def a_turn_is_written_down(self, text: str) -> None:
        kind = "conversation.item.input_audio_transcription.completed"
        self.storm.says(self.voice, {"type": kind, "item_id": self.turn, "transcript": text})

    # -- what was asked of the driver

    @precondition(lambda self: alive(self) and self.storm.tools)
    @rule(n=NUMBERS, failed=st.booleans(), again=st.booleans())
    def a_tool_is_done(self, n: int, failed: bool, again: bool) -> None:
        call = self.storm.tools[n % len(self.storm.tools)]
        if not again:
            self.storm.tools.remove(call)
        self.storm.command(c.ToolDone(id=call, output="nine", failed=failed))

    @precondition(lambda self: alive(self) and self.storm.clips)
    @rule(n=NUMBERS, ms=st.sampled_from([0, 30, 500]), failed=st.booleans())
    def a_clip_is_there(self, n: int, ms: int, failed: bool) -> None:
        clip = self.storm.clips.pop(n % len(self.storm.clips))
        if failed:
            self.storm.command(c.ClipFailed(id=clip, detail="mute"))
        else:
            self.storm.command(c.ClipReady(id=clip, pcm=bytes(48 * ms)))

    @precondition(lambda self: alive(self) and self.storm.transfers)
    @rule(taken=st.booleans())
    def a_transfer_is_answered(self, taken: bool) -> None:
        destination = self.storm.transfers.pop()
        if taken:
            self.storm.command(c.TransferTaken(destination=destination))
        else:
            self.storm.command(c.TransferRefused(destination=destination, detail="engaged"))

    # -- the end

    @precondition(lambda self: not alive(self))
    @rule(digit=st.sampled_from("1#"))
    def what_comes_late_means_nothing(self, digit: str) -> None:
        self.storm.digit(digit)

    @precondition(late)
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
        max_examples=80,
        stateful_step_count=40,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    run_state_machine_as_test(AnyHistory, settings=limits)
