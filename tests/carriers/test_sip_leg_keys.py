"""Keys that come as RTP events and by INFO."""

import pytest

from gateway.carriers.sip.leg_keys import Keys


def test_a_key_that_comes_both_ways_is_one_press():
    keys = Keys()

    assert [keys.press("5", "event", 0.0), keys.press("5", "info", 0.3)] == [True, False]


def test_a_key_that_is_pressed_twice_is_two_presses_however_its_ways_mix():
    keys = Keys()

    presses = [keys.press("5", way, 0.1) for way in ("event", "event", "info", "info")]

    assert presses == [True, True, False, False]


def test_a_press_that_came_both_ways_is_done_with():
    keys = Keys()

    presses = [keys.press("5", way, 0.1) for way in ("event", "info", "info")]

    assert presses == [True, False, True]


def test_the_same_way_twice_is_two_presses():
    keys = Keys()

    assert [keys.press("5", "info", 0.0), keys.press("5", "info", 0.1)] == [True, True]


def test_another_key_the_other_way_is_another_press():
    keys = Keys()

    assert [keys.press("5", "event", 0.0), keys.press("6", "info", 0.1)] == [True, True]


def test_after_three_seconds_it_is_another_press():
    keys = Keys()

    assert [keys.press("5", "event", 0.0), keys.press("5", "info", 3.1)] == [True, True]


@pytest.mark.parametrize("digit", ["", "E", "12", "hook", " "])
def test_what_is_no_key_is_none(digit: str):
    assert Keys().press(digit, "info", 0.0) is None
