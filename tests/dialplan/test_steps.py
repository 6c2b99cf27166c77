from gateway.contracts import EndReason, Milestone
from gateway.dialplan.actions.answer import Answer
from gateway.dialplan.actions.converse import Converse
from gateway.dialplan.actions.hang_up import HangUp
from gateway.dialplan.actions.reject import Reject
from gateway.dialplan.actions.say import Say
from gateway.dialplan.actions.transfer import Transfer
from gateway.dialplan.steps import StepMachine


class Call:
    """Writes down what the steps ask; with `machine`, reaches each milestone at once."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.machine: StepMachine | None = None

    def answer(self) -> None:
        self._ask("answer", Milestone.ANSWERED)

    def say(self, text: str, voice: str | None) -> None:
        self._ask(("say", text, voice), Milestone.SAID)

    def converse(self, agent: str, *, interruptible: bool) -> None:
        self._ask(("converse", agent), Milestone.CONVERSED)

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
    assert call.asked == ["answer", ("say", "Hello.", "heart"), ("converse", "clerk")]


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

    assert call.asked == ["answer", ("say", "Hello.", None), ("converse", "clerk"), ENDED]


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
