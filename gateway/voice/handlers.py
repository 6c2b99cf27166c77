"""Functions that are called when something happens in a session."""

import inspect
from collections import defaultdict, deque
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

import structlog
import trio
from structlog.typing import FilteringBoundLogger

from gateway.voice.happenings import EVENTS, Happened

__all__ = ["Handlers"]

F = TypeVar("F", bound=Callable[..., Any])

_MOST_WAITING = 1000


class _Call(NamedTuple):
    handler: Callable[..., Any]
    happened: Happened


class Handlers:
    """The handlers of one session, called one after the other, in the order of what happened.

    `failures`: how many raised, or were not called because one before them hung. That is logged, and changes
    nothing else.
    """

    def __init__(self, log: FilteringBoundLogger | None = None) -> None:
        self.failures = 0
        self._log: FilteringBoundLogger = log if log is not None else structlog.get_logger()
        self._handlers: dict[str, list[Callable[..., Any]]] = defaultdict(list)
        self._waiting: deque[_Call] = deque()
        self._full = False
        self._came = trio.lowlevel.ParkingLot()

    def on(self, event: str) -> Callable[[F], F]:
        """Have the decorated function, plain or `async`, called at each `event`. Raises `ValueError`."""
        if event not in EVENTS:
            raise ValueError(f"no event {event!r}; there are: {', '.join(EVENTS)}")

        def add(handler: F) -> F:
            self._handlers[event].append(handler)
            return handler

        return add

    def post(self, happened: Happened) -> None:
        """Something happened; those who want to know are told in a later turn of the loop."""
        for handler in self._handlers[happened.event]:
            if len(self._waiting) >= _MOST_WAITING:
                self._miss(happened)
            else:
                self._full = False
                self._waiting.append(_Call(handler, happened))
        self._came.unpark_all()

    async def run(self) -> None:
        """Call handlers as things happen. Never returns."""
        while True:
            while not self._waiting:
                await self._came.park()
            await self.finish()

    async def finish(self) -> None:
        """Call handlers for all that has happened."""
        while self._waiting:
            await self._call(self._waiting.popleft())

    async def _call(self, call: _Call) -> None:
        handler, happened = call
        try:
            positional, named = _arguments(handler, happened)
            result = handler(*positional, **named)
            if inspect.isawaitable(result):
                await result
        except Exception:  # noqa: BLE001 - whatever it is, it is logged, and the session goes on
            self.failures += 1
            name = getattr(handler, "__qualname__", repr(handler))
            self._log.exception("handler.failed", event_name=happened.event, handler=name)

    def _miss(self, happened: Happened) -> None:
        """A handler hangs, and too many wait behind it. Logged once, until there is room again."""
        self.failures += 1
        if not self._full:
            self._full = True
            self._log.error("handler.missed", event_name=happened.event, waiting=_MOST_WAITING)


def _arguments(handler: Callable[..., Any], happened: Happened) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The event's value, for a handler that has a place for it, and those of its details that it names.

    A handler that takes whatever there is gets all of them. What a `partial` or a default has set stays, unless
    there is something to be told in that place.
    """
    try:
        parameters = list(inspect.signature(handler).parameters.values())
    except ValueError:  # written in C, without a signature
        return (happened.value,), {}
    fixed = handler.keywords if isinstance(handler, partial) else {}
    takes_all = any(each.kind is each.VAR_KEYWORD for each in parameters)
    by_name = {
        each.name for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
    }
    named = {
        name: value
        for name, value in happened.details.items()
        if name not in fixed and (takes_all or name in by_name)
    }
    place = next((each for each in parameters if _takes_value(each, happened)), None)
    if place is not None and place is parameters[0]:
        return (happened.value,), named
    if place is not None and place.kind is place.POSITIONAL_OR_KEYWORD:
        named[place.name] = happened.value
    return (), named


def _takes_value(parameter: inspect.Parameter, happened: Happened) -> bool:
    if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.name in happened.details:
        return False
    if parameter.kind is parameter.VAR_POSITIONAL:
        return happened.value is not None
    if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
        return happened.value is not None or parameter.default is parameter.empty
    return False
