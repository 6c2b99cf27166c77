"""What carries out the tools that an agent calls."""

from collections.abc import Mapping

import structlog

from gateway.contracts import RequestFailed, RunBlocking
from gateway.tools import ArgumentsWrong, PythonTool

__all__ = ["run_tool"]


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
