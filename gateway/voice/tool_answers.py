"""The order of what tools answer. A core."""

__all__ = ["ToolAnswers"]


class ToolAnswers:
    """The tools that run. Their answers reach the model in the order in which it called them."""

    def __init__(self) -> None:
        # By call, in order: the answer that waits for one before it.
        self._running: dict[str, str | None] = {}
        self._told = False  # answers, after which the agent has not been asked to go on

    @property
    def running(self) -> bool:
        return bool(self._running)

    def began(self, call: str) -> None:
        self._running[call] = None

    def done(self, call: str, output: str) -> list[tuple[str, str]]:
        """The calls and answers that can be told now. None for a call that nobody waits for."""
        if call not in self._running:
            return []
        self._running[call] = output
        ready: list[tuple[str, str]] = []
        for each, answer in list(self._running.items()):
            if answer is None:
                break
            ready.append((each, answer))
            del self._running[each]
        self._told = self._told or bool(ready)
        return ready

    @property
    def due(self) -> bool:
        """All are answered, and the agent has to be asked to go on: once, not after each."""
        return self._told and not self._running

    def asked(self) -> None:
        """The agent is asked, or will be for another reason."""
        self._told = False
