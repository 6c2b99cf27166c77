"""How good the media of a SIP call was. A core."""

import msgspec

from gateway.media.mos import burst_ratio, mean_opinion_score, rating
from gateway.media.rtcp_reports import RtcpReports
from gateway.media.rtp_receiver import RtpReceiver

__all__ = ["MediaQuality", "quality"]

_FRAME_MS = 20


class MediaQuality(msgspec.Struct, frozen=True, kw_only=True):
    """Of the whole call, as we received it; `far_lost_packets`: as they say that they received us.

    `lost_packets`: none of which a copy came. A report to the far end counts copies as packets (RFC 3550 A.3).
    `mos`: 1 to 4.5, by the E-model (media/mos.py); None where nothing came.
    """

    received_packets: int
    lost_packets: int
    late_packets: int
    loss_percent: float
    jitter_ms: float
    worst_jitter_ms: float
    concealed_ms: float
    round_trip_ms: float | None
    mos: float | None
    far_lost_packets: int | None
    restarts: int


def quality(receiver: RtpReceiver, reports: RtcpReports) -> MediaQuality:
    """What is known by now."""
    counts, source = receiver.jitter.counts, receiver.source
    unheard = counts.lost + counts.late
    round_trip_ms = None if reports.round_trip_s is None else reports.round_trip_s * 1000
    delay_ms = (round_trip_ms or 0.0) / 2 + receiver.jitter.depth_ms + _FRAME_MS
    share = min(unheard / source.expected, 1.0) if source.expected else 0.0
    burst = burst_ratio(lost=unheard, gaps=counts.gaps, expected=source.expected)
    score = mean_opinion_score(rating(delay_ms=delay_ms, loss_share=share, burst=burst))
    return MediaQuality(
        received_packets=source.received,
        lost_packets=counts.lost,
        late_packets=counts.late,
        loss_percent=round(100 * counts.lost / source.expected, 2) if source.expected else 0.0,
        jitter_ms=round(receiver.stats.jitter_ms, 2),
        worst_jitter_ms=round(receiver.stats.worst_jitter_ms, 2),
        concealed_ms=counts.concealed_ms,
        round_trip_ms=None if round_trip_ms is None else round(round_trip_ms, 1),
        mos=round(score, 2) if source.received else None,
        far_lost_packets=reports.far.lost if reports.far is not None else None,
        restarts=source.restarts + counts.restarts,
    )
