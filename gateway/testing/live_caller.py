"""A call to a whole gateway in virtual time, and a caller who says recordings and understands the answers."""

import functools
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import msgspec
import trio
from trio.testing import MockClock

from gateway.audio.clip import convert, read_wav
from gateway.calls.record import CallRecord
from gateway.contracts import VoiceBackend
from gateway.dialplan.plan import Dialplan
from gateway.net.tasks import open_tasks
from gateway.testing.ears import PAUSE_S, Ear, ReadingEar, TranscribingEar
from gateway.testing.handset import CallOver
from gateway.testing.live import LiveGateway, inline, live_gateway
from gateway.testing.paths import find_path
from gateway.testing.phrases import find_phrase, spoken_words
from gateway.testing.twilio_call import CallEnding
from gateway.testing.twilio_caller import Caller
from gateway.voice.backends.embedded import EmbeddedBackend, EmbeddedSettings
from gateway.voice.backends.scripted import ScriptedBackend, ScriptedSettings, tone
from gateway.voice.embedded.models import Models, load

__all__ = ["LiveCaller", "live_call"]

_LINE_HZ = 8000
_TROUBLES = ("session.lost", "clip.failed", "voice.troubled")

# Once a process: it takes a second, and what was synthesized for one test is there for the next.
_models = functools.cache(load)


class LiveCaller:
    """The person who calls. `twilio`: all that the fake Twilio can do and saw; `live`: the gateway, its facts and log."""

    def __init__(
        self, twilio: Caller, live: LiveGateway, ear: Ear, calls: Path | None, near: Sequence[Path]
    ) -> None:
        self.twilio = twilio
        self.live = live
        self._ear = ear
        self._calls = calls
        self._near = near
        self._taken_s = -1.0  # up to when the ear was asked
        self._heard: list[str] = []  # behind the phrase that was heard last
        self._words: list[str] = []  # the same, to look for the next one in

    # -- what the caller does

    async def says(self, wav: str | Path) -> None:
        """Say a recording of any format and rate, to its end.

        Raises `CallOver` when the call ends first, `ValueError` for a file that is no WAV.
        """
        clip = read_wav(find_path(wav, self._near))
        self._forget()
        await self.twilio.says(convert(clip.pcm, clip.rate_hz, _LINE_HZ))

    async def presses(self, keys: str) -> None:
        """Press keys, 200 ms each. Raises `CallOver`, or `ValueError` for what is no key."""
        self._forget()
        await self.twilio.presses(keys)

    async def hangs_up(self) -> CallEnding:
        return await self.twilio.hangs_up()

    # -- what the caller notices

    async def hears(self, text: str, *, within_s: float = 15) -> None:
        """Listen until the agent has said something like `text` and pauses; raise `AssertionError` when it has not.

        What counts is what reached the caller's ear: the audio that Twilio played is transcribed. Numbers and
        negations must be right, other words may be spelled or heard a little differently. What was said before
        the phrase heard last, or before the caller last spoke or pressed a key, does not count any more.

        The `scripted` voice speaks in tones. There, what the agent said is compared as text, cut to what was
        played when it was interrupted.
        """
        deadline_s = self.twilio.now + within_s
        listening = True
        while (end := find_phrase(text, self._words)) is None:
            if not listening:
                raise AssertionError(self._instead(f"the caller did not hear {text!r} within {within_s:g} s"))
            listening = await self._listen(deadline_s)
            self._take(paused=listening or self.twilio.ending is not None)
        del self._words[:end]
        self._heard = [" ".join(["…", *self._words])] if self._words else []

    async def ended(self, *, within_s: float = 30) -> CallEnding:
        """Wait for the end of the call: how Twilio saw it. Raises `AssertionError` when it goes on."""
        with trio.move_on_after(within_s):
            return await self.twilio.ended()
        self._take(paused=self._has_paused())
        raise AssertionError(self._instead(f"the call did not end within {within_s:g} s"))

    # -- what is left of the call

    @property
    def folder(self) -> Path:
        """Where the call is written, complete when the block has ended. Raises `ValueError` if it is not."""
        if self._calls is None or not self.live.facts:
            raise ValueError("the call is not written: it never began, or live_call was given no folder=…")
        return self._calls / self.live.facts[0][0]

    @property
    def record(self) -> CallRecord:
        """The call's record, when the block has ended. Raises as `folder` does."""
        return msgspec.json.decode((self.folder / "call.json").read_bytes(), type=CallRecord)

    # -- listening

    async def _listen(self, deadline_s: float) -> bool:
        """Wait until the agent pauses after it spoke. False when the time is up or the call over."""
        try:
            await self.twilio.until(lambda: self._has_paused() or self.twilio.now >= deadline_s)
        except CallOver:
            return False
        return self.twilio.now < deadline_s

    def _has_paused(self) -> bool:
        streams = self.twilio.streams
        last_s = max((s.last_audible_s for s in streams if s.last_audible_s is not None), default=-1.0)
        quiet = self.twilio.now - last_s >= PAUSE_S and not any(s.queued_ms for s in streams)
        return last_s > self._taken_s and quiet

    def _take(self, *, paused: bool) -> None:
        texts = self._ear.take(paused=paused)
        self._taken_s = self.twilio.now
        self._heard += texts
        for utterance in texts:  # each by itself: a number does not go on after a pause
            self._words += spoken_words(utterance)

    def _forget(self) -> None:
        self._ear.skip()
        self._taken_s = self.twilio.now
        self._heard.clear()
        self._words.clear()

    def _instead(self, flaw: str) -> str:
        """For people: what went wrong, and what the caller heard instead."""
        lines = [f"  heard   {text!r}" for text in self._heard] or ["  heard   nothing"]
        for _, fact in self.live.facts:
            if fact.name in _TROUBLES:
                lines.append(f"  {fact.name}  {fact.fields.get('detail') or fact.fields.get('message')}")
        if self.twilio.ending is not None:
            lines.append(f"  the call is over: {self.twilio.ending.by.name.lower()}")
        return "\n".join([flaw, *lines])


