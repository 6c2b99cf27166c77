import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.media.latch import Address, Latch

TOLD = Address("10.0.0.5", 4000)  # behind a NAT
TRUE = Address("192.0.2.1", 31_000)
STRANGER = Address("203.0.113.66", 6666)
TYPES = frozenset({0, 101})


def admits(
    latch: Latch, source: Address, sequence: int, now: float, *, ssrc: int = 1, payload_type: int = 0
) -> bool:
    return latch.admit(
        source,
        ssrc=ssrc,
        sequence=sequence & 0xFFFF,
        payload_type=payload_type,
        payload_types=TYPES,
        now=now,
    )


def admitted(
    latch: Latch, source: Address, count: int, *, start_s: float = 0.0, first: int = 0, ssrc: int = 1
) -> int:
    """How many of so many packets in a row, one every 20 ms, are the far end's."""
    return sum(admits(latch, source, first + n, start_s + n * 0.02, ssrc=ssrc) for n in range(count))


def expecting(told: Address | None = TOLD) -> Latch:
    latch = Latch()
    latch.expect(told)
    return latch


def test_the_address_of_the_sdp_is_the_far_ends_at_once():
    latch = expecting()

    assert admitted(latch, TOLD, 1) == 1
    assert (latch.address, latch.locked) == (TOLD, True)


def test_before_anything_comes_we_send_to_the_address_of_the_sdp():
    latch = expecting()

    assert (latch.address, latch.locked) == (TOLD, False)


def test_another_source_is_locked_with_its_fourth_packet_in_a_row():
    latch = expecting()

    assert admitted(latch, TRUE, 10) == 7
    assert latch.address == TRUE


def test_a_lock_follows_nobody_else():
    latch = expecting()
    admitted(latch, TRUE, 10)

    assert admitted(latch, STRANGER, 200, start_s=0.2) == 0
    assert latch.address == TRUE


def test_while_the_true_source_sends_no_stranger_gets_a_word_in():
    latch = expecting()
    admitted(latch, TRUE, 10)

    stolen = sum(
        admitted(latch, STRANGER, 1, start_s=0.2 + n * 0.02, first=n, ssrc=9)
        for n in range(1000)
        if admitted(latch, TRUE, 1, start_s=0.2 + n * 0.02, first=10 + n)
    )

    assert (stolen, latch.address) == (0, TRUE)


def test_packets_that_do_not_follow_each_other_prove_nothing():
    latch = expecting()

    for n in range(50):
        assert not admits(latch, TRUE, 2 * n, n * 0.02)


def test_packets_of_several_streams_prove_nothing():
    latch = expecting()

    for n in range(50):
        assert not admits(latch, TRUE, n, n * 0.02, ssrc=n)


def test_packets_of_a_type_that_nobody_agreed_on_prove_nothing():
    latch = expecting()

    for n in range(50):
        assert not admits(latch, TRUE, n, n * 0.02, payload_type=96)


def test_packets_that_come_too_slowly_prove_nothing():
    latch = expecting()

    for n in range(50):
        assert not admits(latch, TRUE, n, n * 0.3)


def test_the_address_of_the_sdp_is_better_than_one_that_was_learned():
    latch = expecting()
    admitted(latch, STRANGER, 10)

    assert admitted(latch, TOLD, 1, start_s=0.3) == 1
    assert admitted(latch, STRANGER, 10, start_s=0.4, first=10, ssrc=9) == 0


def test_a_port_that_a_nat_changes_in_the_middle_loses_no_packet():
    latch = expecting()
    admitted(latch, TRUE, 10)
    kept = 0
    for change in range(1, 101):
        port = Address(TRUE.host, TRUE.port + change)
        kept += admitted(latch, port, 10, start_s=change * 0.2, first=change * 10)

    assert kept == 1000


def test_another_host_with_the_same_stream_is_a_stranger():
    latch = expecting()
    admitted(latch, TRUE, 10)

    assert admitted(latch, STRANGER, 10, start_s=0.2, first=10) == 0


def test_after_silence_another_port_of_the_same_host_may_prove_itself():
    latch = expecting()
    admitted(latch, TRUE, 10)

    assert admitted(latch, Address(TRUE.host, 9), 10, start_s=6.0, ssrc=9) == 7


def test_however_long_the_silence_another_host_is_a_stranger():
    latch = expecting()
    admitted(latch, TRUE, 10)

    assert admitted(latch, STRANGER, 500, start_s=600.0, ssrc=9) == 0
    assert admitted(latch, TRUE, 1, start_s=700.0, first=10) == 1


def test_after_another_address_was_agreed_on_another_host_may_prove_itself():
    latch = expecting()
    admitted(latch, TRUE, 10)

    latch.expect(Address(TOLD.host, TOLD.port + 2))

    assert admitted(latch, Address("198.51.100.9", 1), 10, start_s=6.0, ssrc=9) == 7


def test_an_sdp_without_an_address_keeps_the_lock():
    latch = expecting()
    admitted(latch, TRUE, 10)

    latch.expect(None)
    stolen = admitted(latch, STRANGER, 10, start_s=6.0, ssrc=9)
    latch.expect(TOLD)

    assert stolen == 0
    assert latch.address == TRUE


def test_a_new_address_is_learned_anew():
    latch = expecting()
    admitted(latch, TRUE, 10)
    moved = Address("192.0.2.77", 4000)

    latch.expect(moved)

    assert latch.address == moved
    assert admitted(latch, TRUE, 1, start_s=0.3, first=10) == 0
    assert admitted(latch, moved, 1, start_s=0.3) == 1


def test_a_refreshed_session_keeps_its_lock():
    latch = expecting()
    admitted(latch, TRUE, 10)

    latch.expect(TOLD)

    assert admitted(latch, TRUE, 10, start_s=0.3, first=10) == 10


def test_without_an_address_there_is_nowhere_to_send_to():
    latch = expecting(None)

    assert latch.address is None


def test_any_number_of_strangers_costs_no_more_memory():
    latch = expecting()
    for n in range(1000):
        admitted(latch, Address("203.0.113.1", n), 1)

    assert len(latch._candidates) <= 8


addresses = st.sampled_from([TRUE, STRANGER, Address("198.51.100.9", 1), Address(STRANGER.host, 7)])


@given(
    st.lists(
        st.tuples(addresses, st.integers(0, 5), st.integers(1, 3), st.sampled_from([0, 96, 101])), max_size=80
    )
)
def test_nobody_gets_in_beside_the_address_of_the_sdp(packets: list[tuple[Address, int, int, int]]):
    latch = expecting()

    for n, (source, sequence, ssrc, payload_type) in enumerate(packets):
        assert admits(latch, TOLD, n, n * 0.02)
        assert not admits(latch, source, sequence, n * 0.02, ssrc=10 + ssrc, payload_type=payload_type)


@pytest.mark.parametrize("told", [TOLD, None])
def test_a_source_is_locked_whether_or_not_there_was_an_address(told: Address | None):
    latch = expecting(told)

    admitted(latch, TRUE, 4)

    assert latch.address == TRUE
