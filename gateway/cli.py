"""The command `gateway`: reads what was typed and calls one function."""

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import trio

from gateway import traces
from gateway.config import ConfigError
from gateway.dialplan import plan as dialplans

__all__ = ["main"]

# Exit codes: what was typed or set is wrong, as click has it; what was asked for did not come out well.
_USAGE = 2
_FAILED = 1


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Phone calls reach 24 kHz voice sessions."""


def settings_errors(command: Callable[..., None]) -> Callable[..., None]:
    """What is wrong with settings or plans is printed as it is and ends the command."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except (ConfigError, dialplans.PlanError) as error:
            click.echo(f"gateway: {error}", err=True)
            sys.exit(_USAGE)

    return wrapped


config_option = click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), help="Settings file (default: gateway.toml)."
)


@main.command()
@config_option
@settings_errors
def serve(config: Path | None) -> None:
    """Take calls until SIGTERM, which drains; a second one ends all calls."""
    from gateway.daemon import serve_forever

    trio.run(serve_forever, config, os.environ)


@main.command()
@config_option
@click.option("--exit", "exits", is_flag=True, help="End after the call, instead of serving on.")
@click.option("--caller", type=click.Path(path_type=Path), help="A WAV of your own.")
@settings_errors
def demo(config: Path | None, exits: bool, caller: Path | None) -> None:
    """Place a call to this gateway, on this machine, and show what happens in it."""
    from gateway.demo import run_demo

    sys.exit(trio.run(functools.partial(run_demo, config, os.environ, exits=exits, caller=caller)))


@main.command()
@config_option
@click.argument("callee")
@click.option(
    "--dialplan", type=click.Path(path_type=Path), help="Whose plan it is (default: that of the settings)."
)
@click.option("--plan", help="The plan that runs when somebody answers (default: that of [default]).")
@click.option("--header", "headers", multiple=True, help="'NAME: TEXT', one that the trunk lets through.")
@click.option(
    "--ring-s",
    type=click.FloatRange(1, 300),
    default=60,
    show_default=True,
    help="How long it may ring, in seconds.",
)
@settings_errors
def call(**typed: Any) -> None:
    """Call sip:NUMBER@TRUNK and have a plan run in the call. Ctrl-C hangs up."""
    from gateway.outbound import CallWish, run_call

    sys.exit(trio.run(run_call, CallWish(**typed), os.environ, click.echo))


@main.command("realtime-server")
@config_option
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0: a free one.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Whoever reaches this address is let in: no key is asked for.",
)
@click.option("--script", show_default="reception", help="The dialogue that answers.")
@click.option(
    "--voice",
    type=click.Choice(["embedded", "scripted"]),
    default="embedded",
    show_default=True,
    help="scripted: without models, in tones.",
)
@settings_errors
def realtime_server(config: Path | None, host: str, port: int, script: str | None, voice: Any) -> None:
    """Serve OpenAI's Realtime protocol on a WebSocket of this machine, offline, for tests of clients."""
    from gateway.realtime_server import Choice, serve_realtime

    trio.run(serve_realtime, config, os.environ, Choice(host, port, script, voice), click.echo)


@main.command()
@click.argument(
    "folders", nargs=-1, required=True, type=click.Path(path_type=Path, file_okay=False, exists=True)
)
@click.option(
    "--accept", is_flag=True, help="Rewrite the recorded outputs, after the first difference was shown."
)
def replay(folders: tuple[Path, ...], accept: bool) -> None:
    """Feed recorded calls to new cores and compare every output, byte for byte."""
    from gateway.building import build_core

    run = traces.accept if accept else traces.replay
    verdicts = [run(folder, build_core) for folder in folders]
    for verdict in verdicts:
        for line in traces.report_lines(verdict):
            click.echo(line)
    identical = all(verdict.identical or verdict.accepted for verdict in verdicts)
    sys.exit(0 if identical else _FAILED)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to (default: FOLDER/report.html).",
)
def report(folder: Path, output: Path | None) -> None:
    """Write a recorded call as one page: sound, words, and where the time went. It opens without a server."""
    from gateway.carriers.readers import READERS
    from gateway.report import write_report
    from gateway.traces.reader import TraceUnreadable

    try:
        page = write_report(folder, READERS, output)
        size_mb = page.stat().st_size / 1e6
    except (TraceUnreadable, OSError) as error:
        click.echo(f"gateway: {error}", err=True)
        sys.exit(_FAILED)
    click.echo(f"{page}   {size_mb:.1f} MB")


@main.command("import")
@config_option
@click.argument("capture", type=click.Path(path_type=Path))
@click.option("--into", type=click.Path(path_type=Path), help="Where to (default: the calls folder).")
@click.option(
    "--as",
    "ours",
    type=click.Choice(["called", "caller"]),
    default="called",
    show_default=True,
    help="Which side of its calls we are: the other one becomes the caller.",
)
@settings_errors
def import_capture(config: Path | None, capture: Path, into: Path | None, ours: str) -> None:
    """Make a call folder of each call in a capture (SIP and G.711, as tcpdump or sngrep save it)."""
    from gateway.capture.calls import Side
    from gateway.capture.commands import ImportWish, run_import

    wish = ImportWish(capture, config, into, Side(ours))
    warn = functools.partial(click.echo, err=True)
    sys.exit(trio.run(run_import, wish, os.environ, click.echo, warn))


@main.command()
@config_option
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--dialplan", type=click.Path(path_type=Path), help="What answers (default: that of the settings)."
)
@click.option("--plan", help="The plan that answers (default: as the dialplan routes the call).")
@click.option(
    "--into", type=click.Path(path_type=Path), help="Where the new call goes (default: the calls folder)."
)
@settings_errors
def rerun(
    config: Path | None, folder: Path, dialplan: Path | None, plan: str | None, into: Path | None
) -> None:
    """Let the caller of a recorded SIP call call again: what he said is played to a dialplan, in real time."""
    from gateway.capture.rerun import RerunWish, run_rerun

    wish = RerunWish(folder, config, dialplan, plan, into)
    sys.exit(trio.run(run_rerun, wish, os.environ, click.echo))


@main.group()
def dialplan() -> None:
    """Look at dialplans."""


@dialplan.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
def check(paths: tuple[Path, ...]) -> None:
    """Say what is wrong with dialplans, each line with its file, key, value and what would be right."""
    errors = [error for path in paths for error in dialplans.check(path)]
    for error in errors:
        click.echo(str(error), err=True)
    if errors:
        sys.exit(_FAILED)
    for path in paths:
        loaded = dialplans.load(path)
        click.echo(f"{path}: {len(loaded.plans)} plans, {len(loaded.routes)} routes, no error")
