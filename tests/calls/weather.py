"""What a random history of a call cannot change: its plan, its voices, its settings, its network."""

import random
from typing import NamedTuple

from hypothesis import strategies as st

from gateway import contracts as c
from gateway.calls.barge_in import BargeInSettings
from gateway.calls.core import CallCore
from gateway.calls.settings import CallSettings
from gateway.carriers.twilio.leg_core import TwilioLegCore
from gateway.dialplan.actions import Action
from gateway.dialplan.actions.converse import Converse
from gateway.dialplan.actions.hang_up import HangUp
from gateway.dialplan.actions.say import Say
from gateway.dialplan.actions.transfer import Transfer
from gateway.dialplan.steps import StepMachine
from tests.calls.ladder import CALL_SID


class Weather(NamedTuple):
    """What a history cannot change. `down_ms`, `up_ms`: how long a message takes to the far end, and back."""

    voices: tuple[c.VoiceTraits, ...] = (
        c.VoiceTraits(name="v0", output=c.AudioFormat(encoding="pcmu", rate_hz=8000)),
    )
    steps: tuple[Action, ...] = (Converse(agent="reception"),)
    fallback: tuple[Action, ...] = ()
    barge_in: BargeInSettings = BargeInSettings()
    greeting: str | None = None
    idle_s: float = 0.0
    dead_air_s: float = 10.0
    renew_s: float = 3300.0
    down_ms: int = 0
    up_ms: int = 0
    tick_ms: int = 0

    @property
    def interruptible(self) -> bool:
        return all(step.interruptible for step in self.steps if isinstance(step, Converse))

    def core(self) -> CallCore:
        agent = c.Agent(name="reception", greeting=self.greeting, tools=(c.Tool(name="hours"),))
        return CallCore(
            TwilioLegCore(CALL_SID),
            lambda call: StepMachine(self.steps, call, self.fallback),
            {"reception": agent},
            frozenset({"front_desk"}),
            CallSettings(
                voices=self.voices,
                idle_s=self.idle_s,
                dead_air_s=self.dead_air_s,
                renew_s=self.renew_s,
                barge_in=self.barge_in,
            ),
            rng=random.Random(0),
        )


TALK, LISTEN = Converse(agent="reception"), Converse(agent="reception", interruptible=False)
STEPS: tuple[tuple[Action, ...], ...] = (
    (TALK,),
    (TALK, Say(text="Goodbye."), HangUp()),
    (TALK, Transfer(to="front_desk")),
    (Say(text="Hello."), TALK, TALK),
    (LISTEN, LISTEN),
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
VOICES = (
    (c.VoiceTraits(name="v0", input=PCMU, output=PCMU),),
    (c.VoiceTraits(name="v0", input=PCM, output=PCMU), c.VoiceTraits(name="v1", input=PCMU, output=PCMU)),
    (c.VoiceTraits(name="v0", input=PCMU, output=PCM), c.VoiceTraits(name="v1", input=PCM, output=PCMU)),
)
WEATHERS = st.builds(
    Weather,
    voices=st.sampled_from(VOICES),
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
