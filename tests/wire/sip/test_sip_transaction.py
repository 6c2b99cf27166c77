"""The four transactions, on an explicit clock. RFC 3261 §17, RFC 6026."""

import pytest

from gateway.wire.sip.steps import OVER, Table
from gateway.wire.sip.transaction import (
    INVITE_CLIENT,
    INVITE_SERVER,
    NON_INVITE_CLIENT,
    NON_INVITE_SERVER,
    Timing,
    machine,
)

TABLES = (INVITE_CLIENT, INVITE_SERVER, NON_INVITE_CLIENT, NON_INVITE_SERVER)


class Ladder:
    """A machine and all that it did: "what" at so many seconds."""

    def __init__(self, table: Table, *, reliable: bool = False) -> None:
        self.machine = machine(table, reliable=reliable, timing=Timing())
        self.did: list[tuple[float, str]] = []
        self._note(0.0, self.machine.happens("begin", 0.0))

    def at(self, now: float, *whats: str) -> "Ladder":
        """Let time pass up to `now`, at its own deadlines, and then things happen."""
        while (deadline := self.machine.deadline) is not None and deadline <= now:
            self._note(deadline, self.machine.passes(deadline))
        for what in whats:
            self._note(now, self.machine.happens(what, now))
        return self

    def times(self, what: str) -> list[float]:
        return [at for at, did in self.did if did == what]

    @property
    def state(self) -> str:
        return self.machine.state

    def _note(self, at: float, did: list[str]) -> None:
        self.did += [(round(at, 3), each) for each in did]


# -- INVITE, client


def test_an_invite_is_sent_again_after_longer_and_longer_pauses():
    assert Ladder(INVITE_CLIENT).at(40.0).times("send") == [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]


def test_an_invite_that_nobody_answers_times_out_after_64_round_trips():
    ladder = Ladder(INVITE_CLIENT).at(40.0)

    assert ladder.times("timed out") == [32.0]
    assert ladder.state == OVER


def test_an_invite_over_a_reliable_transport_is_sent_once():
    ladder = Ladder(INVITE_CLIENT, reliable=True).at(40.0)

    assert ladder.times("send") == [0.0]
    assert ladder.times("timed out") == [32.0]


def test_a_provisional_response_stops_the_retransmissions_and_leaves_as_much_time_as_it_takes():
    ladder = Ladder(INVITE_CLIENT).at(0.2, "1xx").at(180.0)

    assert ladder.times("send") == [0.0]
    assert ladder.state == "proceeding"


def test_a_refusal_is_acknowledged_each_time_it_comes_and_delivered_once():
    ladder = Ladder(INVITE_CLIENT).at(0.2, "1xx").at(1.0, "3xx-6xx").at(1.5, "3xx-6xx").at(2.5, "3xx-6xx")

    assert ladder.times("ack") == [1.0, 1.5, 2.5]
    assert ladder.times("deliver") == [0.2, 1.0]


@pytest.mark.parametrize(("reliable", "until_s"), [(False, 33.0), (True, 1.0)])
def test_repeated_refusals_are_absorbed_for_32_s_unless_the_transport_is_reliable(
    reliable: bool, until_s: float
):
    ladder = Ladder(INVITE_CLIENT, reliable=reliable).at(1.0, "3xx-6xx").at(until_s)

    assert ladder.state == OVER


def test_every_2xx_is_delivered_for_64_round_trips_because_each_needs_its_ack():
    ladder = Ladder(INVITE_CLIENT).at(1.0, "2xx").at(1.5, "2xx").at(20.0, "2xx").at(33.5, "2xx")

    assert ladder.times("deliver") == [1.0, 1.5, 20.0]
    assert ladder.times("ack") == []


def test_a_broken_transport_ends_the_wait_for_an_answer():
    ladder = Ladder(INVITE_CLIENT).at(0.3, "broken")

    assert ladder.times("broken") == [0.3]
    assert ladder.state == OVER


# -- other requests, client


def test_another_request_is_sent_again_at_most_every_4_s():
    sent = Ladder(NON_INVITE_CLIENT).at(40.0).times("send")

    assert sent == [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]


def test_after_a_provisional_response_it_is_still_sent_again_every_4_s():
    ladder = Ladder(NON_INVITE_CLIENT).at(0.6, "1xx").at(12.0)

    assert ladder.times("send") == [0.0, 0.5, 1.5, 5.5, 9.5]


