"""How good a call sounds, by the E-model: a rating of 0 to 100, and the mean opinion score it stands for.

ITU-T G.107 with its defaults for everything but delay, loss and its burstiness, which leaves

    R = 93.2 - Id - Ie_eff

Id, the delay: the two straight lines that Cole and Rosenbluth fitted to G.107 ("Voice over IP performance monitoring",
ACM SIGCOMM CCR 31, 2001). Ie_eff, the loss: G.107 §3.5, with the figures of G.113 Appendix I for G.711 with concealment
(Ie 0, Bpl 25.1; without it Bpl would be 4.3). The score: G.107 Annex B.
"""

from typing import Final

__all__ = ["burst_ratio", "mean_opinion_score", "rating"]

_BEST: Final = 93.2
_ROBUSTNESS: Final = 25.1
_FELT_DELAY_MS: Final = 177.3  # from here on people talk into each other's words


def rating(*, delay_ms: float, loss_share: float, burst: float = 1.0) -> float:
    """R of a call in G.711, at most 93.2; below 50 nobody would stay.

    `delay_ms`: from mouth to ear, one way. `loss_share`: of the packets, 0 to 1, that were lost or came too late.
    `burst`: see `burst_ratio`.
    """
    delay = 0.024 * delay_ms + 0.11 * max(delay_ms - _FELT_DELAY_MS, 0.0)
    loss_percent = 100 * loss_share
    loss = 95 * loss_percent / (loss_percent / burst + _ROBUSTNESS)
    return _BEST - delay - loss


def mean_opinion_score(rating: float) -> float:
    """1 (bad) to 4.5, which is the best that a telephone can do. ITU-T G.107 Annex B."""
    if rating <= 0:
        return 1.0
    if rating >= 100:
        return 4.5
    return max(1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6, 1.0)


def burst_ratio(*, lost: int, gaps: int, expected: int) -> float:
    """How much longer the gaps are than if loss were random; 1 if it is. ITU-T G.107 §3.5.

    `lost` packets of `expected`, in `gaps` runs.
    """
    if not gaps or lost >= expected:
        return 1.0
    return max(lost / gaps * (1 - lost / expected), 1.0)
