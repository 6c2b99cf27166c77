"""How we want a session to be: the `session` of a `session.update`. OpenAI API reference, Realtime (GA)."""

from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.contracts import Agent, AudioFormat, Tool, VoiceTraits

__all__ = ["TurnDetection", "configuration", "turn_detection"]


class TurnDetection(msgspec.Struct, frozen=True, kw_only=True):
    """When the voice takes a turn as begun and as ended.

    `create_response`: the voice answers each turn by itself; otherwise whoever holds the session asks for it.
    Not `enabled`: turns begin and end when whoever holds the session says so.
    """

    enabled: bool = True
    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500
    create_response: bool = True


def configuration(
    agent: Agent, traits: VoiceTraits, turns: TurnDetection, tools: Sequence[Tool]
) -> dict[str, Any]:
    """The session never interrupts by itself: whoever holds it knows what was heard, and decides."""
    transcription = (
        {"model": traits.transcription_model, "language": agent.language}
        if traits.transcription_model is not None
        else None
    )
    output: dict[str, Any] = {"format": _format(traits.output)}
    if agent.voice is not None:
        output["voice"] = agent.voice
    return {
        "type": "realtime",
        "output_modalities": ["audio"],
        "instructions": agent.instructions,
        "tools": [_function(tool) for tool in tools],
        "tool_choice": "auto",
        "audio": {
            "input": {
                "format": _format(traits.input),
                "transcription": transcription,
                "turn_detection": turn_detection(turns),
            },
            "output": output,
        },
    }


def turn_detection(turns: TurnDetection) -> dict[str, Any] | None:
    """The `turn_detection` of a session."""
    if not turns.enabled:
        return None
    return {
        "type": "server_vad",
        "threshold": turns.threshold,
        "prefix_padding_ms": turns.prefix_padding_ms,
        "silence_duration_ms": turns.silence_duration_ms,
        "create_response": turns.create_response,
        "interrupt_response": False,
    }


def _format(audio: AudioFormat) -> dict[str, Any]:
    kind = f"audio/{audio.encoding}"
    return {"type": kind, "rate": audio.rate_hz} if audio.encoding == "pcm" else {"type": kind}


def _function(tool: Tool) -> dict[str, Any]:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
    }
