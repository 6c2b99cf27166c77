import random

import pytest

from gateway.carriers.sip.port_pairs import PortPairs


def pairs(ports: range = range(10_000, 10_010)) -> PortPairs:
    return PortPairs(ports, random.Random(1), quarantine_s=30.0)


def taken(some: PortPairs, count: int, now: float = 0.0) -> list[int | None]:
    return [some.take(now) for _ in range(count)]


@pytest.mark.parametrize(
    ("ports", "known"),
    [
        (range(10_000, 10_006), {10_000, 10_002, 10_004}),
        (range(10_001, 10_006), {10_002, 10_004}),
        (range(10_000, 10_005), {10_000, 10_002}),
    ],
)
def test_a_pair_is_an_even_port_and_the_next(ports: range, known: set[int]):
    some = pairs(ports)

    assert {some.take(0.0) for _ in range(len(some))} == known


@pytest.mark.parametrize("ports", [range(0), range(10_001, 10_003), range(10_000, 10_001)])
def test_a_range_without_a_pair_is_none(ports: range):
    with pytest.raises(ValueError, match="no pair of ports"):
        pairs(ports)


def test_nobody_can_tell_which_pair_is_next():
    orders = {
        tuple(taken(PortPairs(range(40), random.Random(seed), quarantine_s=30.0), 20)) for seed in range(9)
    }

    assert len(orders) == 9


def test_when_all_are_taken_there_is_none():
    assert taken(pairs(), 6)[5] is None


def test_a_pair_that_was_used_rests():
    some = pairs(range(10_000, 10_002))
    some.take(0.0)

    some.rest(10_000, 5.0)

    assert ([some.take(34.9), some.resting], [some.take(35.0), some.resting]) == ([None, 1], [10_000, 0])


def test_the_longest_unused_comes_first():
    some = pairs()
    first = some.take(0.0)
    assert first is not None

    some.rest(first, 0.0)

    assert taken(some, 5, now=60.0)[4] == first


def test_a_pair_that_another_program_has_comes_again_later():
    some = pairs()
    first = some.take(0.0)
    assert first is not None

    some.put_back(first)

    assert (len(some), taken(some, 5)[4]) == (5, first)
