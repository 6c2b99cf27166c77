"""`gateway serve`: settings in, a gateway that takes calls until it is told to stop."""

import sys
from collections.abc import Mapping
from pathlib import Path

import trio

from gateway.carriers.sip.checks import warnings_of
from gateway.dialplan.plan import load
from gateway.net.tasks import run_in_thread, unwrapped
from gateway.process import obey_signals, run_process
from gateway.settings import read_settings
from gateway.telemetry.log import configure
from gateway.voices import choose_voice
from gateway.wire.sip.hosts import write_host

__all__ = ["serve_forever"]


async def serve_forever(config: Path | None, environ: Mapping[str, str]) -> None:
    """Serve until drained. Raises `ConfigError` and `PlanError` before the first call, never after."""
    settings, secrets = read_settings(config, environ)
    log = configure(sys.stderr, level=settings.log.level)
    dialplan = load(Path(settings.dialplan.path))
    voice = choose_voice(settings.voice, dialplan, run_in_thread, secrets.openai_api_key)
    with unwrapped():
        async with trio.open_nursery() as nursery:
            running = await nursery.start(run_process, settings, secrets, dialplan, voice, log)
            await nursery.start(obey_signals, running.gateway)
            twilio = f"Twilio: POST {running.public_url}/twilio/voice"
            if secrets.twilio_auth_token is None:
                twilio = "Twilio: off, 404 (TWILIO_AUTH_TOKEN is not set)"
            say(f"public door   {settings.http.host}:{running.public_port}   {twilio}")
            say(f"private door  {running.private_url}   /healthz /readyz /metrics")
            if running.gateway.sip is not None:
                ways = ", ".join(f"{way.lower()}:{write_host(*at)}" for way, at in running.gateway.sip.bound)
                say(f"SIP           {ways}   trunks: {', '.join(settings.trunks)}")
            say(f"voice         {voice.says}")
            say(f"calls         {settings.calls.folder or 'not written to disk'}")
            for line in warnings_of(settings.sip, settings.trunks, most_calls=settings.calls.max_active):
                log.warning("settings.doubtful", detail=line)
            log.info("gateway.started", backend=voice.backends[0].traits.name, plans=len(dialplan.plans))
            await running.ended.wait()
            nursery.cancel_scope.cancel()
    log.info("gateway.ended")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
