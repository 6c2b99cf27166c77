"""What a handler is called with."""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trio

from gateway.voice.handlers import Handlers
from gateway.voice.happenings import EVENTS, Happened

WORDS = Happened("transcript_available", "Hello.", {"who": "user", "item_id": "u1"})
SPEECH = Happened("speech_started", None, {"item_id": "u1", "at_ms": 300})


class Listener:
    """Takes down how it was called."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def hears(self, *given: Any, **named: Any) -> None:
        self.calls.append((given, named))

    def text(self, text: str) -> None:
        self.calls.append(text)

    async def later(self, text: str) -> None:
        await trio.lowlevel.checkpoint()
        self.calls.append(text)

    def __call__(self, text: str, who: str) -> None:
        self.calls.append((text, who))


async def told(handler: Callable[..., Any], *happened: Happened) -> Handlers:
    """A handler of all events is called for these."""
    handlers = Handlers()
    for event in EVENTS:
        handlers.on(event)(handler)
    for each in happened:
        handlers.post(each)
    await handlers.finish()
    assert handlers.failures == 0
    return handlers


async def test_a_handler_of_no_arguments_is_given_none():
    calls = []

    await told(lambda: calls.append("called"), WORDS, SPEECH)

    assert calls == ["called", "called"]


async def test_the_words_are_its_argument_whatever_it_calls_them():
    listener = Listener()

    await told(lambda anything: listener.text(anything), WORDS)  # noqa: PLW0108 - its own names are what counts

    assert listener.calls == ["Hello."]


async def test_who_spoke_is_told_to_a_handler_that_asks_for_it():
    calls = []

    async def handler(text: str, who: str) -> None:
        calls.append((text, who))

    await told(handler, WORDS)

    assert calls == [("Hello.", "user")]


async def test_who_spoke_is_told_by_name_alone():
    calls = []

    def handler(text: str, *, who: str) -> None:
        calls.append((text, who))

    await told(handler, WORDS)

    assert calls == [("Hello.", "user")]


async def test_who_spoke_may_come_first():
    calls = []

    def handler(who: str, text: str) -> None:
        calls.append((text, who))

    await told(handler, WORDS)

    assert calls == [("Hello.", "user")]


async def test_a_handler_may_ask_for_who_spoke_and_not_for_the_words():
    calls = []

    await told(lambda who: calls.append(who), WORDS)  # noqa: PLW0108 - its own names are what counts

    assert calls == ["user"]


async def test_a_handler_that_takes_all_is_given_all():
    listener = Listener()

    await told(listener.hears, WORDS)

    assert listener.calls == [(("Hello.",), {"who": "user", "item_id": "u1"})]


async def test_a_handler_that_takes_all_by_name_is_given_that():
    calls = []

    await told(lambda **named: calls.append(named), WORDS)

    assert calls == [{"who": "user", "item_id": "u1"}]


async def test_an_event_without_a_value_gives_none_to_a_handler_that_takes_all():
    listener = Listener()

    await told(listener.hears, SPEECH)

    assert listener.calls == [((), {"item_id": "u1", "at_ms": 300})]


async def test_a_handler_that_needs_an_argument_is_given_one_even_if_there_is_no_value():
    calls = []

    await told(lambda value: calls.append(value), SPEECH)  # noqa: PLW0108 - its own names are what counts

    assert calls == [None]


async def test_a_default_stays_where_there_is_no_value():
    calls = []

    await told(lambda volume=3: calls.append(volume), SPEECH)

    assert calls == [3]


async def test_a_default_stays_for_what_is_no_detail():
    calls = []

    await told(lambda text, who="nobody", volume=3: calls.append((text, who, volume)), WORDS)

    assert calls == [("Hello.", "user", 3)]


async def test_an_argument_without_a_name_is_the_value():
    calls = []

    def handler(who: str, /, **details: str) -> None:
        calls.append((who, details))

    await told(handler, WORDS)

    assert calls == [("Hello.", {"who": "user", "item_id": "u1"})]


async def test_bound_methods_are_handlers():
    listener = Listener()

    await told(listener.text, WORDS)
    await told(listener.later, WORDS)

    assert listener.calls == ["Hello.", "Hello."]


async def test_an_object_that_can_be_called_is_a_handler():
    listener = Listener()

    await told(listener, WORDS)

    assert listener.calls == [("Hello.", "user")]


async def test_a_class_is_a_handler():
    made: list[str] = []

    class Note:
        def __init__(self, text: str) -> None:
            made.append(text)

    await told(Note, WORDS)

    assert made == ["Hello."]


@pytest.mark.parametrize("bound", [list[Any], deque[Any]])
async def test_a_method_of_a_builtin_is_a_handler(bound: Callable[[], Any]):
    calls = bound()

    await told(calls.append, WORDS)

    assert list(calls) == ["Hello."]


async def test_a_partial_is_given_what_is_left():
    calls = []

    def handler(prefix: str, text: str, who: str) -> None:
        calls.append((prefix, text, who))

    await told(partial(handler, "said:"), WORDS)

    assert calls == [("said:", "Hello.", "user")]


async def test_what_a_partial_has_set_stays():
    calls = []

    def handler(text: str, who: str, **details: str) -> None:
        calls.append((text, who, details))

    await told(partial(handler, who="me"), WORDS)

    assert calls == [("Hello.", "me", {"item_id": "u1"})]


async def test_an_async_partial_is_awaited():
    listener = Listener()

    await told(partial(listener.later), WORDS)

    assert listener.calls == ["Hello."]
