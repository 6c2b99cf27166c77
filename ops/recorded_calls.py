"""What the callers of tests/traces/ do, with whom they talk, and what each call is there to show."""

from pathlib import Path
from typing import Any

from gateway.audio.clip import convert, read_wav
from gateway.audio.pauses import utterances
from gateway.audio.tones import encode_frame
from gateway.dialplan.actions.say import Say
from gateway.dialplan.actions.transfer import Transfer
from gateway.settings import BargeIn, Settings
from gateway.testing.faulty_table import Busy, Drop, Late, Refuse, Unreachable
from gateway.testing.twilio_caller import Caller
from gateway.voice.settings import VoiceSettings
from ops.recorded_call import COUGH, SPEECH, WORD, RecordedCall, greeted
from ops.recorded_sip_calls import SIP_CALLS
from ops.recorded_voices import HOURS, LOOK_UP, WHERE, SlowVoice, phone, tones, voice

__all__ = ["CALLS", "TWILIO_CALLS"]

_CALLER = Path(__file__).parent.parent / "gateway" / "testing" / "caller.wav"


# -- everyday calls


async def echo(caller: Caller) -> None:
    """Coded frames come back; in the middle the carrier loses a second of audio."""
    await caller.says(b"".join(encode_frame(3, k) for k in range(40)))
    caller.streams[0].discard_caller_frame(caller.now)
    await caller.says(b"".join(encode_frame(3, k) for k in range(40, 60)))
    await caller.silence(0.3)
    await caller.hangs_up()


async def keys(caller: Caller) -> None:
    """Interrupts the greeting by a key, asks for the operator by another, and is connected."""
    await caller.silence(0.5)
    await caller.presses("2")
    await caller.silence(0.7)
    await caller.presses("0")
    await caller.ended()


async def goodbye(caller: Caller) -> None:
    """Says goodbye, and the agent ends the call when its own goodbye was heard."""
    await greeted(caller)
    await caller.says(WORD)
    await caller.ended()


async def spoken(caller: Caller) -> None:
    """The recorded caller talks with the embedded voice, in words."""
    clip = read_wav(_CALLER)
    first, *_ = utterances(convert(clip.pcm, clip.rate_hz, 8000), 8000)
    await caller.silence(0.4)
    await caller.says(first)
    await caller.speaking()
    await caller.silence(0.2)
    await caller.hangs_up()


async def tools(caller: Caller) -> None:
    """The agent looks something up, which takes a while, and dials at once; then it ends the call."""
    await greeted(caller)
    await caller.says(WORD)
    await caller.speaking()
    await caller.quiet(0.3)
    await caller.says(WORD)
    await caller.ended()


# -- interruptions


async def interrupted(caller: Caller) -> None:
    """Asks, interrupts the answer to ask again, and hangs up on the second one."""
    await greeted(caller)
    for listens_s in (0.7, 0.4):
        await caller.says(WORD)
        await caller.speaking()
        await caller.silence(listens_s)
    await caller.hangs_up()


async def slow(caller: Caller) -> None:
    """Keys cut responses that are still being made or only asked for; then a word does."""
    await caller.silence(0.6)
    await caller.presses("45")
    await caller.silence(1.9)
    await caller.presses("6")
    await caller.silence(0.5)
    await caller.hangs_up()


async def cough(caller: Caller) -> None:
    """Coughs and says "uh huh" into an answer, which goes on each time and is heard whole."""
    await greeted(caller)
    await caller.says(WORD)
    await caller.speaking()
    await caller.silence(0.7)
    await caller.says(COUGH)
    await caller.silence(1.5)
    await caller.says(WORD)
    await caller.silence(2.8)
    await caller.hangs_up()


async def lasting(caller: Caller) -> None:
    """Speaks on while the agent does, until it is sure that this is an interruption; it is answered."""
    await greeted(caller)
    await caller.says(WORD)
    await caller.speaking()
    await caller.silence(0.7)
    await caller.says(SPEECH)
    await caller.quiet(0.3)
    await caller.speaking()
    await caller.silence(0.4)
    await caller.hangs_up()


# -- voices that fail


async def asks_once(caller: Caller) -> None:
    """Asks something and waits for the whole answer."""
    await greeted(caller)
    await caller.says(WORD)
    await caller.speaking()
    await caller.quiet(0.8)
    await caller.hangs_up()


async def waits(caller: Caller) -> None:
    """Listens to a sound that says that somebody will come, and then to whoever greets at last."""
    await caller.silence(1.9)
    await caller.hangs_up()


