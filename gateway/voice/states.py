"""The states of a conversation with a voice."""

import enum

__all__ = ["SessionState", "after"]


class SessionState(enum.StrEnum):
    IDLE = "idle"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    LISTENING = "listening"
    PROCESSING = "processing"
    SPEAKING = "speaking"
    DISCONNECTED = "disconnected"


S = SessionState

# What happened, and where it leads from each state; a pair that is not here changes nothing, because the
# peer's events of a turn may arrive after the next one began.
_NEXT: dict[tuple[SessionState, str], SessionState] = {
    (S.IDLE, "connect"): S.CONNECTING,
    (S.CONNECTING, "opened"): S.CONNECTED,
    (S.CONNECTED, "speech"): S.LISTENING,
    (S.PROCESSING, "speech"): S.LISTENING,
    (S.SPEAKING, "speech"): S.LISTENING,
    (S.LISTENING, "silence"): S.PROCESSING,
    (S.CONNECTED, "asked"): S.PROCESSING,
    (S.CONNECTED, "audio"): S.SPEAKING,
    (S.PROCESSING, "audio"): S.SPEAKING,
    (S.PROCESSING, "answered"): S.CONNECTED,
    (S.SPEAKING, "answered"): S.CONNECTED,
    (S.IDLE, "ended"): S.DISCONNECTED,
    (S.CONNECTING, "ended"): S.DISCONNECTED,
    (S.CONNECTED, "ended"): S.DISCONNECTED,
    (S.LISTENING, "ended"): S.DISCONNECTED,
    (S.PROCESSING, "ended"): S.DISCONNECTED,
    (S.SPEAKING, "ended"): S.DISCONNECTED,
}


def after(state: SessionState, what: str) -> SessionState:
    """The state that `what` leads to."""
    return _NEXT.get((state, what), state)
