"""Why a client's event is not obeyed, in the words of the protocol. OpenAI API reference, Realtime, `error`."""

import re

import msgspec

__all__ = ["InvalidRequest", "refusal_of"]

_NAMES = {
    "str": "a string",
    "bytes": "a string",
    "int": "an integer",
    "float": "a decimal number",
    "bool": "a boolean",
    "object": "an object",
    "array": "an array",
    "null": "null",
}
_KINDS = {"str": "string", "array": "array", "object": "object", "int": "integer", "float": "decimal"}
_WHERE = re.compile(r" - at (?:`key` in )?`\$(?P<path>.*)`$")
_UNKNOWN = re.compile(r"unknown field `(?P<name>.*)`")
_MISSING = re.compile(r"missing required field `(?P<name>.*)`")
_TYPE = re.compile(r"Expected `(?P<wanted>[^`]*)`(?:, got `(?P<got>[^`]*)`)?$")
_LENGTH = re.compile(r"Expected `(?P<kind>\w+)` of length (?:(?P<sign><=|>=) )?(?P<bound>\d+)")
_RANGE = re.compile(r"Expected `(?P<kind>int|float)` (?P<sign><=|>=) (?P<bound>\S+)")
_PATTERN = re.compile(r"Expected `str` matching regex (?P<pattern>.*)$")
_VALUE = re.compile(r"Invalid (?:enum )?value (?P<value>.*)$")


class InvalidRequest(Exception):
    """What the client asked for cannot be done; the session goes on. Becomes an `error` event."""

    def __init__(self, code: str, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param

    def body(self, event_id: str | None) -> dict[str, str | None]:
        """The `error` of an error event. `event_id`: the client's, of the event that was wrong."""
        return {
            "type": "invalid_request_error",
            "code": self.code,
            "message": str(self),
            "param": self.param,
            "event_id": event_id,
        }


def refusal_of(error: msgspec.ValidationError, prefix: str = "") -> InvalidRequest:
    """A validation error as OpenAI would tell it. `prefix`: where the validated part stands."""
    text = str(error)
    where = _WHERE.search(text)
    complaint = text[: where.start()] if where else text
    path = (prefix + (where["path"] if where else "")).strip(".")
    if found := _UNKNOWN.search(complaint):
        path = f"{path}.{found['name']}".strip(".")
        return InvalidRequest("unknown_parameter", f"Unknown parameter: '{path}'.", param=path)
    if found := _MISSING.search(complaint):
        path = f"{path}.{found['name']}".strip(".")
        return InvalidRequest(
            "missing_required_parameter", f"Missing required parameter: '{path}'.", param=path
        )
    code, message = _of_value(complaint, path or "event")
    return InvalidRequest(code, message, param=path or None)


def _of_value(complaint: str, path: str) -> tuple[str, str]:
    """The code and the words for a value that may not stand where it does."""
    if found := _LENGTH.match(complaint):
        return _of_length(found, path)
    if found := _RANGE.match(complaint):
        kind = _KINDS[found["kind"]]
        code, side = (
            ("above_max", "above maximum") if found["sign"] == "<=" else ("below_min", "below minimum")
        )
        wants = f"Expected a value {found['sign']} {found['bound']}."
        return f"{kind}_{code}_value", f"Invalid '{path}': {kind} {side} value. {wants}"
    if found := _PATTERN.match(complaint):
        return "invalid_value", f"Invalid '{path}': string does not match pattern {found['pattern']}."
    if found := _TYPE.match(complaint):
        wanted = [_NAMES.get(name, name) for name in found["wanted"].split(" | ")]
        expected = wanted[0] if len(wanted) == 1 else f"one of {', '.join(wanted[:-1])} or {wanted[-1]}"
        got = _NAMES.get(found["got"] or "", "another type")
        return "invalid_type", f"Invalid type for '{path}': expected {expected}, but got {got} instead."
    if "base64" in complaint:
        wants = "Expected base64-encoded audio bytes, but got an invalid value."
        return "invalid_value", f"Invalid '{path}'. {wants}"
    if found := _VALUE.match(complaint):
        return "invalid_value", f"Invalid value: {found['value']} for '{path}'."
    return "invalid_value", f"Invalid '{path}': {complaint}."


def _of_length(found: re.Match[str], path: str) -> tuple[str, str]:
    kind, bound = _KINDS[found["kind"]], found["bound"]
    if found["sign"] is None:
        return "invalid_value", f"Invalid '{path}': expected an {kind} with {bound} element."
    above = found["sign"] == "<="
    code = f"{kind}_{'above_max' if above else 'below_min'}_length"
    article = "an" if kind != "string" else "a"
    extent, side = ("long", "maximum") if above else ("short", "minimum")
    return (
        code,
        f"Invalid '{path}': {kind} too {extent}. Expected {article} {kind} with {side} length {bound}.",
    )
