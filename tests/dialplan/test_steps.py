import pytest

from gateway.contracts import EndReason, Milestone
from gateway.dialplan.actions.answer import Answer
from gateway.dialplan.actions.converse import Converse
from gateway.dialplan.actions.hang_up import HangUp
from gateway.dialplan.actions.reject import Reject
from gateway.dialplan.actions.say import Say
from gateway.dialplan.actions.transfer import Transfer
from gateway.dialplan.steps import StepMachine


class Call:
    """Writes down what the steps ask; with `machine`, reaches each milestone at once.

    With `voiceless`, falls back as soon as an agent is to talk.
    """

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.machine: StepMachine | None = None
        self.voiceless: StepMachine | None = None

    def answer(self) -> None:
        self._ask("answer", Milestone.ANSWERED)

    def say(self, text: str, voice: str | None) -> None:
        self._ask(("say", text, voice), Milestone.SAID)

    def converse(self, agent: str, *, interruptible: bool) -> None:
        self._ask(("converse", agent, interruptible), Milestone.CONVERSED)
        if self.voiceless is not None:
            self.voiceless.fall_back()

    def transfer(self, destination: str) -> None:
        self.asked.append(("transfer", destination))

    def hang_up(self, reason: EndReason) -> None:
        self.asked.append(("hang_up", reason))

    def _ask(self, what: object, milestone: Milestone) -> None:
        self.asked.append(what)
        if self.machine is not None:
            self.machine.reached(milestone)


ENDED = ("hang_up", EndReason.PLAN_ENDED)


def test_a_step_begins_when_the_milestone_of_the_one_before_is_reached() -> None:
    call = Call()
    machine = StepMachine([Answer(), Say(text="Hello.", voice="heart"), Converse(agent="clerk")], call)

    machine.begin()
    after_begin = list(call.asked)
    machine.reached(Milestone.ANSWERED)
    after_answer = list(call.asked)
    machine.reached(Milestone.SAID)

    assert after_begin == ["answer"]
    assert after_answer == ["answer", ("say", "Hello.", "heart")]
    assert call.asked == ["answer", ("say", "Hello.", "heart"), ("converse", "clerk", True)]


def test_the_call_hangs_up_after_the_last_step() -> None:
    call = Call()
    machine = StepMachine([Answer()], call)

    machine.begin()
    machine.reached(Milestone.ANSWERED)

    assert call.asked == ["answer", ENDED]


def test_a_milestone_that_no_step_waits_for_is_ignored() -> None:
    call = Call()
    machine = StepMachine([Answer(), Converse(agent="clerk")], call)
    machine.begin()

    machine.reached(Milestone.SAID)
    machine.reached(Milestone.CONVERSED)

    assert call.asked == ["answer"]


def test_a_milestone_that_came_before_its_step_does_not_count() -> None:
    call = Call()
    machine = StepMachine([Answer(), Say(text="Hello."), HangUp()], call)
    machine.begin()

    machine.reached(Milestone.SAID)
    machine.reached(Milestone.ANSWERED)

    assert call.asked == ["answer", ("say", "Hello.", None)]


def test_a_milestone_after_the_end_is_ignored() -> None:
    call = Call()
    machine = StepMachine([Answer()], call)
    machine.begin()
    machine.reached(Milestone.ANSWERED)

    machine.reached(Milestone.ANSWERED)

    assert call.asked == ["answer", ENDED]


def test_steps_that_are_done_at_once_go_on_in_the_same_call() -> None:
    call = Call()
    machine = call.machine = StepMachine([Answer(), Say(text="Hello."), Converse(agent="clerk")], call)

    machine.begin()

    assert call.asked == ["answer", ("say", "Hello.", None), ("converse", "clerk", True), ENDED]


def test_a_plan_of_thousands_of_steps_needs_no_deep_stack() -> None:
    call = Call()
    machine = call.machine = StepMachine([Answer()] * 5000, call)

    machine.begin()

    assert call.asked == ["answer"] * 5000 + [ENDED]


