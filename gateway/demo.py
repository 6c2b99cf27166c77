"""`gateway demo`: a caller calls this gateway, on this machine, and everything that happens is shown."""

import functools
import secrets as tokens
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import trio

from gateway.audio.clip import convert, read_wav
from gateway.audio.pauses import utterances
from gateway.building import build_core
from gateway.config import ConfigError, Secret
from gateway.dialplan.plan import load
from gateway.net.tasks import run_in_thread, unwrapped
from gateway.process import Running, obey_signals, run_process
from gateway.settings import Secrets, Settings, read_settings
from gateway.story import Story
from gateway.telemetry.log import configure
from gateway.testing.fake_twilio import FakeTwilio, TwilioAccount
from gateway.testing.handset import CallOver
from gateway.testing.twilio_caller import Caller
from gateway.traces import replay, report_lines
from gateway.voice.settings import VoiceSettings
from gateway.voices import choose_voice, missing_voice

__all__ = ["run_demo"]

_CALLER = Path(__file__).parent / "testing" / "caller.wav"
_PLANS = Path(__file__).parent.parent / "dialplans" / "reception.toml"

CALLER_NUMBER = "+15550100001"
CALLED_NUMBER = "+15550100002"

# Whoever has set up a public gateway can watch a demonstration beside it.
_LOOPBACK = {
    "GATEWAY_HTTP__HOST": "127.0.0.1",
    "GATEWAY_HTTP__PUBLIC_URL": "",
    "GATEWAY_HTTP__CERTIFICATE": "",
    "GATEWAY_HTTP__KEY": "",
}

_RATE_HZ = 8000
_INTERRUPT_AFTER_S = 2.5  # into the answer to the first question
_POLITE_S = 0.8  # how long an agent has been silent when a caller takes his turn
_PATIENCE_S = 5.0
_LONGEST_S = 180


async def run_demo(
    config: Path | None, environ: Mapping[str, str], *, exits: bool, caller: Path | None
) -> int:
    """Run the demonstration; the exit code is 0 if the caller was understood, answered, and replayed exactly.

    Raises `ConfigError` and `PlanError`, for a recording that cannot be used too.
    """
    missing = missing_voice()
    settings, secrets = _settings(config, environ, embedded=missing is None)
    if missing is not None:
        say(
            f"The embedded voice is missing: {missing}. The call, its trace and its replay work; `echo` answers."
        )
    parts = _recording(caller or _CALLER)
    dialplan = load(_plans(Path(settings.dialplan.path)))
    log = configure(sys.stderr, level="error" if settings.log.level == "info" else settings.log.level)
    story = Story(say, opening=f"{CALLER_NUMBER} calls {CALLED_NUMBER}")
    with unwrapped():
        async with trio.open_nursery() as nursery:
            voice = choose_voice(settings.voice, dialplan, run_in_thread, secrets.openai_api_key)
            start = functools.partial(run_process, watch=story.watch)
            running = await nursery.start(start, settings, secrets, dialplan, voice, log)
            say(f"gateway       {running.public_url}   health and metrics: {running.private_url}/metrics")
            say(f"voice         {voice.says}")
            say("")
            with trio.move_on_after(_LONGEST_S):
                await _call(running, secrets, parts)
            await running.gateway.supervisor.idle()
            code = await _judge(story, Path(settings.calls.folder) / story.call, understood=missing is None)
            if not exits:
                await nursery.start(obey_signals, running.gateway)
                say("")
                say(f"Serving on at {running.public_url} until Ctrl-C.")
                await running.ended.wait()
            nursery.cancel_scope.cancel()
    return code


def _settings(config: Path | None, environ: Mapping[str, str], *, embedded: bool) -> tuple[Settings, Secrets]:
    """As `serve` has them, but on this machine alone, on free ports, with a token that nobody needs to have."""
    free = {"GATEWAY_HTTP__PORT": "0", "GATEWAY_PRIVATE__PORT": "0"}
    settings, secrets = read_settings(config, free | dict(environ) | _LOOPBACK)
    if not embedded and settings.voice.backend == "embedded":
        settings = msgspec.structs.replace(settings, voice=VoiceSettings(backend="echo"))
    if not settings.calls.folder:
        raise ConfigError("calls.folder is empty, and the demo shows what is written there; name a folder")
    if secrets.twilio_auth_token is None:
        secrets = msgspec.structs.replace(secrets, twilio_auth_token=Secret(tokens.token_hex(16)))
    return settings, secrets


def _plans(path: Path) -> Path:
    """The dialplan of the settings, or the one beside this package: the demo runs from any folder."""
    return path if path.exists() else _PLANS


def _recording(path: Path) -> list[bytes]:
    """What the caller says, utterance by utterance: PCM16 at 8 000 Hz."""
    try:
        clip = read_wav(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"--caller {path}: {error}") from None
    parts = utterances(convert(clip.pcm, clip.rate_hz, _RATE_HZ), _RATE_HZ)
    if not parts:
        raise ConfigError(f"--caller {path}: nobody speaks in it; a recording of speech would be right")
    return parts


async def _call(running: Running, secrets: Secrets, parts: Sequence[bytes]) -> None:
    """Place the call as Twilio would, through the signed webhook and the WebSocket."""

    async def dial() -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", running.public_port)

    token = secrets.twilio_auth_token
    account = TwilioAccount(
        account_sid="AC" + tokens.token_hex(16),
        auth_token=token.reveal() if token is not None else "",
        public_url=running.public_url,
        dial=dial,
    )
    async with FakeTwilio(account) as twilio, twilio.call(from_=CALLER_NUMBER, to=CALLED_NUMBER) as caller:
        try:
            await _talk(caller, parts)
        except CallOver:  # the agent said goodbye
            return


async def _talk(caller: Caller, parts: Sequence[bytes]) -> None:
    """Say each utterance when the agent has finished, but the second one into the answer to the first."""
    await _answer_to(caller)
    await caller.quiet(_POLITE_S)
    for number, part in enumerate(parts):
        await caller.says(part)
        await _answer_to(caller)
        if number == 0 and len(parts) > 1:
            await caller.silence(_INTERRUPT_AFTER_S)
        else:
            await caller.quiet(_POLITE_S)
    await caller.hangs_up()


async def _answer_to(caller: Caller) -> None:
    """Wait until the agent speaks, as long as a caller would; `echo` never does by itself."""
    with trio.move_on_after(_PATIENCE_S):
        await caller.speaking()


async def _judge(story: Story, folder: Path, *, understood: bool) -> int:
    verdict = await run_in_thread(replay, folder, build_core)
    say("")
    say(f"written to    {folder}   ({await run_in_thread(_names, folder)})")
    for line in report_lines(verdict):
        say(f"replayed      {line}")
    say(f"again         ./ops/gateway replay {folder}")
    say("yourself      ./ops/gateway demo --caller FILE.wav, or a number of yours: ops/docs/twilio.md")
    failures = []
    if not verdict.identical:
        failures.append("the replay was not exact")
    if not understood:
        failures.append("nobody could understand the caller, because the embedded voice is missing")
    elif not any(story.heard) or not story.matched:
        failures.append("the caller was not understood")
    elif not story.latencies_ms:
        failures.append("the caller was not answered")
    for failure in failures:
        say(f"FAILED        {failure}")
    return 1 if failures else 0


def _names(folder: Path) -> str:
    return ", ".join(sorted(path.name for path in folder.iterdir()))


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
