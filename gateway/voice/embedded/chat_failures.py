"""Why a server of chat completions did not answer, in the words of the Realtime protocol.

The codes are OpenAI's where it has one. A gateway's call acts upon some of them: `rate_limit_exceeded` is a voice
without room; `invalid_api_key`, `model_not_found` and `insufficient_quota` are one that no further attempt will have.
"""

from typing import Any

import msgspec

from gateway.voice.embedded.brain import Failure

__all__ = ["broken", "error_in", "failed", "refused", "too_slow", "unreadable"]

_TOO_MANY = 429
_NOT_ALLOWED = frozenset({401, 403})
# Another attempt will not change them: no key or a wrong one, no money, no such model or path.
_FOR_GOOD = {
    401: "invalid_api_key",
    403: "invalid_api_key",
    402: "insufficient_quota",
    404: "model_not_found",
}
_DETAIL_CHARS = 200
_NO_QUOTA = "insufficient_quota"


def refused(status: int, body: bytes) -> Failure:
    """What the status of an answer means that is none. `body`: its beginning, at least."""
    error = error_in(body) or {}
    # Who complains of a key may quote it.
    detail = "" if status in _NOT_ALLOWED else _detail(error)
    message = f"The server of the model answered {status}{detail}"
    if status in _FOR_GOOD:
        return Failure("invalid_request_error", _FOR_GOOD[status], message)
    if _NO_QUOTA in (error.get("code"), error.get("type")):
        return Failure("invalid_request_error", _NO_QUOTA, message)
    if status == _TOO_MANY:
        return Failure("rate_limit_error", "rate_limit_exceeded", message)
    if status < 500:
        return Failure("invalid_request_error", "invalid_request", message)
    return Failure("server_error", "server_error", message)


def broken(what: str) -> Failure:
    """The connection failed, or the answer ended before its end."""
    return Failure("server_error", "connection_lost", f"The server of the model: {what}")


def too_slow(what: str) -> Failure:
    """It took longer than anybody waits at a phone."""
    return Failure("server_error", "timeout", f"The server of the model: {what}")


def unreadable(what: str) -> Failure:
    """The answer makes no sense."""
    return Failure("server_error", "invalid_answer", f"The server of the model: {what}")


def error_in(data: bytes) -> dict[str, Any] | None:
    """The error that stands in an answer, or in a piece of it; None when there is none.

    OpenAI and most others have `{"error": {"message": …}}`; LocalAI may have a text there; older vLLM has
    `{"object": "error", "message": …}`, llama.cpp in a stream the inner object alone.
    """
    try:
        answer = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(answer, dict):
        return None
    error = answer.get("error")
    if isinstance(error, dict) and error:
        return error
    if error:
        return {"message": str(error)}
    return answer if "message" in answer and "choices" not in answer else None


def failed(error: dict[str, Any]) -> Failure:
    """What an error in the middle of an answer means."""
    code = error.get("code")
    if isinstance(code, int) and 400 <= code < 600:
        return refused(code, msgspec.json.encode({"error": error}))
    if "rate_limit_exceeded" in (code, error.get("type")):
        return Failure(
            "rate_limit_error", "rate_limit_exceeded", f"The server of the model said{_detail(error)}"
        )
    return Failure("server_error", "server_error", f"The server of the model said{_detail(error)}")


def _detail(error: dict[str, Any]) -> str:
    message = error.get("message")
    return f": {' '.join(message.split())[:_DETAIL_CHARS]}" if isinstance(message, str) and message else ""
