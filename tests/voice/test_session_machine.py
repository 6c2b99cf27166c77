"""Whatever is done with a session, at whatever moment, and whatever the voice does meanwhile."""

import itertools

import trio
from hypothesis import HealthCheck, given, note, settings
from trio.testing import MockClock

from gateway.testing.faulty_table import GoMute
from tests.voice.session_programs import LEGAL_MOVES, PROGRAMS, Program, Run


def check(program: Program) -> None:
    run = Run(program)
    trio.run(run, clock=MockClock(autojump_threshold=0))
    note(f"{run.logs}")

    assert run.bugs == []
    assert run.left == 0
    assert set(run.changes) <= LEGAL_MOVES
    assert all(one[1] is other[0] for one, other in itertools.pairwise(run.changes))
    if run.settled and not any(isinstance(fault, GoMute) for fault in program.faults):
        assert run.ended == run.wanted


# A program is run anew for every example; the fixtures that look at all tests need not be.
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(PROGRAMS)
def test_a_session_ends_well_whatever_is_done_with_it(program: Program):
    check(program)
