"""Functions that are called when something happens in a session."""

import inspect
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any, TypeVar

import structlog
import trio
from structlog.typing import FilteringBoundLogger

from gateway.voice.happenings import EVENTS, Happened

__all__ = ["Handlers"]

F = TypeVar("F", bound=Callable[..., Any])

_MOST_WAITING = 1000


class Handlers:
    """The handlers of one session, called one after the other, in the order of what happened.

    `failures`: how many raised. That is logged, and changes nothing else.
    """

    def __init__(self, log: FilteringBoundLogger | None = None) -> None:
        self.failures = 0
        self._log: FilteringBoundLogger = log if log is not None else structlog.get_logger()
        self._handlers: dict[str, list[Callable[..., Any]]] = defaultdict(list)
        self._waiting: deque[Happened] = deque()
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
        if not self._handlers[happened.event]:
            return
        if len(self._waiting) >= _MOST_WAITING:  # a handler hangs
            self.failures += 1
            self._log.error("handler.missed", event_name=happened.event, waiting=_MOST_WAITING)
            return
        self._waiting.append(happened)
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
            happened = self._waiting.popleft()
            for handler in self._handlers[happened.event]:
                await self._call(handler, happened)

    async def _call(self, handler: Callable[..., Any], happened: Happened) -> None:
        try:
            result = handler(*_positional(handler, happened), **_named(handler, happened))
            if inspect.isawaitable(result):
                await result
        except Exception:  # noqa: BLE001 - whatever it is, it is logged, and the session goes on
            self.failures += 1
            name = getattr(handler, "__qualname__", repr(handler))
            self._log.exception("handler.failed", event_name=happened.event, handler=name)


def _positional(handler: Callable[..., Any], happened: Happened) -> tuple[Any, ...]:
    """The event's value, for a handler that has a place for it."""
    for parameter in inspect.signature(handler).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            return (happened.value,)
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            return () if parameter.name in happened.details else (happened.value,)
    return ()


def _named(handler: Callable[..., Any], happened: Happened) -> dict[str, Any]:
    """Those of the event's details that a handler names, or all for one that takes whatever there is."""
    parameters = inspect.signature(handler).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return dict(happened.details)
    named = {
        parameter.name
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    return {name: value for name, value in happened.details.items() if name in named}
