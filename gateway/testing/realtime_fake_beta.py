"""The Realtime protocol as it was spelled before its general availability, and as some servers still spell it.

Only the spelling differs, so a server that speaks the newer one is translated. OpenAI, "Beta to GA migration".
"""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from gateway.testing.faulty_record import decode

__all__ = ["UnknownParameter", "from_beta", "to_beta"]

Json = dict[str, Any]

_EVENTS = {
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "conversation.item.added": "conversation.item.created",
}
_CONTENT = {"output_audio": "audio", "output_text": "text"}
_FORMATS = {"audio/pcm": "pcm16", "audio/pcmu": "g711_ulaw", "audio/pcma": "g711_alaw"}

# A setting of a session that was flat, and where it stands now.
_SETTINGS = {
    "modalities": ("output_modalities",),
    "max_response_output_tokens": ("max_output_tokens",),
    "input_audio_format": ("audio", "input", "format"),
    "input_audio_noise_reduction": ("audio", "input", "noise_reduction"),
    "input_audio_transcription": ("audio", "input", "transcription"),
    "turn_detection": ("audio", "input", "turn_detection"),
    "output_audio_format": ("audio", "output", "format"),
    "speed": ("audio", "output", "speed"),
    "voice": ("audio", "output", "voice"),
}
_SAME = {"id", "object", "model", "expires_at", "instructions", "tools", "tool_choice", "tracing", "include"}
_SAME_OF_RESPONSE = {"instructions", "tools", "tool_choice", "conversation", "metadata", "input"}
_GONE = {"temperature"}


class UnknownParameter(Exception):
    """A beta server does not know this; the text is the parameter's path."""


def from_beta(text: str) -> str:
    """What a client says, in the newer spelling. Raises `UnknownParameter`, for instance for that spelling."""
    event = decode(text)
    match event.get("type"):
        case None:
            return text
        case "session.update":
            event["session"] = {"type": "realtime"} | _nested(event["session"], "session", _SAME)
        case "response.create" if event.get("response"):
            event["response"] = _nested(event["response"], "response", _SAME_OF_RESPONSE)
        case "conversation.item.create" if event["item"].get("role") == "assistant":
            _rename_parts(event["item"], {beta: now for now, beta in _CONTENT.items()})
    return msgspec.json.encode(event).decode()


def to_beta(text: str) -> list[str]:
    """What a server says, in the older spelling: an event, or none."""
    event = msgspec.json.decode(text)
    kind = event["type"]
    if kind == "conversation.item.done":
        return []  # an item was said to be there once, when it was
    event["type"] = _EVENTS.get(kind, kind)
    if "session" in event:
        event["session"] = _flat(event["session"])
    if "response" in event:
        event["response"] = _flat_response(event["response"])
    if "item" in event:
        _rename_parts(event["item"], _CONTENT)
    return [msgspec.json.encode(event).decode()]


def _nested(flat: Mapping[str, Any], whose: str, same: Collection[str]) -> Json:
    nested: Json = {}
    for name, value in flat.items():
        if name in _GONE:
            continue
        if name not in _SETTINGS and name not in same:
            raise UnknownParameter(f"{whose}.{name}")
        *parents, last = _SETTINGS.get(name, (name,))
        into = nested
        for parent in parents:
            into = into.setdefault(parent, {})
        into[last] = _setting_now(name, value)
    return nested


def _setting_now(name: str, value: Any) -> Any:
    if name == "modalities":
        return ["audio"] if "audio" in value else ["text"]
    if name.endswith("_audio_format"):
        formats = {beta: now for now, beta in _FORMATS.items()}
        return {"type": formats[value]} | ({"rate": 24000} if value == "pcm16" else {})
    return value


def _flat(session: Mapping[str, Any]) -> Json:
    flat = {name: value for name, value in session.items() if name in _SAME}
    for name, path in _SETTINGS.items():
        value: Any = session
        for step in path:
            value = value.get(step) if isinstance(value, Mapping) else None
        if value is not None:
            flat[name] = _setting_then(name, value)
    return flat


def _setting_then(name: str, value: Any) -> Any:
    if name == "modalities":
        return ["audio", "text"] if value == ["audio"] else value
    return _FORMATS[value["type"]] if name.endswith("_audio_format") else value


def _flat_response(response: Json) -> Json:
    output = response.pop("audio", {}).get("output", {})
    response.pop("output_modalities", None)
    for item in response.get("output", []):
        _rename_parts(item, _CONTENT)
    return response | {
        "modalities": ["audio", "text"],
        "voice": output.get("voice"),
        "output_audio_format": _FORMATS[output.get("format", {}).get("type", "audio/pcm")],
    }


def _rename_parts(item: Json, names: Mapping[str, str]) -> None:
    for part in item.get("content", []):
        part["type"] = names.get(part["type"], part["type"])
