import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.net.fragments import FragmentCounter
from tests.net.raw_peer import BINARY, CLOSE, PING, TEXT, frame

FRAMES = st.lists(
    st.builds(
        frame,
        st.sampled_from([0, TEXT, BINARY, PING, CLOSE]),
        st.sampled_from([b"", b"x", bytes(125), bytes(126), bytes(300), bytes(70_000)]),
        final=st.booleans(),
        masked=st.booleans(),
    ),
    max_size=12,
)


def fragments(count: int) -> bytes:
    """One message in so many frames."""
    return frame(TEXT, b"-", final=count == 1) + b"".join(
        frame(0, b"-", final=number == count) for number in range(2, count + 1)
    )


@pytest.mark.parametrize("count", [1, 2, 16])
def test_messages_within_the_limit_are_admitted_for_ever(count: int) -> None:
    counter = FragmentCounter(16)

    assert all(counter.admit(fragments(count)) for _ in range(100))


def test_one_fragment_too_many_is_not_admitted_and_nothing_after_it() -> None:
    counter = FragmentCounter(16)

    assert not counter.admit(fragments(17))
    assert not counter.admit(frame(TEXT, b"whole"))


def test_control_frames_between_fragments_do_not_count() -> None:
    counter = FragmentCounter(2)

    assert counter.admit(frame(TEXT, b"-", final=False) + 100 * frame(PING) + frame(0, b"-"))


def test_a_payload_is_not_taken_for_frames() -> None:
    counter = FragmentCounter(2)

    assert counter.admit(frame(BINARY, 100 * frame(TEXT, b"-", final=False)))


def test_a_million_empty_fragments_are_not_even_looked_at() -> None:
    counter = FragmentCounter(16)

    assert not counter.admit(1_000_000 * frame(TEXT, b"", final=False))


@given(frames=FRAMES, cuts=st.lists(st.integers(0, 2000), max_size=10))
def test_the_verdict_does_not_depend_on_the_pieces_that_the_bytes_come_in(
    frames: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(frames)
    bounds = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[start:end] for start, end in itertools.pairwise(bounds)]
    whole, split = FragmentCounter(3), FragmentCounter(3)

    verdicts = [split.admit(piece) for piece in pieces]

    assert (verdicts[-1] if verdicts else True) == whole.admit(data)


@given(st.lists(st.binary(max_size=100), max_size=20))
def test_any_bytes_get_a_verdict_and_a_no_is_final(pieces: list[bytes]) -> None:
    counter = FragmentCounter(1)

    verdicts = [counter.admit(piece) for piece in pieces]

    assert verdicts == sorted(verdicts, reverse=True)