def test_a_provisional_response_to_another_request_does_not_keep_it_from_timing_out():
    assert Ladder(NON_INVITE_CLIENT).at(0.6, "1xx").at(40.0).times("timed out") == [32.0]


def test_a_final_response_is_delivered_once_and_its_repetitions_are_absorbed_for_5_s():
    ladder = Ladder(NON_INVITE_CLIENT).at(1.0, "2xx").at(2.0, "2xx")

    assert ladder.times("deliver") == [1.0]
    assert ladder.at(6.0).state == OVER


# -- INVITE, server


def test_an_invite_that_comes_again_gets_the_last_provisional_response_again():
    ladder = Ladder(INVITE_SERVER).at(0.1, "tell 1xx").at(0.5, "request").at(1.5, "request")

    assert ladder.times("deliver") == [0.0]
    assert ladder.times("send") == [0.1, 0.5, 1.5]


def test_a_refusal_is_sent_again_until_it_is_acknowledged():
    ladder = Ladder(INVITE_SERVER).at(1.0, "tell 3xx-6xx").at(4.0, "ACK").at(40.0)

    assert ladder.times("send") == [1.0, 1.5, 2.5]
    assert ladder.state == OVER


def test_a_refusal_is_sent_again_at_most_every_4_s_and_given_up_after_64_round_trips():
    ladder = Ladder(INVITE_SERVER).at(0.0, "tell 3xx-6xx").at(40.0)

    assert ladder.times("send") == [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert ladder.times("timed out") == [32.0]


def test_an_acknowledgement_that_comes_again_is_absorbed_for_5_s():
    ladder = Ladder(INVITE_SERVER).at(1.0, "tell 3xx-6xx").at(1.2, "ACK").at(2.0, "ACK")

    assert ladder.times("deliver") == [0.0]
    assert ladder.state == "confirmed"
    assert ladder.at(6.2).state == OVER


def test_after_a_2xx_invites_are_absorbed_and_acknowledgements_delivered():
    ladder = Ladder(INVITE_SERVER).at(1.0, "tell 2xx").at(1.1, "request").at(1.2, "ACK")

    assert ladder.times("send") == [1.0]
    assert ladder.times("deliver") == [0.0, 1.2]
    assert ladder.at(33.0).state == OVER


def test_a_2xx_is_sent_again_when_the_user_says_so():
    ladder = Ladder(INVITE_SERVER).at(1.0, "tell 2xx").at(1.5, "tell 2xx").at(2.5, "tell 2xx")

    assert ladder.times("send") == [1.0, 1.5, 2.5]


# -- other requests, server


def test_a_request_that_comes_again_before_it_is_answered_is_absorbed():
    ladder = Ladder(NON_INVITE_SERVER).at(0.5, "request")

    assert ladder.times("send") == []
    assert ladder.times("deliver") == [0.0]


def test_a_request_that_comes_again_gets_its_final_response_again_for_64_round_trips():
    ladder = Ladder(NON_INVITE_SERVER).at(0.1, "tell 2xx").at(0.5, "request").at(1.5, "request")

    assert ladder.times("send") == [0.1, 0.5, 1.5]
    assert ladder.at(32.1).state == OVER


def test_over_a_reliable_transport_nothing_has_to_be_absorbed():
    assert Ladder(NON_INVITE_SERVER, reliable=True).at(0.1, "tell 2xx").at(0.1).state == OVER


def test_a_request_is_answered_once():
    ladder = Ladder(NON_INVITE_SERVER).at(0.1, "tell 2xx", "tell 3xx-6xx")

    assert ladder.times("send") == [0.1]


# -- all


@pytest.mark.parametrize("table", TABLES)
def test_every_state_of_a_table_can_be_reached_and_left(table: Table):
    reached = {row.state for rows in table.values() for row in rows.values()}

    assert reached == {*table, OVER} - {""}


@pytest.mark.parametrize("table", TABLES)
def test_every_timer_that_is_started_has_a_row_where_it_runs_out(table: Table):
    started = {
        does.split()[1]
        for rows in table.values()
        for row in rows.values()
        for does in row.does
        if does.startswith("start")
    }

    assert started <= {what for rows in table.values() for what in rows}


@pytest.mark.parametrize("table", TABLES)
def test_nothing_happens_to_a_transaction_that_is_over(table: Table):
    ladder = Ladder(table).at(0.1, "broken")

    assert ladder.machine.happens("request", 1.0) == []
    assert ladder.machine.happens("2xx", 1.0) == []
    assert ladder.machine.deadline is None
