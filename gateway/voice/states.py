"""The states of a conversation with a voice."""

import enum
from collections.abc import Mapping

__all__ = ["IllegalMove", "SessionState", "after"]


class SessionState(enum.StrEnum):
    """IDLE: created. CONNECTED: quiet. LISTENING: the user speaks. PROCESSING: his turn is over, no audio yet.
    SPEAKING: a response is being delivered. DISCONNECTED: ended, not to be used again.
    """

    IDLE = "idle"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    LISTENING = "listening"
    PROCESSING = "processing"
    SPEAKING = "speaking"
    DISCONNECTED = "disconnected"


class IllegalMove(AssertionError):
    """Something happened that cannot happen in this state: a bug of ours, never the peer's."""


S = SessionState

# Where what happens leads from each state. A peer may say anything at any time while the connection stands, and
# its events of one turn may arrive after the next one began: all of that is in the table.
_NEXT: Mapping[SessionState, Mapping[str, SessionState]] = {
    S.IDLE: {"connect": S.CONNECTING, "ended": S.DISCONNECTED},
    S.CONNECTING: {"opened": S.CONNECTED, "ended": S.DISCONNECTED},
    S.CONNECTED: {
        "speech": S.LISTENING,
        "silence": S.CONNECTED,
        "turn": S.PROCESSING,
        "asked": S.PROCESSING,
        "audio": S.SPEAKING,
        "answered": S.CONNECTED,
        "ended": S.DISCONNECTED,
    },
    S.LISTENING: {
        "speech": S.LISTENING,
        "silence": S.PROCESSING,
        "turn": S.PROCESSING,
        "asked": S.LISTENING,
        "audio": S.LISTENING,
        "answered": S.LISTENING,
        "ended": S.DISCONNECTED,
    },
    S.PROCESSING: {
        "speech": S.LISTENING,
        "silence": S.PROCESSING,
        "turn": S.PROCESSING,
        "asked": S.PROCESSING,
        "audio": S.SPEAKING,
        "answered": S.CONNECTED,
        "ended": S.DISCONNECTED,
    },
    S.SPEAKING: {
        "speech": S.LISTENING,
        "silence": S.SPEAKING,
        "turn": S.SPEAKING,
        "asked": S.SPEAKING,
        "audio": S.SPEAKING,
        "answered": S.CONNECTED,
        "ended": S.DISCONNECTED,
    },
    S.DISCONNECTED: {},
}


def after(state: SessionState, what: str) -> SessionState:
    """The state that `what` leads to. Raises `IllegalMove`."""
    following = _NEXT[state].get(what)
    if following is None:
        raise IllegalMove(f"{what!r} while the session is {state}")
    return following
