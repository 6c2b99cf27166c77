"""What an agent may ask of its call: to end it, to hand it on, keys to press, its own tools. A core."""

from collections.abc import Collection
from typing import Annotated, TypeVar

import msgspec

from gateway.audio.tones import dtmf
from gateway.contracts import RunTool, Tool
from gateway.voice.session_events import ToolCalled

__all__ = ["EndCall", "Refusal", "Tones", "Transfer", "built_in_tools", "meant"]

A = TypeVar("A")

_MOST_DIGITS = 40  # seven seconds of tones: no menu and no card has more, and a million would be gigabytes


class EndCall(msgspec.Struct, frozen=True):
    """The agent ends the conversation, once what it said is heard."""


class Transfer(msgspec.Struct, frozen=True):
    """The agent hands the caller on. `call`: the tool call that asked for it."""

    destination: str
    call: str


class Tones(msgspec.Struct, frozen=True):
    """Keys of the telephone are to sound. `pcm`: PCM16 at 24 000 Hz. `digits`: a `w` waits half a second."""

    digits: str
    pcm: bytes


class Refusal(msgspec.Struct, frozen=True):
    """It cannot be done; the text is for the model."""

    text: str


class _Destination(msgspec.Struct, frozen=True):
    destination: str


class _Digits(msgspec.Struct, frozen=True):
    digits: Annotated[str, msgspec.Meta(max_length=_MOST_DIGITS)]


def built_in_tools(destinations: Collection[str]) -> list[Tool]:
    """What every agent may do in a call; transfer it only where the plan names destinations."""
    tools = [
        Tool(name="end_call", description="End the call, after you have said goodbye."),
        Tool(
            name="send_digits",
            description="Press keys of the telephone: 0 to 9, * and #. A w waits half a second.",
            parameters=_object(digits={"type": "string", "pattern": f"^[0-9*#A-Dw]{{1,{_MOST_DIGITS}}}$"}),
        ),
    ]
    if destinations:
        tools.append(
            Tool(
                name="transfer_call",
                description="Connect the caller with somebody else, after you have said so.",
                parameters=_object(destination={"type": "string", "enum": sorted(destinations)}),
            )
        )
    return tools


def meant(
    call: ToolCalled, own_tools: Collection[str], destinations: Collection[str]
) -> EndCall | Transfer | Tones | RunTool | Refusal:
    """What a tool call asks for. `own_tools`: the agent's, by name. `destinations`: the plan's."""
    try:
        match call.name:
            case "end_call":
                return EndCall()
            case "transfer_call":
                destination = _read(_Destination, call).destination
                if destination in destinations:
                    return Transfer(destination, call.call)
                known = ", ".join(sorted(destinations))
                return Refusal(f"There is no destination {destination!r}, only: {known}.")
            case "send_digits":
                digits = _read(_Digits, call).digits
                return Tones(digits, dtmf(digits))
            case name if name in own_tools:
                return RunTool(id=call.call, name=name, arguments=call.arguments)
            case name:
                return Refusal(f"There is no tool {name!r}.")
    except (ValueError, RecursionError) as error:  # the latter: brackets nested a hundred thousand deep
        return Refusal(f"wrong arguments for {call.name}: {error}")


def _read(kind: type[A], call: ToolCalled) -> A:
    return msgspec.json.decode(call.arguments or "{}", type=kind)


def _object(**properties: dict[str, object]) -> dict[str, object]:
    return {"type": "object", "properties": properties, "required": list(properties)}
