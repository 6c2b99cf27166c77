"""What can be set of the voice: the section `voice`."""

from typing import Annotated

import msgspec

from gateway.voice.backends.echo import EchoSettings
from gateway.voice.backends.embedded import EmbeddedSettings
from gateway.voice.backends.realtime import RealtimeSettings
from gateway.voice.backends.scripted import ScriptedSettings

__all__ = ["VoiceSettings"]


class VoiceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`backend`: a key of `gateway.voice.backends.BACKENDS`; each has a section of its own below.

    `alternatives`: those that are tried, in order, when it has no room or cannot be had. `dead_air_s`: how long
    a voice may owe an answer until it is taken for lost. `idle_s`: after so much silence of both the agent asks
    whether somebody is there; 0: never. `renew_s`: a session that is so old is replaced.
    """

    backend: str = "embedded"
    alternatives: tuple[str, ...] = ()
    dead_air_s: Annotated[float, msgspec.Meta(ge=1)] = 10.0
    idle_s: Annotated[float, msgspec.Meta(ge=0)] = 6.0
    renew_s: Annotated[float, msgspec.Meta(ge=60)] = 3300.0  # OpenAI ends a Realtime session after an hour
    embedded: EmbeddedSettings = EmbeddedSettings()
    scripted: ScriptedSettings = ScriptedSettings()
    echo: EchoSettings = EchoSettings()
    realtime: RealtimeSettings = RealtimeSettings()