async def stays(caller: Caller) -> None:
    """Says nothing until the call is over."""
    await caller.ended()


async def interrupts_what_was_lost(caller: Caller) -> None:
    """Asks something, and interrupts the answer, which one session began and another one carries on."""
    await greeted(caller)
    await caller.says(WORD)
    await caller.speaking()
    await caller.silence(0.6)
    await caller.says(WORD)
    await caller.speaking()
    await caller.silence(0.4)
    await caller.hangs_up()


async def renewed(caller: Caller) -> None:
    """Interrupts an answer; speaks when the session is old enough to be renewed, which waits for a silence."""
    await greeted(caller)
    await caller.says(WORD)
    await caller.speaking()
    await caller.silence(0.8)
    await caller.says(SPEECH)
    await caller.speaking()
    await caller.quiet(0.3)
    await caller.says(WORD)
    await caller.speaking()
    await caller.silence(0.4)
    await caller.hangs_up()


_UNSURE = Settings(barge_in=BargeIn(min_speech_ms=200, min_words=3))
_LASTING = Settings(barge_in=BargeIn(min_speech_ms=300))
_RENEWING = Settings(voice=VoiceSettings(renew_s=3.7))  # nobody may set so little, but a trace is to be short
_ELSEWHERE = (Transfer(to="front_desk"),)
_SORRY = (Say(text="Nobody can talk now."), *_ELSEWHERE)

_DELTA = "response.output_audio.delta"
_TURN = "input_audio_buffer.committed"
_WRITTEN_DOWN = "conversation.item.input_audio_transcription.completed"

TWILIO_CALLS: dict[str, RecordedCall[Caller]] = {
    "echo": RecordedCall(echo, lambda: (voice("echo"),)),
    "keys": RecordedCall(keys, lambda: (phone(),), ("agent.interrupted", "transfer.requested")),
    "goodbye": RecordedCall(goodbye, lambda: (phone(("goodbye",)),)),
    "spoken": RecordedCall(
        spoken, lambda: (voice("embedded"),), ("turn.answered",), greeting="Harbour Kitchen, good evening."
    ),
    "tools": RecordedCall(tools, lambda: (phone((LOOK_UP, "goodbye")),), ("tool.called", "tool.answered")),
    "interrupted": RecordedCall(interrupted, lambda: (tones(WHERE, WHERE),), ("agent.interrupted",)),
    "slow": RecordedCall(slow, lambda: (SlowVoice(),), ("agent.interrupted",)),
    "cough": RecordedCall(cough, lambda: (phone((HOURS, "", "uh huh")),), ("caller.ignored",), _UNSURE),
    "lasting": RecordedCall(lasting, lambda: (phone((HOURS, WHERE)),), ("agent.interrupted",), _LASTING),
    "dropped": RecordedCall(
        asks_once, lambda: (phone((WHERE,), Drop(at=_DELTA, count=11)),), ("session.lost",)
    ),
    "corrected": RecordedCall(
        interrupts_what_was_lost,
        lambda: (phone((WHERE, WHERE), Drop(at=_DELTA, count=11)),),
        ("session.lost", "agent.interrupted"),
    ),
    "owed": RecordedCall(
        asks_once, lambda: (phone((WHERE,), Drop(at=_WRITTEN_DOWN)),), ("session.lost", "turn.answered")
    ),
    "away": RecordedCall(
        asks_once,
        lambda: (phone((WHERE,), Drop(at=_TURN), Unreachable(connection=2), Late(connection=3, by_s=1.3)),),
        ("session.lost", "filler.played", "turn.answered"),
    ),
    "crowded": RecordedCall(
        waits,
        lambda: (phone((), Busy(retry_after_s=1), Busy(connection=2, retry_after_s=20)), tones()),
        ("session.lost", "filler.played", "session.ready"),
    ),
    "refused": RecordedCall(
        stays,
        lambda: (phone((), Refuse()),),
        ("session.lost", "transfer.requested"),
        fallback=_SORRY,
    ),
    "gone": RecordedCall(
        stays,
        lambda: (phone((), Unreachable(times=None)),),
        ("session.lost", "transfer.requested"),
        fallback=_ELSEWHERE,
    ),
    "renewed": RecordedCall(renewed, lambda: (phone((HOURS, WHERE)),), ("session.renewed",), _RENEWING),
}

CALLS: dict[str, RecordedCall[Any]] = TWILIO_CALLS | {name: each.call for name, each in SIP_CALLS.items()}
