"""The log: one JSON object a line, or coloured text on a terminal, with numbers masked and secrets redacted.

Call `configure` once, at start. It returns the logger to bind and hand on: `log.bind(call=call_id)`. Context
variables are not used, because they follow whoever spawned a task and not the call that it works for.
Events are `noun.past_participle`; nothing is logged per frame.
"""

import logging
from typing import Any, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from gateway.telemetry.masking import clean

_LEVELS = ("debug", "info", "warning", "error")


def configure(stream: TextIO, *, pretty: bool | None = None, level: str = "info") -> FilteringBoundLogger:
    """Send this process's log to `stream` and return its root logger.

    `pretty`: text for people instead of JSON; None: when `stream` is a terminal. `level`: debug, info, warning
    or error; ValueError otherwise. What libraries log with the standard library comes through the same pipe
    from WARNING on. A second call replaces the first.
    """
    if level not in _LEVELS:
        raise ValueError(f"log level {level!r} is none of {', '.join(_LEVELS)}")
    as_text = stream.isatty() if pretty is None else pretty
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
            structlog.processors.format_exc_info,
            _clean_event,
            _console_renderer() if as_text else _render_json,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    log: FilteringBoundLogger = structlog.get_logger()
    _take_over_standard_logging(log)
    return log


class _LibraryHandler(logging.Handler):
    """What a library says with the standard library's logging, as one of our events."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        level = min(record.levelno, logging.ERROR)
        fields: dict[str, Any] = {"library": record.name, "message": record.getMessage()}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        self._log.log(level, "library.reported", **fields)


def _take_over_standard_logging(log: FilteringBoundLogger) -> None:
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _LibraryHandler)]:
        root.removeHandler(handler)
    root.addHandler(_LibraryHandler(log))
    root.setLevel(logging.WARNING)


def _clean_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Every field as plain JSON values without numbers and secrets: structs too, before a renderer prints them."""
    plain = msgspec.to_builtins(
        dict(event), builtin_types=(bytes, bytearray, memoryview), enc_hook=repr, str_keys=True
    )
    cleaned: EventDict = clean(plain)
    return cleaned


def _render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    head = {key: event.pop(key) for key in ("ts", "level", "event") if key in event}
    return msgspec.json.encode(head | dict(event)).decode()


def _console_renderer() -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(
        timestamp_key="ts", exception_formatter=structlog.dev.plain_traceback
    )
