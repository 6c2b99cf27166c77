"""How much was heard of the answers that were taken, as time tells. A core."""

from collections.abc import Iterator

from gateway.voice.answers import Answer

__all__ = ["Playing"]


class Playing:
    """What was taken is played from then on, one answer after the other, without a pause."""

    def __init__(self) -> None:
        self._answers: list[Answer] = []  # since the last pause
        self._until = 0.0

    def __iter__(self) -> Iterator[Answer]:
        return iter(self._answers)

    def took(self, answer: Answer, duration_ms: float, now: float) -> None:
        """The next part of `answer` was taken."""
        if self._until <= now:
            self._answers.clear()
        if answer not in self._answers:
            self._answers.append(answer)
        self._until = max(self._until, now) + duration_ms / 1000

    def stop(self, now: float) -> None:
        self._until = min(self._until, now)

    def heard(self, now: float) -> dict[Answer, float]:
        """How much was heard by now, in ms; of those before, all was."""
        ahead_ms = max(self._until - now, 0.0) * 1000
        heard: dict[Answer, float] = {}
        for answer in reversed(self._answers):
            heard[answer] = max(answer.taken_ms - ahead_ms, 0.0)
            ahead_ms = max(ahead_ms - answer.taken_ms, 0.0)
        return dict(reversed(heard.items()))
