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
REJECTIONS = frozenset({"draining", "no_route", "plan", "too_many_calls"})

# Whose audio was dropped on its way, and why.
LEGS = frozenset({"caller", "agent"})
DROP_REASONS = frozenset({"interrupted", "overflow"})

# The Realtime API's error codes that say something about us or the service, its types for those without, and our
# word for an event that cannot be read.
BACKEND_CODES = frozenset(
    {
        "conversation_already_has_active_response",
        "input_audio_buffer_commit_empty",
        "insufficient_quota",
        "invalid_api_key",
        "invalid_json",
        "invalid_request_error",
        "invalid_value",
        "item_truncate_invalid_item_id",
        "malformed_event",
        "missing_required_parameter",
        "model_not_found",
        "rate_limit_exceeded",
        "response_cancel_not_active",
        "server_error",
        "session_expired",
        "unknown_event",
        "unknown_parameter",
    }
)

# How a session with the voice failed: the connection broke, no answer came, its hour was over, the voice had no
# room, or would not have us.
BACKEND_LOSSES = frozenset({"lost", "silent", "expired", "busy", "refused"})
INTERRUPTIONS = frozenset({"cut", "ignored"})

# What was wrong with a request at the public door.
SIGNATURE_KINDS = frozenset(
    {"content_length", "content_type", "form", "method", "origin", "signature", "token", "unsigned"}
)

# What an INVITE that began a call was answered with, and why something that came was dropped without a word.
SIP_STATUSES = frozenset(
    {
        "200",
        "400",
        "401",
        "404",
        "406",
        "408",
        "414",
        "415",
        "416",
        "420",
        "422",
        "480",
        "486",
        "487",
        "488",
        "500",
        "503",
        "505",
        "513",
        "603",
    }
)
SIP_DROPS = frozenset({"flood", "guesses", "rtp_forged", "rtp_malformed", "rtp_stranger", "stranger"})
RECORDING_RESULTS = frozenset({"complete", "failed", "none", "partial", "repaired"})
CARRIER_TROUBLES = frozenset(
    {
        "bad_message",
        "binary_frame",
        "broken_media",
        "clock_jumped",
        "digits_lost",
        "early_media",
        "early_message",
        "late_media",
        "media_discarded",
        "media_gap",
        "odd_digit",
        "queue_full",
        "second_start",
        "stray_mark",
        "unknown_event",
        "unknown_payload_type",
        "wrong_stream",
        "wrong_track",
    }
)
