"""The calls of tests/traces/ that come by SIP: what their callers do, and over which network."""

from typing import NamedTuple

from gateway.settings import BargeIn, Settings
from gateway.testing.fake_sip_leg import FakeSipLeg
from gateway.voice.settings import VoiceSettings
from ops.recorded_call import COUGH, SPEECH, WORD, RecordedCall, greeted
from ops.recorded_voices import DIAL, HOURS, LOOK_UP, WHERE, phone

__all__ = ["SIP_CALLS", "RecordedSipCall"]


class RecordedSipCall(NamedTuple):
    """`loss` and the like: as `FakeSipLeg` has them, each way."""

    call: RecordedCall[FakeSipLeg]
    loss: float = 0.0
    jitter_s: float = 0.0
    duplicates: float = 0.0


async def lossy(caller: FakeSipLeg) -> None:
    """Asks, interrupts the answer to ask again, and hangs up, on a bad line."""
    await greeted(caller)
    for listens_s in (0.7, 0.5):
        await caller.says(SPEECH)
        await caller.speaking()
        await caller.silence(listens_s)
    await caller.hangs_up()


async def pressed(caller: FakeSipLeg) -> None:
    """Presses a key that comes as an event and by INFO, one that comes by INFO, and "0", who is the operator."""
    await caller.silence(0.6)
    await caller.presses("2")
    await caller.informs("2")
    await caller.silence(0.6)
    await caller.informs("5")
    await caller.silence(0.6)
    await caller.presses("0")
    await caller.ended()


async def held(caller: FakeSipLeg) -> None:
    """Puts the agent on hold in the middle of an answer, comes back to hear the rest, and asks again."""
    await greeted(caller)
    await caller.says(WORD)
    await caller.speaking()
    await caller.silence(0.7)
    await caller.holds()
    await caller.silence(1.2)
    await caller.resumes()
    await caller.speaking()
    await caller.quiet(0.5)
    await caller.hangs_up()


async def doubted(caller: FakeSipLeg) -> None:
    """Makes a short sound, through which the agent goes on where it was; then speaks, and is heard."""
    await greeted(caller)
    await caller.says(WORD)
    await caller.speaking()
    await caller.silence(0.7)
    await caller.says(COUGH)
    await caller.silence(1.4)
    await caller.says(SPEECH)
    await caller.speaking()
    await caller.silence(0.4)
    await caller.hangs_up()


async def dialled(caller: FakeSipLeg) -> None:
    """The agent dials while it speaks, and dials what it has looked up, by events; then it ends the call."""
    await greeted(caller)
    await caller.says(WORD)
    await caller.speaking()
    await caller.quiet(1.2)
    await caller.says(WORD)
    await caller.speaking()
    await caller.quiet(0.3)
    await caller.says(WORD)
    await caller.ended()


async def vanished(caller: FakeSipLeg) -> None:
    """Nothing comes any more, not even a BYE."""
    await greeted(caller)
    caller.phone.muted = True
    await caller.ended()


_UNSURE = Settings(barge_in=BargeIn(min_speech_ms=300))
_NEVER_IDLE = Settings(
    voice=VoiceSettings(idle_s=0)
)  # so that nothing but the silence of its media ends the call

SIP_CALLS: dict[str, RecordedSipCall] = {
    "sip_lossy": RecordedSipCall(
        RecordedCall(lossy, lambda: (phone((WHERE, WHERE)),), ("agent.interrupted", "turn.answered")),
        loss=0.05,
        jitter_s=0.09,
        duplicates=0.02,
    ),
    "sip_pressed": RecordedSipCall(
        RecordedCall(pressed, lambda: (phone(),), ("digit.pressed", "agent.interrupted", "transfer.told")),
        loss=0.02,
    ),
    "sip_held": RecordedSipCall(
        RecordedCall(held, lambda: (phone((HOURS,)),), ("call.held", "call.resumed")), jitter_s=0.02
    ),
    "sip_doubted": RecordedSipCall(
        RecordedCall(
            doubted, lambda: (phone((HOURS, WHERE)),), ("caller.ignored", "agent.interrupted"), _UNSURE
        ),
        jitter_s=0.02,
    ),
    "sip_dialled": RecordedSipCall(
        RecordedCall(
            dialled,
            lambda: (phone((DIAL, LOOK_UP, "goodbye")),),
            ("tool.called", "tool.answered", "media.quality"),
        )
    ),
    "sip_vanished": RecordedSipCall(
        RecordedCall(vanished, lambda: (phone(),), ("media.quality",), _NEVER_IDLE),
        jitter_s=0.02,
    ),
}
