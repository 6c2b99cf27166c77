"""What a response is asked for, and all that there is to know for it."""

from typing import Any, Literal, Self

import msgspec

from gateway.voice.embedded.client_events import ResponseOptions
from gateway.voice.embedded.conversation import Input
from gateway.voice.embedded.items import Item, Tool
from gateway.voice.embedded.session_settings import SessionSettings
from gateway.wire.exact_words import exact_words

__all__ = ["Asked", "Terms"]


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What one response is to be, by its own options and else by the session's settings.

    `wish`: answer; or, `idle`, break a silence; or, `carry_on`, finish what was said last. `say`: exactly this,
    and nobody is asked. `instructed`: the instructions are for this response alone.
    """

    wish: Literal["answer", "idle", "carry_on"]
    say: str | None
    voice: str
    instructions: str
    instructed: bool
    language: str | None
    tools: tuple[Tool, ...]
    tool_choice: Any
    parallel_tool_calls: bool | None
    most_tokens: int | None

    @classmethod
    def of(cls, settings: SessionSettings, options: ResponseOptions, *, idle: bool) -> Self:
        metadata = options.metadata or {}
        transcription = settings.audio.input.transcription
        most_tokens = _either(options.max_output_tokens, settings.max_output_tokens)
        choice = _either(options.tool_choice, settings.tool_choice)
        return cls(
            wish="carry_on" if "carry_on" in metadata else "idle" if idle else "answer",
            say=exact_words(metadata),
            voice=settings.voice,
            instructions=_either(options.instructions, settings.instructions),
            instructed=options.instructions is not None,
            language=transcription.language if transcription is not None else None,
            tools=_either(options.tools, settings.tools) if choice != "none" else (),
            tool_choice=choice,
            parallel_tool_calls=_either(options.parallel_tool_calls, settings.parallel_tool_calls),
            most_tokens=most_tokens if isinstance(most_tokens, int) else None,
        )


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A question to a brain or a model.

    `inputs`: what is new since the last answer. `begun`: the voice has spoken. `items`: the whole conversation,
    and of what the voice said what was heard.
    """

    terms: Terms
    inputs: list[Input]
    begun: bool
    items: list[Item]


def _either(own: Any, common: Any) -> Any:
    return own if own is not None else common
