"""What `gateway import` prints, and how it exits."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from gateway.capture.calls import Side
from gateway.capture.frames import CaptureUnreadable
from gateway.capture.importing import Imported, import_calls
from gateway.capture.survey import survey
from gateway.config import ConfigError
from gateway.net.tasks import run_in_thread
from gateway.settings import read_settings
from gateway.traces.pseudonyms import Pseudonyms

__all__ = ["ImportWish", "run_import"]


class ImportWish(NamedTuple):
    """What was typed. `into` of None: the calls folder of the settings. `ours`: which side of its calls we are."""

    capture: Path
    config: Path | None = None
    into: Path | None = None
    ours: Side = Side.CALLED


async def run_import(
    wish: ImportWish, environ: Mapping[str, str], say: Callable[[str], None], warn: Callable[[str], None]
) -> int:
    """Import what can be, and say what became of each call; 0 if at least one has a folder now.

    `warn`: is told, a line each, what cannot be imported. Raises `ConfigError`.
    """
    settings, _secrets = read_settings(wish.config, environ)
    into = wish.into or Path(settings.calls.folder)
    if wish.into is None and not settings.calls.folder:
        raise ConfigError("calls.folder is empty, and calls are imported there; name a folder by --into")
    try:
        found = await run_in_thread(survey, wish.capture, wish.ours)
        for problem in found.problems:
            warn(f"{wish.capture}: {problem}")
        imported = [Imported(call, None, call.problem) for call in found.calls]
        if any(call.problem is None for call in found.calls):
            into.mkdir(mode=0o700, parents=True, exist_ok=True)
            names = Pseudonyms.load(into, keep_numbers=settings.traces.keep_numbers)
            imported = await import_calls(wish.capture, found.calls, into, names, run_in_thread)
    except CaptureUnreadable as error:
        raise ConfigError(str(error)) from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{into}: {why}; it must be a folder of ours") from None
    for each in imported:
        _tell(wish.capture, each, say, warn)
    return 0 if any(each.folder is not None for each in imported) else 1


def _tell(capture: Path, imported: Imported, say: Callable[[str], None], warn: Callable[[str], None]) -> None:
    if imported.problem is not None:
        warn(f"{capture}: {imported.problem}")
    folder = imported.folder
    if folder is not None:
        record = folder.record
        reason = record.reason.value if record.reason is not None else ""
        say(
            f"packet {imported.call.number:<7} {record.duration_ms / 1000:7.1f} s  {reason:16} {folder.folder}"
        )
