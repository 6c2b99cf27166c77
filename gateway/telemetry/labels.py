"""Every value that a metric's label may have. What is not here is counted as `other`.

A time series lives as long as the process, so a label that takes its value from a peer would grow without end.
A value that matters and shows up as `other` is one more word here.
"""

from typing import Final

from gateway.contracts import EndReason

OTHER: Final = "other"

CARRIERS = frozenset({"twilio", "sip"})
DIRECTIONS = frozenset({"inbound", "outbound"})
RESULTS = frozenset(reason.value for reason in EndReason)
SETUP_STAGES = frozenset({"webhook", "upgrade", "start", "backend_ready", "first_audio"})
REJECTIONS = frozenset(
    {
        "bad_request",
        "draining",
        "no_route",
        "overloaded",
        "plan",
        "too_many_calls",
        "unauthorized",
        "unknown_token",
    }
)

# Whose audio was dropped on its way, and why.
LEGS = frozenset({"caller", "agent"})
DROP_REASONS = frozenset({"interrupted", "late", "overflow", "voice_away"})

# The Realtime API's error codes that say something about us or the service, and our own two for a connection.
BACKEND_CODES = frozenset(
    {
        "conversation_already_has_active_response",
        "insufficient_quota",
        "invalid_api_key",
        "invalid_value",
        "lost",
        "model_not_found",
        "rate_limit_exceeded",
        "refused",
        "response_cancel_not_active",
        "server_error",
        "session_expired",
        "unknown_parameter",
    }
)

SIGNATURE_KINDS = frozenset({"after", "media", "status", "voice"})
RECORDING_RESULTS = frozenset({"complete", "failed", "partial", "repaired"})
CARRIER_TROUBLES = frozenset(
    {
        "bad_message",
        "binary_frame",
        "clock_jumped",
        "early_message",
        "late_media",
        "media_discarded",
        "media_gap",
        "odd_digit",
        "second_start",
        "stray_mark",
        "unknown_event",
        "wrong_stream",
        "wrong_track",
    }
)
