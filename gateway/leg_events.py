"""What the carrier's half of a call tells its core, one class each."""

from typing import Any

import msgspec

from gateway.endings import EndReason
from gateway.media.heard import Heard

__all__ = [
    "CallerAudio",
    "DigitPressed",
    "LegDelayed",
    "LegEnded",
    "LegEvent",
    "LegFact",
    "LegHeld",
    "LegPreviewed",
    "LegStarted",
    "LegTrouble",
]


class LegStarted(msgspec.Struct, frozen=True, kw_only=True):
    """Media flows. `codec`: a key of `gateway.audio.g711.CODECS`."""

    codec: str
    carrier_call_id: str


class LegPreviewed(msgspec.Struct, frozen=True, kw_only=True):
    """Media comes before the call is answered: what `CallerAudio` follows until `LegStarted` is for the recording alone."""

    codec: str


class CallerAudio(msgspec.Struct, frozen=True):
    """G.711 from the caller, gapless: `at_ms` on the media clock continues where the last one ended."""

    payload: bytes
    at_ms: int


class DigitPressed(msgspec.Struct, frozen=True):
    digit: str


class LegDelayed(msgspec.Struct, frozen=True):
    """What was played waits for longer than it should: `queued_ms` of it are yet to be sent, from now on."""

    queued_ms: float


class LegHeld(msgspec.Struct, frozen=True):
    """The far end put us on hold, or (`held` false) took us back: meanwhile nothing that we send is heard.

    Not before `LegStarted`.
    """

    held: bool


class LegFact(msgspec.Struct, frozen=True):
    """Something for log, record and report, from which nothing follows for the call. `name`: `noun.past_participle`."""

    name: str
    fields: dict[str, Any] = msgspec.field(default_factory=dict)


class LegTrouble(msgspec.Struct, frozen=True):
    """Something odd from the carrier that the call survives. `what`: one word group for counting."""

    what: str
    detail: str = ""


class LegEnded(msgspec.Struct, frozen=True):
    reason: EndReason
    detail: str = ""


LegEvent = (
    LegStarted
    | LegPreviewed
    | CallerAudio
    | DigitPressed
    | Heard
    | LegDelayed
    | LegHeld
    | LegFact
    | LegTrouble
    | LegEnded
)
