import io
import json
import logging
from collections.abc import Iterator

import msgspec
import pytest
import structlog

from gateway.telemetry.log import configure


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What the log is written to; the process's logging is put back afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def fail(error: Exception) -> None:
    raise error


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_time_level_event_and_fields(stream: io.StringIO) -> None:
    log = configure(stream)

    log.bind(call="CA1").info("call.admitted", queue_ms=20)

    [line] = lines(stream)
    assert str(line.pop("ts")).endswith("Z")
    assert line == {"level": "info", "event": "call.admitted", "call": "CA1", "queue_ms": 20}
    assert stream.getvalue().startswith('{"ts":')


def test_pretty_lines_are_text_and_masked_too(stream: io.StringIO) -> None:
    log = configure(stream, pretty=True)

    log.info("call.admitted", caller="+14155551212")

    assert "call.admitted" in stream.getvalue()
    assert "+1415555**12" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_a_terminal_gets_pretty_lines(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "isatty", lambda: True)
    log = configure(stream)

    log.info("call.admitted")

    assert not stream.getvalue().startswith("{")


def test_lines_below_the_level_are_not_written(stream: io.StringIO) -> None:
    log = configure(stream, level="warning")

    log.info("call.admitted")
    log.warning("call.rejected")

    assert [line["event"] for line in lines(stream)] == ["call.rejected"]


def test_an_unknown_level_is_refused(stream: io.StringIO) -> None:
    with pytest.raises(ValueError, match="'loud' is none of debug"):
        configure(stream, level="loud")


def test_a_traceback_is_a_masked_field(stream: io.StringIO) -> None:
    log = configure(stream)

    try:
        fail(ValueError("no route for +14155551212 with token=s3cret"))
    except ValueError:
        log.exception("call.failed")

    [line] = lines(stream)
    assert str(line["exception"]).startswith("Traceback")
    assert "no route for +1415555**12 with token=[redacted]" in str(line["exception"])
    assert "s3cret" not in stream.getvalue()


def test_a_failed_group_shows_every_exception(stream: io.StringIO) -> None:
    log = configure(stream)

    log.error("call.failed", exc_info=ExceptionGroup("both", [ValueError("one"), KeyError("two")]))

    [line] = lines(stream)
    assert "ValueError: one" in str(line["exception"])
    assert "KeyError: 'two'" in str(line["exception"])


def test_libraries_come_through_the_same_pipe_from_warning_on(stream: io.StringIO) -> None:
    configure(stream)

    logging.getLogger("httpx").info("HTTP Request: POST https://x")
    logging.getLogger("hypercorn.error").warning("%s is odd", "+14155551212")

    [line] = lines(stream)
    del line["ts"]
    assert line == {
        "level": "warning",
        "event": "library.reported",
        "library": "hypercorn.error",
        "message": "+1415555**12 is odd",
    }


def test_a_librarys_traceback_is_kept(stream: io.StringIO) -> None:
    configure(stream)

    try:
        fail(OSError("gone"))
    except OSError:
        logging.getLogger("trio-websocket").exception("reader died")

    [line] = lines(stream)
    assert "OSError: gone" in str(line["exception"])


def test_a_second_configuration_replaces_the_first(stream: io.StringIO) -> None:
    configure(io.StringIO())
    configure(stream)

    logging.getLogger("x").warning("once")

    assert len(lines(stream)) == 1


class Route(msgspec.Struct):
    caller: str
    token: str


def test_structs_and_odd_values_are_written_clean(stream: io.StringIO) -> None:
    log = configure(stream)

    log.info(
        "call.routed",
        route=Route("+14155551212", "s3cret"),
        raw=b"\xff",
        kinds={1},
        odd=complex(1, 2),
        lone="\ud800",
    )

    [line] = lines(stream)
    assert line["route"] == {"caller": "+1415555**12", "token": "[redacted]"}
    assert (line["raw"], line["kinds"], line["odd"], line["lone"]) == ("\\xff", [1], "(1+2j)", "\\ud800")
