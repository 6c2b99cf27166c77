"""How calls end, and what each end means to the outside. A new reason is one line in each table."""

import enum
from collections.abc import Mapping
from typing import Literal

import msgspec

__all__ = ["ENDINGS", "EndReason", "Ending"]


class EndReason(enum.StrEnum):
    """How a call ended. The first reason given wins; there is never a second one."""

    CALLER_HUNG_UP = "caller_hung_up"
    PLAN_ENDED = "plan_ended"
    AGENT_HUNG_UP = "agent_hung_up"
    TRANSFERRED = "transferred"
    REJECTED = "rejected"
    OPERATOR = "operator"
    DRAINED = "drained"
    TOO_LONG = "too_long"
    CARRIER_LOST = "carrier_lost"
    CARRIER_SILENT = "carrier_silent"
    CARRIER_STALLED = "carrier_stalled"
    CARRIER_INVALID = "carrier_invalid"
    NEVER_STARTED = "never_started"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    REFUSED = "refused"
    VOICE_UNAVAILABLE = "voice_unavailable"
    UNAPOLOGIZED = "unapologized"
    BUG = "bug"


class Ending(msgspec.Struct, frozen=True):
    """What an `EndReason` means to the outside.

    `fault`: whose failure it was. `sip_status`: the answer or the cause towards a SIP peer (RFC 3261 §21,
    RFC 3326). `twilio`: what `/twilio/after` answers.
    """

    fault: Literal["ours", "theirs", "nobody"]
    sip_status: int
    twilio: Literal["hangup", "apologize", "dial", "resume"]


ENDINGS: Mapping[EndReason, Ending] = {
    EndReason.CALLER_HUNG_UP: Ending("nobody", 200, "hangup"),
    EndReason.PLAN_ENDED: Ending("nobody", 200, "hangup"),
    EndReason.AGENT_HUNG_UP: Ending("nobody", 200, "hangup"),
    EndReason.TRANSFERRED: Ending("nobody", 200, "dial"),
    EndReason.REJECTED: Ending("nobody", 603, "hangup"),
    EndReason.OPERATOR: Ending("nobody", 200, "hangup"),
    EndReason.DRAINED: Ending("ours", 503, "apologize"),
    EndReason.TOO_LONG: Ending("nobody", 200, "hangup"),
    EndReason.CARRIER_LOST: Ending("theirs", 500, "resume"),
    EndReason.CARRIER_SILENT: Ending("theirs", 408, "hangup"),
    EndReason.CARRIER_STALLED: Ending("theirs", 500, "resume"),
    EndReason.CARRIER_INVALID: Ending("theirs", 400, "apologize"),
    EndReason.NEVER_STARTED: Ending("theirs", 408, "hangup"),
    # Calls of ours that nobody took. Who refused gets no answer, and who did not answer is cancelled.
    EndReason.BUSY: Ending("nobody", 486, "hangup"),
    EndReason.NO_ANSWER: Ending("nobody", 480, "hangup"),
    EndReason.REFUSED: Ending("theirs", 603, "hangup"),
    EndReason.VOICE_UNAVAILABLE: Ending("ours", 503, "hangup"),  # the apology was played in the call
    EndReason.UNAPOLOGIZED: Ending("ours", 503, "apologize"),  # the same, but no apology could be played
    EndReason.BUG: Ending("ours", 500, "apologize"),
}
