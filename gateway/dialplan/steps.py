"""The step machine: walks the steps of a plan as their milestones are reached."""

from collections.abc import Sequence

from gateway.contracts import CallControl, EndReason, Milestone
from gateway.dialplan.actions import Action


class StepMachine:
    """Runs the steps of one call in order; `begin` it once, then tell it every milestone.

    After the last step it asks the call to hang up, unless that step ends the call itself.
    """

    def __init__(self, steps: Sequence[Action], call: CallControl) -> None:
        self._steps = iter(steps)
        self._call = call
        self._awaited: Milestone | None = None
        self._reached: Milestone | None = None

    def begin(self) -> None:
        self._go_on()

    def reached(self, milestone: Milestone) -> None:
        self._reached = milestone
        # Any other milestone is ignored: an agent may end its conversation just as an operator speaks, and a
        # carrier may report an answer that nobody waits for. Neither is the step's own end.
        if milestone is self._awaited:
            self._go_on()

    def _go_on(self) -> None:
        for step in self._steps:
            self._awaited = self._reached = None
            awaited = step.begin(self._call)
            if step.ends_call:
                return
            # The call may reach the milestone while it begins the step; then nothing was awaited yet.
            if awaited is not None and awaited is not self._reached:
                self._awaited = awaited
                return
        self._awaited = None
        self._call.hang_up(EndReason.PLAN_ENDED)
