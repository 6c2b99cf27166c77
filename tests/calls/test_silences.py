"""When a caller who waits is told so, and when one who says nothing is asked."""

from gateway.calls.silences import Idle, Outage


def first_due_ms(outage: Outage, from_ms: int, *, until_ms: int = 20_000) -> int:
    """When the next word is due for a caller who hears nothing, tick by tick."""
    for at_ms in range(from_ms, until_ms, 20):
        if outage.due(at_ms / 1000, waiting=True, sounding=False):
            return at_ms
    raise AssertionError("nothing was due")


# -- outages


def test_a_caller_who_waits_is_told_after_300_ms():
    assert first_due_ms(Outage(), 0) == 300


def test_a_caller_who_still_waits_is_told_again_after_five_seconds_of_silence():
    outage = Outage()
    first_due_ms(outage, 0)

    assert first_due_ms(outage, 320) == 5320


def test_what_the_caller_hears_is_no_silence():
    outage = Outage()

    assert not any(outage.due(at / 10, waiting=True, sounding=True) for at in range(100))


def test_the_silence_begins_when_the_sound_ends():
    outage = Outage()
    outage.due(0.0, waiting=True, sounding=False)
    outage.due(0.2, waiting=True, sounding=True)

    assert first_due_ms(outage, 1000) == 1300


def test_the_five_seconds_count_from_the_end_of_the_filler():
    outage = Outage()
    first_due_ms(outage, 0)
    outage.due(0.32, waiting=True, sounding=True)
    outage.due(2.0, waiting=True, sounding=True)

    assert first_due_ms(outage, 2020) == 7020


def test_nobody_is_told_while_it_is_not_our_turn():
    outage = Outage()

    assert not any(outage.due(at / 10, waiting=False, sounding=False) for at in range(200))


def test_the_next_outage_is_told_as_soon_as_the_first():
    outage = Outage()
    first_due_ms(outage, 0)

    outage.due(0.5, waiting=False, sounding=False)

    assert first_due_ms(outage, 600) == 900


# -- a caller who says nothing


def test_after_the_silence_that_is_set_the_agent_asks_once():
    idle = Idle(6.0)

    asked = [at for at in range(12) if idle.due(float(at), quiet=True)]

    assert asked == [6]


def test_a_silence_that_goes_on_is_asked_about_again():
    idle = Idle(6.0)

    asked = [at for at in range(20) if idle.due(float(at), quiet=True)]

    assert asked == [6, 13]


def test_a_word_between_starts_the_silence_anew():
    idle = Idle(6.0)
    idle.due(0.0, quiet=True)
    idle.due(5.0, quiet=False)

    asked = [at for at in range(6, 15) if idle.due(float(at), quiet=True)]

    assert asked == [12]


def test_an_agent_that_is_set_not_to_ask_never_does():
    idle = Idle(0.0)

    assert not any(idle.due(float(at), quiet=True) for at in range(0, 10_000, 10))
