import msgspec
import pytest

from gateway.wire.sdp.media import Direction
from tests.wire.sdp_peers import ASTERISK, OURS, description, our_side

AUDIO = ASTERISK[:-1]


@pytest.mark.parametrize(
    ("offered", "answered"),
    [
        ("sendrecv", "sendrecv"),
        ("sendonly", "recvonly"),
        ("recvonly", "sendonly"),
        ("inactive", "inactive"),
    ],
)
def test_an_answer_complements_the_direction(offered: str, answered: str):
    session = our_side()

    answer = session.answer(description(*AUDIO, f"a={offered}"))

    assert session.agreed is not None
    assert answer.media[0].direction == session.agreed.direction == answered


def test_a_session_on_hold_as_a_whole_holds_its_medium():
    session = our_side()

    answer = session.answer(description("a=sendonly", *AUDIO))

    assert answer.media[0].direction is Direction.RECVONLY


def test_hold_as_it_once_was_leaves_nowhere_to_send_to():
    session = our_side()

    answer = session.answer(description(*AUDIO, address="0.0.0.0"))

    assert session.agreed is not None
    assert answer.media[0].direction is Direction.RECVONLY
    assert (session.agreed.address, session.agreed.rtcp_address, session.agreed.held) == (None, None, True)


def test_a_call_that_is_held_and_resumed_is_as_before():
    session = our_side()
    session.answer(description(*ASTERISK, version=1))
    before = session.agreed

    session.answer(description(*AUDIO, "a=sendonly", version=2))
    assert session.agreed is not None
    held = session.agreed.held
    session.answer(description(*ASTERISK, version=3))

    assert held
    assert session.agreed == before


def test_we_hold_and_resume():
    session = our_side()
    session.answer(description(*ASTERISK))

    session.ours = msgspec.structs.replace(OURS, direction=Direction.SENDONLY)
    hold = session.offer()
    held = session.take_answer(description(*AUDIO, "a=recvonly"))
    session.ours = OURS
    resume = session.offer()
    resumed = session.take_answer(description(*ASTERISK))

    assert (hold.media[0].direction, held.direction) == (Direction.SENDONLY, Direction.SENDONLY)
    assert (resume.media[0].direction, resumed.direction) == (Direction.SENDRECV, Direction.SENDRECV)
    assert resume.origin.version == hold.origin.version + 1


def test_both_may_hold():
    session = our_side()
    session.ours = msgspec.structs.replace(OURS, direction=Direction.SENDONLY)

    answer = session.answer(description(*AUDIO, "a=sendonly"))

    assert answer.media[0].direction is Direction.INACTIVE
