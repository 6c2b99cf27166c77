"""Plants mistakes in the code that decides what is heard, one at a time, and replays tests/traces/ on each.

    python ops/plant_mutations.py

A mistake that no recorded call shows is a hole in the traces. Ends with 0 when every one is caught.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
TRACES = ROOT / "tests" / "traces"


class Mutation(NamedTuple):
    """A mistake: in `file`, `right` (once there) becomes `wrong`."""

    what: str
    file: str
    right: str
    wrong: str


MUTATIONS = (
    Mutation(
        "turn: the silence that ended it is not counted",
        "voice/session_core.py",
        "(max(behind_ms, 0.0) + self._turns.silence_duration_ms) / 1000",
        "max(behind_ms, 0.0) / 1000",
    ),
    Mutation(
        "turn: a second response is not waited for",
        "voice/session_core.py",
        'self._step("answered")\n        self._ask_if_wanted()',
        'self._step("answered")',
    ),
    Mutation(
        "resampler: cuts off instead of rounding",
        "audio/resample.py",
        "np.rint(self._sums",
        "np.trunc(self._sums",
    ),
    Mutation(
        "resampler: forgets a sample between chunks",
        "audio/resample.py",
        "self._samples[: self._held] = self._rest",
        "self._samples[1 : self._held] = self._rest[1:]",
    ),
    Mutation(
        "playout: runs one frame less ahead",
        "media/playout.py",
        "room_ms // FRAME_MS)",
        "room_ms // FRAME_MS - 1)",
    ),
    Mutation(
        "playout: the last frame of an item is filled up with zeros",
        "media/playout.py",
        "self._silence * missing",
        "bytes(missing)",
    ),
    Mutation(
        "cut: what waits is still played",
        "media/playout.py",
        "self._queue.clear()",
        "pass",
    ),
    Mutation(
        "cut: the far end is not cleared",
        "calls/paths.py",
        "self._leg.clear(now)",
        "pass",
    ),
    Mutation(
        "cut: the voice goes on with its response",
        "voice/session_core.py",
        "self._cut.add(response)",
        "pass",
    ),
    Mutation(
        "cut: the resampler remembers the cut response",
        "calls/paths.py",
        "self._down.reset()",
        "pass",
    ),
    Mutation(
        "mark: one that returned because of clear counts as heard",
        "carriers/twilio/far_playout.py",
        "self._out.clear()",
        "pass",
    ),
    Mutation(
        "mark: every 120 ms instead of every 100",
        "carriers/twilio/far_playout.py",
        "MARK_EVERY_MS = 100",
        "MARK_EVERY_MS = 120",
    ),
    Mutation(
        "heard: the upper bound is taken for the lower",
        "media/heard.py",
        "_within(heard.low_ms, span)",
        "_within(heard.high_ms, span)",
    ),
    Mutation(
        "media clock: a gap is not filled",
        "carriers/twilio/leg_core.py",
        "self._hand_on(self._silence * (ahead_ms * BYTES_PER_MS))",
        "self._origin_ms += ahead_ms",
    ),
)


def is_caught(mutation: Mutation, tree: Path) -> str | None:
    """Which recorded call shows the mistake; None when none does."""
    path = tree / "gateway" / mutation.file
    right = path.read_text()
    if right.count(mutation.right) != 1:
        raise SystemExit(
            f"{mutation.file}: {mutation.right!r} stands there {right.count(mutation.right)} times, not once"
        )
    path.write_text(right.replace(mutation.right, mutation.wrong))
    try:
        for trace in sorted(TRACES.iterdir()):
            command = [sys.executable, "-m", "gateway", "replay", str(trace)]
            ran = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False, timeout=120)
            if (
                ran.returncode == 1 and ": differs" in ran.stdout
            ):  # and not because the mistake does not even run
                return trace.name
    finally:
        path.write_text(right)
    return None


def main() -> int:
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        shutil.copytree(ROOT / "gateway", tree / "gateway", ignore=shutil.ignore_patterns("__pycache__"))
        for mutation in MUTATIONS:
            trace = is_caught(mutation, tree)
            missed += trace is None
            print(
                f"{'MISSED' if trace is None else 'caught'}  {mutation.what}"
                + (f"  ({trace})" if trace else "")
            )
    print(f"{len(MUTATIONS) - missed} of {len(MUTATIONS)} mistakes caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
