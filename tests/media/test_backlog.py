"""What of the caller a new session is told."""

from gateway.media.backlog import Backlog

FRAME_MS, FRAME_BYTES = 20, 160


def frames(count: int, first: int = 0) -> list[bytes]:
    """Frames of 20 ms that can be told apart."""
    return [(first + n).to_bytes(2, "big") * (FRAME_BYTES // 2) for n in range(count)]


def added(backlog: Backlog, payloads: list[bytes]) -> Backlog:
    for payload in payloads:
        backlog.add(payload)
    return backlog


def test_half_a_second_is_kept_while_nothing_is_at_stake():
    spoken = frames(100)

    backlog = added(Backlog(), spoken)

    assert backlog.everything() == b"".join(spoken[-25:])


def test_from_the_first_word_on_all_is_kept_and_the_half_second_before_it():
    spoken = frames(200)
    backlog = added(Backlog(), spoken[:100])

    backlog.keep()
    added(backlog, spoken[100:])

    assert backlog.everything() == b"".join(spoken[75:])


def test_of_a_turn_that_lasts_the_last_fifteen_seconds_are_kept():
    spoken = frames(1000)
    backlog = Backlog()
    backlog.keep()

    added(backlog, spoken)

    assert backlog.everything() == b"".join(spoken[-750:])


def test_hours_at_stake_cost_no_more_than_fifteen_seconds():
    backlog = Backlog()
    backlog.keep()

    for _ in range(4 * 3600 * 50):
        backlog.add(b"\xff" * FRAME_BYTES)

    assert len(backlog.everything()) == 15_000 * 8


def test_what_was_released_is_not_told():
    backlog = Backlog()
    backlog.keep()
    added(backlog, frames(300))

    backlog.release()

    assert backlog.everything() == b""


def test_after_a_release_half_a_second_is_kept_again():
    spoken = frames(100)
    backlog = Backlog()
    backlog.keep()
    backlog.release()

    added(backlog, spoken)

    assert backlog.everything() == b"".join(spoken[-25:])


def test_keeping_twice_changes_nothing():
    spoken = frames(60)
    backlog = Backlog()
    backlog.keep()
    added(backlog, spoken)

    backlog.keep()

    assert backlog.everything() == b"".join(spoken)


def test_what_is_kept_stays_until_it_is_released():
    backlog = added(Backlog(), frames(3))
    before = backlog.everything()

    assert backlog.everything() == before == b"".join(frames(3))


def test_a_gap_longer_than_the_lead_takes_all_before_it_along():
    backlog = added(Backlog(), frames(10))

    backlog.add(b"\xff" * 8000)

    assert backlog.everything() == b""
