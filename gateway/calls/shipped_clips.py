"""The clips that a call plays."""

from pathlib import Path

from gateway.audio.clip import convert, read_wav
from gateway.contracts import RequestFailed, RunBlocking

__all__ = ["load_clip"]

_CLIPS = Path(__file__).parent / "clips"


async def load_clip(name: str, run_blocking: RunBlocking) -> bytes:
    """A WAV that ships with the gateway, as PCM16 at 24 000 Hz. Raises `RequestFailed`."""
    try:
        clip = await run_blocking(read_wav, _CLIPS / f"{name}.wav")
    except (OSError, ValueError) as error:
        raise RequestFailed(str(error)) from error
    return convert(clip.pcm, clip.rate_hz, 24_000)
