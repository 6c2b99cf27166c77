"""What the agent may call: tools of its own, and what every call offers. A core."""

from collections.abc import Collection
from typing import TypeVar

import msgspec

from gateway.contracts import Tool

A = TypeVar("A")

__all__ = ["Destination", "Digits", "ToolCalls", "WrongArguments", "built_in_tools", "read"]


class Destination(msgspec.Struct, frozen=True):
    """Arguments of `transfer_call`."""

    destination: str


class Digits(msgspec.Struct, frozen=True):
    """Arguments of `send_digits`."""

    digits: str


def built_in_tools(destinations: Collection[str]) -> list[Tool]:
    """What every agent may do in a call; transfer it only where the plan names destinations."""
    tools = [
        Tool(name="end_call", description="End the call, after you have said goodbye."),
        Tool(
            name="send_digits",
            description="Press keys of the telephone, as 0 to 9, * and #; w waits half a second.",
            parameters=_object(digits={"type": "string", "pattern": "^[0-9*#A-Dw]{1,40}$"}),
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


def _object(**properties: dict[str, object]) -> dict[str, object]:
    return {"type": "object", "properties": properties, "required": list(properties)}


class WrongArguments(Exception):
    """What the model wrote is not what the tool takes; the text is for the model."""


def read(kind: type[A], name: str, arguments: str) -> A:
    """The arguments of a built-in tool. Raises `WrongArguments`."""
    try:
        return msgspec.json.decode(arguments or "{}", type=kind)
    except msgspec.DecodeError as error:
        raise WrongArguments(f"wrong arguments for {name}: {error}") from None


class ToolCalls:
    """The tools that run. Their answers reach the model in the order in which it called them."""

    def __init__(self) -> None:
        self._running: dict[str, str | None] = {}  # by call, in order: the answer that waits for one before it

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
        return ready
