"""What carries out a core's requests for clips and tools."""

from collections.abc import Mapping
from pathlib import Path

import structlog

from gateway.audio.clip import convert, read_wav
from gateway.contracts import RequestFailed, RunBlocking
from gateway.tools import ArgumentsWrong, PythonTool

__all__ = ["load_clip", "run_tool"]

_CLIPS = Path(__file__).parent / "clips"


async def load_clip(name: str, run_blocking: RunBlocking) -> bytes:
    """A WAV that ships with the gateway, as PCM16 at 24 000 Hz. Raises `RequestFailed`."""
    try:
        clip = await run_blocking(read_wav, _CLIPS / f"{name}.wav")
    except (OSError, ValueError) as error:
        raise RequestFailed(str(error)) from error
    return convert(clip.pcm, clip.rate_hz, 24_000)


async def run_tool(
    tools: Mapping[str, PythonTool],
    name: str,
    arguments: str,
    run_blocking: RunBlocking,
    log: structlog.typing.FilteringBoundLogger,
) -> str:
    """What a tool answers. Raises `RequestFailed`, with a text for the model, whatever the tool raised."""
    try:
        return await tools[name].run(arguments, run_blocking)
    except ArgumentsWrong as error:
        raise RequestFailed(str(error)) from error
    except Exception as error:
        log.exception("tool.raised", tool=name)
        raise RequestFailed(f"{type(error).__name__}") from error
