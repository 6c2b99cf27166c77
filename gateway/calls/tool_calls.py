"""What the agent may call: tools of its own, and what every call offers. A core."""

from collections.abc import Collection
from typing import Annotated, TypeVar

import msgspec

from gateway.audio.tones import dtmf
from gateway.contracts import RunTool, Tool
from gateway.voice.session_events import ToolCalled

__all__ = ["EndCall", "Refusal", "Tones", "ToolCalls", "Transfer", "built_in_tools", "meant"]

A = TypeVar("A")

_MOST_DIGITS = 40  # seven seconds of tones: no menu and no card has more, and a million would be gigabytes


class EndCall(msgspec.Struct, frozen=True):
    """The agent ends the conversation, once what it said is heard."""


class Transfer(msgspec.Struct, frozen=True):
    """The agent hands the caller on. `call`: the tool call that asked for it."""

    destination: str
    call: str


class Tones(msgspec.Struct, frozen=True):
    """Keys of the telephone are to sound. `pcm`: PCM16 at 24 000 Hz."""

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
                return Tones(dtmf(_read(_Digits, call).digits))
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


class ToolCalls:
    """The tools that run. Their answers reach the model in the order in which it called them."""

    def __init__(self) -> None:
        # By call, in order: the answer that waits for one before it.
        self._running: dict[str, str | None] = {}
        self._told = False  # answers, after which the agent has not been asked to go on

    @property
    def running(self) -> bool:
        return bool(self._running)

    def began(self, call: str) -> None:
        self._running[call] = None

    def done(self, call: str, output: str) -> list[tuple[str, str]]:
        """The calls and answers that can be told now. None for a call that nobody waits for."""
        if call not in self._running:
            return []
        self._running[call] = output
        ready: list[tuple[str, str]] = []
        for each, answer in list(self._running.items()):
            if answer is None:
                break
            ready.append((each, answer))
            del self._running[each]
        self._told = self._told or bool(ready)
        return ready

    @property
    def due(self) -> bool:
        """All are answered, and the agent has to be asked to go on: once, not after each."""
        return self._told and not self._running

    def asked(self) -> None:
        """The agent is asked, or will be for another reason."""
        self._told = False
