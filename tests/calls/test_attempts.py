"""When and where a voice is tried again."""

import random

from gateway.calls.attempts import Attempts, Next
from gateway.contracts import VoiceTraits

HOSTED, EMBEDDED = VoiceTraits(name="hosted"), VoiceTraits(name="embedded")


class Latest(random.Random):
    """Every pause is as long as it may be."""

    def uniform(self, _a: float, b: float) -> float:
        return b


def attempts(*voices: VoiceTraits) -> Attempts:
    return Attempts(voices or (HOSTED, EMBEDDED), Latest())


def test_the_first_voice_of_the_list_is_tried_first():
    assert attempts().voice == HOSTED


def test_a_lost_voice_is_tried_at_once_and_then_further_and_further_apart():
    tries = attempts()

    found = [tries.lost(100.0) for _ in range(5)]

    assert found == [Next(100.0 + pause_s, HOSTED) for pause_s in (0.0, 0.1, 0.3, 1.2, 2.4)]


def test_the_sixth_loss_in_a_row_goes_to_the_next_voice_at_once():
    tries = attempts()
    for _ in range(5):
        tries.lost(0.0)

    assert tries.lost(9.0) == Next(9.0, EMBEDDED)
    assert tries.voice == EMBEDDED


def test_the_next_voice_has_all_its_tries():
    tries = attempts()
    for _ in range(6):
        tries.lost(0.0)

    found = [tries.lost(5.0) for _ in range(5)]

    assert [each.voice for each in found if each is not None] == [EMBEDDED] * 5


def test_when_the_last_voice_of_the_list_has_failed_there_is_none():
    tries = attempts(HOSTED)
    for _ in range(5):
        tries.lost(0.0)

    assert tries.lost(0.0) is None


def test_a_list_that_has_ended_stays_at_its_end():
    tries = attempts(HOSTED)
    tries.refused(0.0)

    assert tries.refused(1.0) is None
    assert tries.voice == HOSTED


def test_a_loss_that_took_long_to_find_counts_for_more():
    tries = attempts(HOSTED)

    found = [tries.lost(0.0, 3), tries.lost(0.0, 3), tries.lost(0.0, 3)]

    assert found == [Next(0.0, HOSTED), Next(1.2, HOSTED), None]


def test_a_voice_that_was_heard_has_all_its_tries_back():
    tries = attempts(HOSTED)
    for _ in range(5):
        tries.lost(0.0)

    tries.proved()

    assert tries.lost(7.0) == Next(7.0, HOSTED)


def test_a_voice_that_was_heard_is_kept_whatever_comes_before_it_in_the_list():
    tries = attempts()
    tries.refused(0.0)

    tries.proved()

    assert tries.lost(1.0) == Next(1.0, EMBEDDED)


def test_the_pauses_of_many_calls_are_spread():
    pauses = set()
    for seed in range(20):
        tries = Attempts([HOSTED], random.Random(seed))
        tries.lost(0.0)
        following = tries.lost(0.0)
        assert following is not None
        pauses.add(following.at)

    assert len(pauses) == 20
    assert all(0.05 <= pause <= 0.1 for pause in pauses)


# -- no room


def test_a_busy_voice_is_tried_again_when_it_says():
    assert attempts().busy(10.0, 2.0) == Next(12.0, HOSTED)


def test_a_busy_voice_that_does_not_say_when_is_tried_after_a_second():
    assert attempts().busy(10.0, 0.0) == Next(11.0, HOSTED)


def test_a_caller_waits_three_seconds_for_a_voice_without_room():
    tries = attempts()

    found = [tries.busy(at, 0.0) for at in (0.0, 1.0, 2.0, 3.0)]

    assert found == [Next(1.0, HOSTED), Next(2.0, HOSTED), Next(3.0, HOSTED), Next(3.0, EMBEDDED)]


def test_a_voice_that_wants_more_patience_than_is_left_is_not_waited_for():
    tries = attempts()
    tries.busy(0.0, 0.0)

    assert tries.busy(1.0, 2.5) == Next(1.0, EMBEDDED)


def test_the_next_voice_may_be_busy_for_as_long():
    tries = attempts()
    tries.busy(0.0, 20.0)

    assert tries.busy(2.9, 3.0) == Next(5.9, EMBEDDED)


def test_a_busy_voice_after_a_lost_one_is_waited_for_from_then_on():
    tries = attempts()
    tries.lost(0.0)

    assert tries.busy(8.0, 3.0) == Next(11.0, HOSTED)


def test_a_loss_between_two_busy_answers_does_not_make_the_caller_wait_longer():
    tries = attempts()
    tries.busy(0.0, 0.0)
    tries.lost(1.0)

    assert tries.busy(2.5, 1.0) == Next(2.5, EMBEDDED)


def test_what_was_busy_before_the_voice_was_heard_is_forgotten():
    tries = attempts()
    tries.busy(0.0, 0.0)

    tries.proved()

    assert tries.busy(60.0, 3.0) == Next(63.0, HOSTED)


# -- no


def test_a_voice_that_refuses_is_left_at_once():
    assert attempts().refused(4.0) == Next(4.0, EMBEDDED)


def test_a_refusal_of_the_only_voice_leaves_none():
    assert attempts(HOSTED).refused(0.0) is None