@asynccontextmanager
async def live_call(
    dialplan: str | Path | Dialplan,
    *,
    backend: Literal["embedded", "scripted"] | VoiceBackend = "embedded",
    scripts: str | Path | None = None,
    hears: Sequence[str] = (),
    folder: Path | None = None,
    from_: str = "+15550100001",
    to: str = "+15550100002",
    near: Sequence[Path] = (),
) -> AsyncIterator[LiveCaller]:
    """Call a gateway that follows `dialplan`; the end of the block hangs up, and asserts that nothing is left.

    `scripts`: a folder of dialogues beside the shipped ones. `hears`: what the `scripted` voice takes the
    caller's turns for. `folder`: where calls are written; None: nowhere. `near`: where relative paths begin.

    Raises `SessionRefused`, which names the command that installs the embedded voice, when it is missing;
    `PlanError`; `RuntimeError` in real time.
    """
    _require_virtual_time()
    plan = dialplan if isinstance(dialplan, Dialplan) else find_path(dialplan, near)
    said: list[str] = []
    settings = EmbeddedSettings(scripts=str(find_path(scripts, near)) if scripts is not None else None)
    voice, models = _voice(backend, settings, hears)

    async def say(text: str, _voice: str | None) -> bytes:
        """For the steps of the plan."""
        said.append(text)
        return await inline(models.synthesize if models is not None else tone, text)

    async with (
        open_tasks(),  # a single error leaves the block as it is
        live_gateway(plan, voice, folder=folder, synthesize=say) as live,
        live.twilio.call(from_=from_, to=to) as caller,
    ):
        ear: Ear = ReadingEar(live.facts, said)
        if models is not None:
            ear = TranscribingEar(caller, models.transcribe)
        yield LiveCaller(caller, live, ear, folder, near)


def _voice(
    backend: str | VoiceBackend, settings: EmbeddedSettings, hears: Sequence[str]
) -> tuple[VoiceBackend, Models | None]:
    """Who answers; and the models, with which the caller understands it unless it speaks in tones."""
    match backend:
        case "scripted":
            heard = ScriptedSettings(hears=tuple(hears))
            return ScriptedBackend(heard, inline, scripts=settings.read_scripts()), None
        case "embedded":
            models = _models()
            return EmbeddedBackend(settings, inline, load=lambda: models), models
        case str():
            raise ValueError(f"backend={backend!r}: 'embedded', 'scripted' or a VoiceBackend would be right")
        case _:
            return backend, _models()


def _require_virtual_time() -> None:
    """The models run inline: in real time they would hold up the call whose time is measured."""
    clock = trio.lowlevel.current_clock()
    if not isinstance(clock, MockClock) or clock.autojump_threshold == math.inf:
        raise RuntimeError(
            "live_call needs virtual time: name the fixture autojump_clock among the test's own parameters, "
            "as in async def test_it(autojump_clock, live_call)"
        )
