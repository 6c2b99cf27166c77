"""What was said and is being written down: which clips the recognizer has, and where its words belong."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from gateway.voice.embedded.jobs import Transcribe

__all__ = ["Writing", "Written"]

_BYTES_PER_S = 48_000  # PCM16 at 24 000 Hz
_BYTES_PER_MS = 48
# The recognizer loses its way in longer clips. What was committed by hand may be longer and is cut where it is quiet.
_LONGEST_MS = 30_000
_QUIET_WITHIN_MS = 5_000
_QUIET_MS = 100


class Written(NamedTuple):
    """The words of one part of an item. `seconds`: of audio. `told`: the client is to know them."""

    item_id: str
    content_index: int
    seconds: float
    told: bool
    text: str


class _Clip(NamedTuple):
    """A part of an item: of each of its pieces the job, and the words as far as they are known."""

    unwritten: Written
    pieces: dict[int, str | None]


class Writing:
    """The clips of one session. `new_job` gives the jobs their ids."""

    def __init__(self, new_job: Callable[[], int]) -> None:
        self._new_job = new_job
        self._clips: dict[int, _Clip] = {}  # by job

    def __len__(self) -> int:
        return len(self._clips)

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._clips

    def start(
        self, item_id: str, pcm: bytes, *, content_index: int = 0, told: bool = True
    ) -> list[Transcribe]:
        """Have a clip written down: PCM16 at 24 000 Hz."""
        jobs = [Transcribe(self._new_job(), piece) for piece in _pieces(pcm)]
        unwritten = Written(item_id, content_index, len(pcm) / _BYTES_PER_S, told, "")
        clip = _Clip(unwritten, {job.id: None for job in jobs})
        self._clips |= {job.id: clip for job in jobs}
        return jobs

    def result(self, job_id: int, text: str) -> Written | None:
        """Take the words of a piece. Return those of the clip when they are all there."""
        clip = self._clips.pop(job_id)
        clip.pieces[job_id] = text
        texts = [piece for piece in clip.pieces.values() if piece is not None]
        if len(texts) < len(clip.pieces):
            return None
        return clip.unwritten._replace(text=" ".join(filter(None, texts)))


def _pieces(pcm: bytes) -> Iterator[bytes]:
    while len(pcm) > _LONGEST_MS * _BYTES_PER_MS:
        end = (_LONGEST_MS - _QUIET_WITHIN_MS) * _BYTES_PER_MS + _quietest(
            pcm[(_LONGEST_MS - _QUIET_WITHIN_MS) * _BYTES_PER_MS : _LONGEST_MS * _BYTES_PER_MS]
        )
        yield pcm[:end]
        pcm = pcm[end:]
    yield pcm


def _quietest(pcm: bytes) -> int:
    """Where in some audio, in bytes, the middle of its quietest tenth of a second is."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float64)
    size = _QUIET_MS * _BYTES_PER_MS // 2
    power = (samples.reshape(-1, size) ** 2).sum(axis=1)
    return (2 * int(power.argmin()) + 1) * size
