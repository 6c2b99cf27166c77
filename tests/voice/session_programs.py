"""Programs that do anything with a session, at any time, in several tasks, and give up on anything in the middle."""

import contextlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import trio
import trio.testing
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.config import Secret
from gateway.contracts import Agent, SessionLost, SessionRefused, VoiceBackend
from gateway.testing.fake_realtime import FakeRealtime
from gateway.testing.faulty_table import Drop, Expire, FailResponse, Fault, GoMute, Late, Refuse, Unreachable
from gateway.testing.faulty_voice import FaultyVoice
from gateway.voice import VoiceSession
from gateway.voice.backends.realtime import RealtimeBackend, RealtimeSettings
from gateway.voice.session import NotConnected, SessionState
from gateway.voice.states import IllegalMove, after
from tests.voice.session_tools import ASKED, forecaster
from tests.voice.session_voices import SILENCE, SPEECH, living_tasks, say, slow

_PATIENCE_S = 120.0
_MOMENT_S = 2.0
_SERVER_LINGERS_S = 6.0  # one whose client has gone while it waited for a pong
_WORDS = ("connect", "opened", "speech", "silence", "turn", "asked", "audio", "answered", "ended")
_TO_BE_EXPECTED = (NotConnected, SessionLost, SessionRefused, TimeoutError, trio.BusyResourceError)


class Step(NamedTuple):
    """One thing to do. `patience_s`: when to give up on it."""

    name: str
    argument: Any = None
    patience_s: float = 20.0


class Program(NamedTuple):
    """`tasks`: what each of several does, one step after the other, with one session. `form`: how it connects."""

    tasks: Sequence[Sequence[Step]]
    faults: Sequence[Fault]
    voice: str
    form: str
    detected: bool
    greets: bool
    handled: str
    ends_s: float | None


_SHORT_S = st.sampled_from([0.0, 0.001, 0.016, 0.05, 0.1, 0.2, 0.21, 0.5, 1.0, 3.0])
_PATIENCES = st.one_of(st.just(20.0), _SHORT_S)


def _step(name: str, argument: st.SearchStrategy[Any] | None = None) -> st.SearchStrategy[Step]:
    return st.builds(Step, st.just(name), argument if argument is not None else st.none(), _PATIENCES)


_CLIPS = st.sampled_from(["", "speech", "silence", "speech silence", "speech silence speech"])
_STEPS = st.one_of(
    _step("commit", _CLIPS),
    _step("send", _CLIPS),
    _step("say", _CLIPS),
    _step("receive"),
    _step("stream", st.sampled_from([1, 3, 1000])),
    _step("listen", st.one_of(st.none(), _SHORT_S)),
    _step("respond", _CLIPS),
    _step("answer"),
    _step("interrupt", st.sampled_from([None, 0, 100, 10_000])),
    _step("turns", st.sampled_from([None, 200, 800])),
    _step("audio", st.sampled_from([(24_000, "pcm16"), (8000, "pcm16"), (8000, "pcmu")])),
    _step("sleep", _SHORT_S),
    _step("sleep", _SHORT_S),
    _step("connect"),
)
_ENDS = st.just(Step("disconnect"))
_MOMENTS = st.sampled_from(
    [
        None,
        "session.created",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.committed",
        "input_audio_buffer.commit",
        "response.create",
        "response.created",
        "response.output_audio.delta",
        "response.done",
        "conversation.item.truncate",
    ]
)
_FAULTS: st.SearchStrategy[Fault] = st.one_of(
    st.builds(Drop, at=_MOMENTS, count=st.integers(1, 3), after_s=_SHORT_S),
    st.builds(Expire, at=_MOMENTS.filter(bool), after_s=_SHORT_S),
    st.builds(GoMute, at=_MOMENTS, after_s=_SHORT_S),
    st.builds(FailResponse, response=st.integers(1, 3), in_a_row=st.integers(1, 2)),
    st.builds(Late, by_s=_SHORT_S),
    st.builds(Refuse),
    st.builds(Unreachable, after_s=_SHORT_S),
)
PROGRAMS = st.builds(
    Program,
    tasks=st.lists(
        st.lists(st.one_of(*[_STEPS] * 9, _ENDS), min_size=3, max_size=12), min_size=1, max_size=4
    ),
    faults=st.one_of(st.just(()), st.lists(_FAULTS, max_size=2)),
    voice=st.sampled_from(["scripted", "scripted", "slow", "openai"]),
    form=st.sampled_from(["block", "nursery", "await"]),
    detected=st.booleans(),
    greets=st.booleans(),
    handled=st.sampled_from(["", "raises", "interrupts", "ends", "waits"]),
    ends_s=st.one_of(st.none(), st.none(), _SHORT_S),
)


def clip(words: str) -> bytes:
    return b"".join({"speech": SPEECH, "silence": SILENCE}[word] for word in words.split())


def talks() -> VoiceBackend:
    return forecaster(*[ASKED, "something else"] * 20)


