"""The voices of the calls in tests/traces/: short dialogues in tones, one that is slow, one on a telephone line."""

import base64
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import msgspec
import trio

from gateway.audio.tones import sine
from gateway.config import Secret
from gateway.contracts import Agent, VoiceBackend, VoiceConnection, VoiceTraits
from gateway.testing.fake_realtime import FakeRealtime
from gateway.testing.faulty_table import Fault
from gateway.testing.live import inline
from gateway.voice.backends import BACKENDS
from gateway.voice.backends.realtime import RealtimeBackend, RealtimeSettings
from gateway.voice.backends.scripted import ScriptedBackend, ScriptedSettings
from gateway.voice.embedded.script import Action, Intent, Script, State

__all__ = ["DIAL", "HOURS", "LOOK_UP", "WHERE", "PhoneVoice", "SlowVoice", "phone", "tones", "voice"]

# What callers ask for.
HOURS = "what are your opening hours"
WHERE = "where are you"
LOOK_UP = "call the shop"
DIAL = "dial for me"

# As brief as a conversation can be: a trace holds every 20 ms of it.
_SCRIPT = Script(
    start="hall",
    states={
        "hall": State(
            prompt="Good day. Yes?",
            again="What else?",
            expect=("hours", "where", "look_up", "dial"),
            dtmf={"2": "where"},
        ),
        "look_up": State(action=Action(call="look_up", arguments={"name": "shop"}), goto="dial"),
        "announce": State(
            action=Action(
                call="send_digits", arguments={"digits": "3w4"}, say="I dial them.", done="It rings."
            ),
            goto="hall",
        ),
        "dial": State(
            action=Action(call="send_digits", arguments={"digits": "12#"}, done="I have called them."),
            goto="hall",
        ),
    },
    intents={
        "hours": Intent(phrases=(HOURS,), answer="We are open from nine to five. On Sundays we are closed."),
        "where": Intent(phrases=(WHERE,), answer="Behind the old fish market."),
        "look_up": Intent(phrases=(LOOK_UP,), goto="look_up"),
        "dial": Intent(phrases=(DIAL,), goto="announce"),
    },
    operator=Action(call="transfer_call", arguments={"destination": "front_desk"}, say="One moment, please."),
    goodbye=Action(call="end_call", say="Goodbye!"),
)


def voice(name: str) -> VoiceBackend:
    kind = BACKENDS[name]
    return kind.make(kind.settings(), inline)


def tones(*hears: str) -> VoiceBackend:
    """The brief dialogue in tones. `hears`: what the caller's turns are taken for."""
    return ScriptedBackend(ScriptedSettings(hears=hears), inline, scripts={"reception": _SCRIPT})


def phone(hears: Iterable[str] = (), *faults: Fault) -> "PhoneVoice":
    """The same over the Realtime protocol and in G.711, as a voice that fails in `faults`."""
    return PhoneVoice(tones(*hears), faults)


class PhoneVoice:
    """The realtime voice as a telephone has it, and the server that it talks with over streams in memory."""

    def __init__(self, behind: VoiceBackend, faults: Iterable[Fault]) -> None:
        self._server = FakeRealtime(behind, faults, api_key="sk-of-a-fake-server")
        settings = RealtimeSettings(audio="pcmu")
        key = Secret("sk-of-a-fake-server")
        self._client = RealtimeBackend(settings, key, dial=self._server.dial)
        self.traits = self._client.traits

    def connect(self, agent: Agent) -> AbstractAsyncContextManager[VoiceConnection]:
        return self._client.connect(agent)

    async def run(self) -> None:
        await self._server.run()


class SlowVoice:
    """A `VoiceBackend` that makes its responses no faster than they are heard, as a busy model does."""

    traits = VoiceTraits(name="slow")

    @asynccontextmanager
    async def connect(self, _agent: Agent) -> AsyncIterator["_SlowConnection"]:
        async with trio.open_nursery() as nursery:
            yield _SlowConnection(nursery)
            nursery.cancel_scope.cancel()

    async def run(self) -> None:
        await trio.sleep_forever()


class _SlowConnection:
    """Thinks for 0.3 s, then answers with three seconds of a tone; and hears speech after 2.5 s of audio."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._say, self._said = trio.open_memory_channel[str](1000)
        self._scope = trio.CancelScope()
        self._responses = 0
        self._appends = 0

    async def send(self, event: str) -> None:
        await trio.lowlevel.checkpoint()
        match msgspec.json.decode(event)["type"]:
            case "session.update":
                self._tell(type="session.updated", session={"id": "sess_slow"})
            case "response.create":
                self._responses += 1
                self._nursery.start_soon(self._respond, f"resp_{self._responses}")
            case "response.cancel":
                self._scope.cancel()
            case "input_audio_buffer.append":
                self._appends += 1
                if self._appends == 125:
                    self._tell(type="input_audio_buffer.speech_started", audio_start_ms=2400, item_id="heard")

    async def receive(self) -> str:
        return await self._said.receive()

    async def _respond(self, response: str) -> None:
        about = {"response_id": response, "item_id": f"item_of_{response}"}
        await trio.sleep(0.3)
        self._tell(type="response.created", response={"id": response, "status": "in_progress"})
        with trio.CancelScope() as self._scope:
            tone = sine(520, 3000, rate_hz=24_000)
            for at in range(0, len(tone), 4800):
                audio = base64.b64encode(tone[at : at + 4800]).decode()
                self._tell(type="response.output_audio.delta", delta=audio, **about)
                await trio.sleep(0.1)
        self._tell(type="response.output_audio.done", **about)
        status = "cancelled" if self._scope.cancelled_caught else "completed"
        # A cancelled response takes a moment to end, and nothing may be asked for before it has.
        await trio.sleep(0.15)
        self._tell(type="response.done", response={"id": response, "status": status})

    def _tell(self, **event: object) -> None:
        self._say.send_nowait(msgspec.json.encode({"event_id": "event"} | event).decode())
