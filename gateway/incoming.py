"""A call that may begin: who calls whom by which carrier, and whether it can."""

from collections.abc import Mapping
from typing import Literal

import msgspec

__all__ = ["Admission", "Admit", "NewCall", "NotPlaced", "Refuse"]


class NewCall(msgspec.Struct, frozen=True, kw_only=True):
    """`carrier_call`: the carrier's name for it. `caller`, `called`: a number in E.164, a SIP URI, or what there is.

    `headers`: what the carrier says besides, by name; only what the settings let through. `direction`: as we see it.
    """

    carrier: str
    carrier_call: str
    caller: str
    called: str
    headers: Mapping[str, str] = {}
    direction: Literal["inbound", "outbound"] = "inbound"


class Admit(msgspec.Struct, frozen=True):
    """Take the call."""


class Refuse(msgspec.Struct, frozen=True):
    """Do not take it, and let the caller hear `reason`.

    `why`: for us; "draining" and "too_many_calls" are no fault of the caller's, another gateway may take the call.
    """

    reason: Literal["busy", "rejected"]
    why: Literal["draining", "too_many_calls", "no_route", "plan"] = "plan"


Admission = Admit | Refuse


class NotPlaced(Exception):
    """A call of ours that could not even begin: nobody rang. The text says why, without any number."""