def test_a_transfer_ends_the_call_itself() -> None:
    call = Call()
    machine = StepMachine([Answer(), Transfer(to="front_desk")], call)
    machine.begin()

    machine.reached(Milestone.ANSWERED)

    assert call.asked == ["answer", ("transfer", "front_desk")]


def test_hang_up_ends_the_call_once() -> None:
    call = Call()

    StepMachine([HangUp()], call).begin()

    assert call.asked == [ENDED]


def test_reject_ends_the_call_as_rejected() -> None:
    call = Call()

    StepMachine([Reject()], call).begin()

    assert call.asked == [("hang_up", EndReason.REJECTED)]


@pytest.mark.parametrize("interruptible", [True, False])
def test_whether_an_agent_may_be_interrupted_reaches_the_call(interruptible: bool) -> None:
    call = Call()

    StepMachine([Converse(agent="clerk", interruptible=interruptible)], call).begin()

    assert call.asked == [("converse", "clerk", interruptible)]


# -- the fallback


SORRY = Say(text="Nobody can talk.")
SAID = ("say", "Nobody can talk.", None)


def test_the_fallback_takes_the_place_of_the_steps_that_are_left() -> None:
    call = Call()
    machine = StepMachine([Converse(agent="clerk"), Transfer(to="bar")], call, [SORRY, Transfer(to="desk")])
    machine.begin()

    has_begun = machine.fall_back()
    machine.reached(Milestone.SAID)

    assert has_begun
    assert call.asked == [("converse", "clerk", True), SAID, ("transfer", "desk")]


def test_what_the_plan_waited_for_does_not_end_a_step_of_the_fallback() -> None:
    call = Call()
    machine = StepMachine([Converse(agent="clerk")], call, [SORRY, HangUp()])
    machine.begin()
    machine.fall_back()

    machine.reached(Milestone.CONVERSED)

    assert call.asked == [("converse", "clerk", True), SAID]


def test_the_call_hangs_up_after_the_last_step_of_the_fallback() -> None:
    call = Call()
    machine = StepMachine([Converse(agent="clerk"), HangUp()], call, [SORRY])
    machine.begin()
    machine.fall_back()

    machine.reached(Milestone.SAID)

    assert call.asked == [("converse", "clerk", True), SAID, ENDED]


def test_a_plan_without_a_fallback_stays_where_it_is() -> None:
    call = Call()
    machine = StepMachine([Converse(agent="clerk"), Transfer(to="bar")], call)
    machine.begin()

    has_begun = machine.fall_back()
    machine.reached(Milestone.CONVERSED)

    assert not has_begun
    assert call.asked == [("converse", "clerk", True), ("transfer", "bar")]


def test_a_fallback_that_has_begun_does_not_begin_again() -> None:
    call = Call()
    machine = StepMachine([Converse(agent="clerk")], call, [SORRY, Transfer(to="desk")])
    machine.begin()
    machine.fall_back()

    has_begun = machine.fall_back()
    machine.reached(Milestone.SAID)

    assert not has_begun
    assert call.asked == [("converse", "clerk", True), SAID, ("transfer", "desk")]


def test_a_call_may_fall_back_while_it_begins_a_step() -> None:
    call = Call()
    machine = StepMachine([Converse(agent="clerk"), Transfer(to="bar")], call, [SORRY, Transfer(to="desk")])
    call.voiceless = machine

    machine.begin()
    machine.reached(Milestone.CONVERSED)
    machine.reached(Milestone.SAID)

    assert call.asked == [("converse", "clerk", True), SAID, ("transfer", "desk")]


def test_a_fallback_whose_steps_are_done_at_once_ends_the_call_once() -> None:
    call = Call()
    machine = StepMachine([Converse(agent="clerk")], call, [SORRY])
    machine.begin()
    call.machine = machine

    machine.fall_back()

    assert call.asked == [("converse", "clerk", True), SAID, ENDED]


def test_a_plan_that_has_ended_can_still_fall_back() -> None:
    call = Call()
    machine = StepMachine([Transfer(to="bar")], call, [Transfer(to="desk")])
    machine.begin()

    has_begun = machine.fall_back()

    assert has_begun
    assert call.asked == [("transfer", "bar"), ("transfer", "desk")]