class Run:
    """What came of one program. `wanted`: so many responses there should be, and `ended` so many were."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.changes: list[tuple[SessionState, SessionState]] = []
        self.ended = 0  # responses
        self.found = 0  # utterances that were listened to
        self.settled = False  # it was left alone for long enough, and is still there
        self.logs: list[Any] = []
        self.left: int | None = None
        if program.voice == "openai":
            self.fake = FakeRealtime(talks(), program.faults, commit_s=0.2)
            self.voice = self.fake.voice
        else:
            self.voice = FaultyVoice(slow() if program.voice == "slow" else talks(), program.faults)

    @asynccontextmanager
    async def _backend(self) -> AsyncGenerator[VoiceBackend, None]:
        if self.program.voice != "openai":
            yield self.voice
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.fake.run)
            yield RealtimeBackend(RealtimeSettings(), Secret("sk-test"), dial=self.fake.dial)
            nursery.cancel_scope.cancel()

    @property
    def wanted(self) -> int:
        commits = sum(len(record.received_of("input_audio_buffer.commit")) for record in self.voice.records)
        return commits + self.found + self.program.greets

    @property
    def bugs(self) -> list[Any]:
        """What was logged that must not happen."""
        allowed = {"handler.failed"} if self.program.handled == "raises" else set()
        return [
            entry
            for entry in self.logs
            if entry["log_level"] in {"error", "critical"} and entry["event"] not in allowed
        ]

    async def __call__(self) -> None:
        """Run it, on the virtual clock. Raises `trio.TooSlowError` where something hangs."""
        async with self._backend() as backend:
            await trio.testing.wait_all_tasks_blocked()
            before = living_tasks()
            with capture_logs() as self.logs, trio.fail_after(1000):
                await self._hold(backend)
            await trio.testing.wait_all_tasks_blocked()
            if self.program.voice == "openai":
                await trio.sleep(_SERVER_LINGERS_S)
            self.left = living_tasks() - before

    async def _hold(self, backend: VoiceBackend) -> None:
        async def forecast(city: str) -> str:
            await trio.sleep(0.3)
            return "Rain."

        agent = Agent(name="agent", tools=[forecast], greeting="Hello." if self.program.greets else None)
        session = VoiceSession(agent=agent, turn_detection=self.program.detected, backend=backend)
        session.on("state_changed")(lambda state, before: self.changes.append((before, state)))
        session.on("response_ended")(self._count)
        self._handle(session)
        with contextlib.suppress(*_TO_BE_EXPECTED):
            await self._connected(session)
        await session.disconnect()

    def _count(self) -> None:
        self.ended += 1

    def _handle(self, session: VoiceSession) -> None:
        async def handle() -> None:
            match self.program.handled:
                case "raises":
                    raise ZeroDivisionError
                case "interrupts":
                    await session.interrupt()
                case "ends":
                    await session.disconnect()
                case "waits":
                    await trio.sleep(0.5)

        if self.program.handled:
            session.on("speech_started")(handle)
            session.on("transcript_available")(handle)

    async def _connected(self, session: VoiceSession) -> None:
        with trio.move_on_after(self.program.ends_s if self.program.ends_s is not None else 1000):
            if self.program.form == "block":
                async with session.connect():
                    await self._use(session)
            elif self.program.form == "nursery":
                async with trio.open_nursery() as nursery:
                    with contextlib.suppress(*_TO_BE_EXPECTED):
                        await session.connect(nursery)
                        await self._use(session)
                    await session.disconnect()
            else:
                await session.connect()
                await self._use(session)

    async def _use(self, session: VoiceSession) -> None:
        async with trio.open_nursery() as nursery:
            for steps in self.program.tasks:
                nursery.start_soon(self._do, session, steps)
        with trio.move_on_after(_PATIENCE_S):
            await self._listen_on(session)
            while session.is_connected and self.ended < self.wanted:
                await self._listen_on(session)
        await self._listen_on(session)  # in case that there is one too many
        self.settled = session.is_connected

    async def _listen_on(self, session: VoiceSession) -> None:
        with contextlib.suppress(*_TO_BE_EXPECTED):
            while True:
                await session.listen(timeout=_MOMENT_S)
                self.found += 1

    async def _do(self, session: VoiceSession, steps: Sequence[Step]) -> None:
        for step in steps:
            with trio.move_on_after(step.patience_s), contextlib.suppress(*_TO_BE_EXPECTED):
                await self._take(session, step)

    async def _take(self, session: VoiceSession, step: Step) -> None:
        match step.name:
            case "commit":
                await session.send_audio(clip(step.argument))
            case "send":
                await session.send_audio(clip(step.argument), commit=False)
            case "say":
                await say(session, clip(step.argument))
            case "receive":
                response = await session.receive()
                assert response.status in {"completed", "cancelled", "failed", "incomplete"}
            case "stream":
                taken = 0
                async for chunk in session.stream_receive():
                    assert chunk.data
                    taken += 1
                    if taken == step.argument:
                        break
            case "listen":
                await session.listen(timeout=step.argument)
                self.found += 1
            case "respond":
                await session.respond(clip(step.argument))
            case "answer":
                utterance = await session.listen()
                self.found += 1
                await session.respond(utterance)
            case "interrupt":
                await session.interrupt(step.argument)
            case "turns":
                enabled = step.argument is not None
                session.configure_turn_detection(enabled, silence_duration=step.argument or 800)
            case "audio":
                session.configure_audio(step.argument[0], 1, step.argument[1])
            case "sleep":
                await trio.sleep(step.argument)
            case "connect":
                await session.connect()
            case "disconnect":
                await session.disconnect()


def _moves() -> set[tuple[SessionState, SessionState]]:
    found = set()
    for state in SessionState:
        for word in _WORDS:
            with contextlib.suppress(IllegalMove):
                found.add((state, after(state, word)))
    return found


LEGAL_MOVES = _moves()
