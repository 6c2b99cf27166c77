"""Is an event what the beta of the Realtime protocol let a client say? The types of the `openai` package judge."""

import json
from collections.abc import Iterator
from typing import Any, get_args

from openai.types.beta import realtime


def check_beta_event(event: str) -> None:
    decoded = json.loads(event)
    members = get_args(get_args(realtime.RealtimeClientEvent)[0])
    classes = {get_args(member.model_fields["type"].annotation)[0]: member for member in members}
    model = classes[decoded["type"]].model_validate(decoded)
    assert list(_unknown(model)) == []


def _unknown(value: Any) -> Iterator[str]:
    """The names of fields that the types do not have."""
    if isinstance(value, list):
        for each in value:
            yield from _unknown(each)
    elif hasattr(value, "model_extra"):
        yield from value.model_extra or {}
        for name in value.model_fields_set:
            yield from _unknown(getattr(value, name))
