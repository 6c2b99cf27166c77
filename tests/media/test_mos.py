import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.media.mos import burst_ratio, mean_opinion_score, rating


def test_a_call_without_delay_and_loss_has_the_best_rating():
    assert rating(delay_ms=0, loss_share=0) == 93.2


def test_a_good_call_is_as_good_as_telephones_are():
    assert mean_opinion_score(rating(delay_ms=60, loss_share=0)) == pytest.approx(4.38, abs=0.01)


@pytest.mark.parametrize(
    ("loss_share", "loss_impairment"),
    [(0.01, 3.64), (0.05, 15.78), (0.1, 27.07)],  # 95 * Ppl / (Ppl + 25.1)
)
def test_loss_costs_what_g_107_says(loss_share: float, loss_impairment: float):
    assert 93.2 - rating(delay_ms=0, loss_share=loss_share) == pytest.approx(loss_impairment, abs=0.01)


@pytest.mark.parametrize(("delay_ms", "cost"), [(100, 2.4), (177.3, 4.2552), (300, 7.2 + 0.11 * 122.7)])
def test_delay_costs_more_from_177_ms_on(delay_ms: float, cost: float):
    assert 93.2 - rating(delay_ms=delay_ms, loss_share=0) == pytest.approx(cost)


@pytest.mark.parametrize(
    ("r", "mos"), [(-5, 1.0), (0, 1.0), (3, 1.0), (60, 3.1), (93.2, 4.41), (100, 4.5), (120, 4.5)]
)
def test_the_score_is_that_of_annex_b(r: float, mos: float):
    assert mean_opinion_score(r) == pytest.approx(mos, abs=0.01)


def test_loss_in_bursts_costs_more():
    assert rating(delay_ms=0, loss_share=0.05, burst=2) < rating(delay_ms=0, loss_share=0.05)


@pytest.mark.parametrize(
    ("lost", "gaps", "expected", "ratio"),
    [(0, 0, 0, 1.0), (5, 5, 100, 1.0), (20, 5, 100, 3.2), (10, 1, 10, 1.0)],
)
def test_bursts_are_measured_against_random_loss(lost: int, gaps: int, expected: int, ratio: float):
    assert burst_ratio(lost=lost, gaps=gaps, expected=expected) == pytest.approx(ratio)


@given(st.floats(0, 5000), st.floats(0, 1), st.floats(1, 20))
def test_every_call_has_a_score_between_1_and_4_5(delay_ms: float, loss_share: float, burst: float):
    assert 1 <= mean_opinion_score(rating(delay_ms=delay_ms, loss_share=loss_share, burst=burst)) <= 4.5
