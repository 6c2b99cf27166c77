"""What a call core is set to."""

import msgspec

from gateway.calls.barge_in import BargeInSettings
from gateway.contracts import VoiceTraits

__all__ = ["CallSettings"]


class CallSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Part of every trace's header.

    `voices`: those that may be asked for, in order. `idle_s`: of silence, until the agent asks whether somebody is
    there; 0: it never does. `dead_air_s`: that the voice may owe an answer, until it is taken for lost. `renew_s`:
    how old a session of the voice may become.
    """

    voices: tuple[VoiceTraits, ...]
    longest_s: float = 4 * 3600
    idle_s: float = 6.0
    dead_air_s: float = 10.0
    renew_s: float = 3300.0
    barge_in: BargeInSettings = BargeInSettings()
