"""How the time that messages take is shared out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.carriers.sip.shares import Shares


def shares() -> Shares:
    return Shares(of_one=(0.25, 0.5), of_all=(0.5, 1.0))


def test_who_has_said_nothing_has_time():
    assert shares().has_time("a", 0.0)


def test_who_has_had_his_share_has_none_and_others_have():
    them = shares()

    them.spent("a", 0.5, 0.0)

    assert not them.has_time("a", 0.0)
    assert them.has_time("b", 0.0)


def test_time_comes_back_as_it_passes():
    them = shares()

    them.spent("a", 0.75, 0.0)

    assert not them.has_time("a", 0.9)
    assert them.has_time("a", 1.1)


def test_nobody_saves_more_than_the_most():
    them = shares()
    them.spent("a", 0.1, 0.0)

    them.spent("a", 0.5, 1000.0)

    assert not them.has_time("a", 1000.0)


def test_all_rest_when_all_together_have_had_their_share():
    them = shares()

    for host in "abcd":
        them.spent(host, 0.3, 0.0)

    assert them.rest_s(0.0) == pytest.approx(0.4)
    assert them.rest_s(0.4) == pytest.approx(0.0)


def test_one_rests_for_as_long_as_he_is_behind():
    them = shares()

    them.spent("a", 0.6, 0.0)

    assert them.rest_s(0.0, "a") == pytest.approx(0.4)
    assert them.rest_s(0.0, "b") == 0.0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 0.1), st.floats(0, 1)), max_size=60))
def test_nobody_gets_more_than_his_share_of_any_while(spending: list[tuple[str, float, float]]):
    them, now, spent = shares(), 0.0, dict.fromkeys("abc", 0.0)

    for host, cost_s, pause_s in spending:
        now += pause_s
        if them.has_time(host, now):
            them.spent(host, cost_s, now)
            spent[host] += cost_s

    assert all(each <= 0.5 + 0.25 * now + 0.1 + 1e-9 for each in spent.values())


def test_a_crowd_of_sources_is_forgotten_from_its_oldest_on():
    them = shares()
    them.spent("first", 10.0, 0.0)

    for number in range(10_000):
        them.spent(str(number), 0.0, 0.0)

    assert them.has_time("first", 0.0)
