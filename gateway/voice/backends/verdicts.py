"""What becomes of a session whose server would not have us, or went away: lost, busy or refused."""

from typing import Any

import msgspec

from gateway.config import Secret
from gateway.contracts import SessionBusy, SessionLost, SessionRefused
from gateway.net.websocket import ABNORMAL, NOT_TRUSTED, WebSocketClosed, WebSocketRefused
from gateway.wire import realtime

__all__ = ["Verdicts"]

# What another attempt will not change. OpenAI lets anybody in, then says one of these in an `error` event
# and closes with 3000, 4000 or 4004 and `invalid_request_error.CODE` as the reason.
_REFUSALS = frozenset(
    {
        "account_deactivated",
        "beta_api_shape_disabled",
        "billing_hard_limit_reached",
        "billing_not_active",
        "credit_balance_exhausted",
        "insufficient_quota",
        "invalid_api_key",
        "invalid_model",
        "missing_model",
        "model_not_found",
        "unsupported_country_region_territory",
    }
)
# Codes that no server sends. RFC 6455 §7.4.1.
_WITHOUT_CLOSE = {ABNORMAL: "was lost", NOT_TRUSTED: "is not trusted"}
_BUSY = frozenset({"rate_limit_exceeded"})

# Below 500 the request is at fault, but for these. RFC 9110 §15.5.9, RFC 8470 §5.2.
_ASK_AGAIN = frozenset({408, 425})
_TOO_MANY = 429

_LONGEST_WAIT_S = 24 * 3600
_DETAIL_CHARS = 200
_HEAD_CHARS = 512  # an event that is an error says so at its beginning, whatever the order of its few fields
# Anything shorter is a word that a server without keys was given, and may well say itself.
_KEY_CHARS = 12


class Verdicts:
    """Judges for one server. What comes out never holds the key, whatever the server put into its words."""

    def __init__(self, host: str, key: Secret | None) -> None:
        self._host = host
        self._key = key if key is not None and len(key.reveal()) >= _KEY_CHARS else None

    def clean(self, text: str) -> str:
        """A text of the server without our key."""
        return text if self._key is None else text.replace(self._key.reveal(), "[key]")

    def on_handshake(self, refused: WebSocketRefused) -> SessionLost | SessionRefused:
        error = _error_in(refused.body)
        detail = self._detail(f"answered {refused.status}", error.get("message") or error.get("code"))
        if refused.status == _TOO_MANY and _REFUSALS.isdisjoint(_words(error)):
            return SessionBusy(detail, _retry_after_s(dict(refused.headers)))
        if refused.status >= 500 or refused.status in _ASK_AGAIN:
            return SessionLost(detail)
        return SessionRefused(detail)

    def on_close(self, closed: WebSocketClosed) -> SessionLost | SessionRefused:
        what = _WITHOUT_CLOSE.get(closed.code) or f"closed with {closed.code}"
        detail = self._detail(what, closed.reason)
        words = closed.reason.split(".")
        if closed.code == NOT_TRUSTED or not _REFUSALS.isdisjoint(words):
            return SessionRefused(detail)
        return SessionLost(detail) if _BUSY.isdisjoint(words) else SessionBusy(detail)

    def on_event(self, text: str) -> SessionRefused | None:
        """Whether this event ends the session for good. One that answers an event of ours never does."""
        if text.find('"error"', 0, _HEAD_CHARS) < 0:  # asked of every event, so not by decoding it
            return None
        event = realtime.decode(text)
        if not isinstance(event, realtime.Failed) or event.error.event_id:
            return None
        if _REFUSALS.isdisjoint((event.error.code, event.error.type)):
            return None
        return SessionRefused(
            self._detail(f"said {event.error.code or event.error.type}", event.error.message)
        )

    def _detail(self, what: str, why: object) -> str:
        text = f"{self._host} {what}"
        if isinstance(why, str) and why:
            text += f": {self._without_end_of_key(self.clean(why))}"
        return " ".join(text.split())[:_DETAIL_CHARS]

    def _without_end_of_key(self, text: str) -> str:
        """A close reason has room for 123 bytes (RFC 6455 §5.5), so a key in it may be cut short."""
        key = "" if self._key is None else self._key.reveal()
        for length in range(len(key) - 1, _KEY_CHARS - 1, -1):
            if text.endswith(key[:length]):
                return text[:-length] + "[key]"
        return text


def _error_in(body: bytes) -> dict[str, Any]:
    """`{"error": {"code": …, "message": …}}`, as OpenAI, Azure and their likes answer; empty for other pages."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    error = answer.get("error") if isinstance(answer, dict) else None
    return error if isinstance(error, dict) else {}


def _words(error: dict[str, Any]) -> list[str]:
    return [word for word in (error.get("code"), error.get("type")) if isinstance(word, str)]


def _retry_after_s(headers: dict[str, str]) -> float | None:
    """Seconds; a date (RFC 9110 §10.2.3) is not asked of the clock, and whoever waits has a time of his own."""
    text = headers.get("retry-after", "").strip()
    return min(float(text), _LONGEST_WAIT_S) if text.isascii() and text.isdigit() else None
