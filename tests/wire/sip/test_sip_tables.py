"""The tables of a session and of its parts, and what steps through them."""

import pytest

from gateway.wire.sip.invite_client import INVITE_ASKED
from gateway.wire.sip.invite_server import INVITE_SERVED
from gateway.wire.sip.offers import OFFERS
from gateway.wire.sip.renegotiation import RENEGOTIATED
from gateway.wire.sip.session_states import SESSION
from gateway.wire.sip.session_timer import SESSION_REFRESHED
from gateway.wire.sip.steps import OVER, Row, Steps, Table
from gateway.wire.sip.transfer import REFER_ISSUED, REFER_TAKEN

TABLES = {
    "invite asked": INVITE_ASKED,
    "invite served": INVITE_SERVED,
    "offers": OFFERS,
    "refer issued": REFER_ISSUED,
    "refer taken": REFER_TAKEN,
    "renegotiated": RENEGOTIATED,
    "session": SESSION,
    "session refreshed": SESSION_REFRESHED,
}
tables = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)

CLOCK: Table = {
    "": {"begin": Row("ticking", ("start tick", "start end"))},
    "ticking": {
        "tick": Row("ticking", ("tick", "start tick")),
        "stop": Row("ticking", ("stop tick",)),
        "end": Row(OVER),
    },
}


def clock() -> Steps:
    steps = Steps(CLOCK, {"tick": 1.0, "end": 3.5}.get)
    steps.happens("begin", 10.0)
    return steps


@tables
def test_every_state_can_be_reached_and_left(table: Table):
    reached = {row.state for rows in table.values() for row in rows.values()}

    assert reached - {OVER} == set(table) - {""}


@tables
def test_every_timer_that_is_started_has_a_row_where_it_runs_out(table: Table):
    done = [each.split() for rows in table.values() for row in rows.values() for each in row.does]
    started = {each[1] for each in done if each[0] == "start"}

    assert started <= {what for rows in table.values() for what in rows}


@tables
def test_only_timers_that_are_started_are_stopped(table: Table):
    done = [each.split() for rows in table.values() for row in rows.values() for each in row.does]

    assert {each[1] for each in done if each[0] == "stop"} <= {each[1] for each in done if each[0] == "start"}


def test_timers_run_out_at_their_own_time_however_late_it_is_looked():
    steps = clock()

    assert steps.passes(13.2) == ["tick", "tick", "tick"]
    assert steps.deadline == 13.5


def test_what_is_over_has_no_timers():
    steps = clock()

    assert steps.passes(20.0) == ["tick", "tick", "tick"]
    assert steps.over
    assert steps.deadline is None


def test_a_timer_that_is_stopped_does_not_run_out():
    steps = clock()

    steps.happens("stop", 10.5)

    assert steps.passes(13.0) == []


def test_what_has_no_row_means_nothing():
    steps = clock()

    assert not steps.can("dance")
    assert steps.happens("dance", 10.1) == []
    assert steps.state == "ticking"
