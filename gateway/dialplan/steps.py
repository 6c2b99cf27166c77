"""The step machine: walks the steps of a plan as their milestones are reached."""

from collections.abc import Sequence

from gateway.contracts import CallControl, EndReason, Milestone
from gateway.dialplan.actions import Action


class StepMachine:
    """Runs the steps of one call in order; `begin` it once, then tell it every milestone.

    After the last step it asks the call to hang up, unless that step ends the call itself. `fallback`: the
    steps that can take their place.
    """

    def __init__(self, steps: Sequence[Action], call: CallControl, fallback: Sequence[Action] = ()) -> None:
        self._steps = iter(steps)
        self._call = call
        self._fallback = fallback
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

    def fall_back(self) -> bool:
        """Leave the plan where it is, for good, and begin its fallback.

        False when it has none, or when that has begun already; then nothing changes.
        """
        if not self._fallback:
            return False
        self._steps, self._fallback = iter(self._fallback), ()
        self._go_on()
        return True

    def _go_on(self) -> None:
        steps = self._steps
        for step in steps:
            self._awaited = self._reached = None
            awaited = step.begin(self._call)
            # The call may fall back while it begins the step: what that one waits for is nothing to us any more.
            if step.ends_call or steps is not self._steps:
                return
            # The call may reach the milestone while it begins the step; then nothing was awaited yet.
            if awaited is not None and awaited is not self._reached:
                self._awaited = awaited
                return
        self._awaited = None
        self._call.hang_up(EndReason.PLAN_ENDED)
