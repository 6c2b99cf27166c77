"""The process around the gateway: what keeps it from starting, and threads that nobody waits for."""

import functools
import threading
from pathlib import Path

import pytest
import structlog
import trio

from gateway.config import ConfigError
from gateway.demo import _settings
from gateway.dialplan.plan import Dialplan
from gateway.net.tasks import run_in_thread
from gateway.serve import Gateway, Parts
from gateway.settings import read_settings
from gateway.telemetry.metrics import Metrics
from gateway.testing.live import inline, live_gateway
from tests.calls.puppet import Puppet

PLAN = '[default]\nplan = "p"\n[plans.p]\nsteps = [{ do = "answer" }]\n'


async def test_a_thread_that_hangs_is_not_waited_for():
    release = threading.Event()

    with trio.fail_after(5), trio.move_on_after(0.05) as deadline:
        await run_in_thread(release.wait, 20)

    assert deadline.cancelled_caught
    release.set()


def test_auth_tokens_are_read_without_empty_ones():
    _, secrets = read_settings(None, {"TWILIO_AUTH_TOKEN": "x, ,y,"})

    assert secrets.twilio_auth_tokens() == ["x", "y"]


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"TWILIO_AUTH_TOKEN": " , ,"}, "TWILIO_AUTH_TOKEN has commas and no token between them"),
        (
            {"TWILIO_AUTH_TOKEN": "x", "GATEWAY_HTTP__HOST": "0.0.0.0"},
            (
                "http.host = '0.0.0.0': http.public_url is missing; "
                "set http.public_url to the https origin that Twilio calls"
            ),
        ),
    ],
    ids=["no token", "no public URL"],
)
def test_settings_that_twilio_could_not_be_served_with_are_refused(environ: dict[str, str], told: str):
    with pytest.raises(ConfigError) as refused:
        read_settings(None, environ)

    assert str(refused.value) == told


async def nothing_to_say(text: str, _voice: str | None) -> bytes:
    raise AssertionError(f"nothing is to be said here: {text!r}")


async def test_no_call_comes_in_before_the_voice_is_loaded(autojump_clock: trio.testing.MockClock):
    settings, secrets = read_settings(None, {"GATEWAY_CALLS__FOLDER": ""})
    loads_s, began_s = 2.0, trio.current_time()
    parts = Parts(
        dialplan=Dialplan(plans={}),
        backends=(Puppet(),),
        synthesize=nothing_to_say,
        run_blocking=inline,
        metrics=Metrics(),
        log=structlog.get_logger(),
        voice_loaded=functools.partial(trio.sleep, loads_s),
    )

    async with trio.open_nursery() as nursery:
        await nursery.start(Gateway(settings, secrets, "", parts).run)
        started_s = trio.current_time()
        nursery.cancel_scope.cancel()

    assert started_s - began_s == loads_s


@pytest.mark.parametrize("broken", ["a file", "a folder with a bad key"])
async def test_a_calls_folder_that_is_of_no_use_is_told_in_one_line(tmp_path: Path, broken: str):
    folder = tmp_path / "calls"
    if broken == "a file":
        folder.write_text("")
    else:
        folder.mkdir()
        (folder / ".pseudonym-key").write_bytes(b"short")
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN)

    with pytest.RaisesGroup(ConfigError, flatten_subgroups=True) as refused:
        async with live_gateway(plan, Puppet(), folder=folder):
            pass

    (error,) = refused.value.exceptions
    while isinstance(error, ExceptionGroup):
        (error,) = error.exceptions
    assert str(error).startswith(f"calls.folder = '{folder}': ")
    assert "\n" not in str(error)


def test_a_demonstration_stays_on_this_machine_whatever_the_door_is_set_to():
    public = {
        "GATEWAY_HTTP__HOST": "0.0.0.0",
        "GATEWAY_HTTP__PUBLIC_URL": "https://gateway.example",
        "GATEWAY_HTTP__CERTIFICATE": "cert.pem",
        "GATEWAY_HTTP__KEY": "key.pem",
    }

    settings, _ = _settings(None, public, embedded=True)

    http = settings.http
    assert (http.host, http.public_url, http.certificate, http.key) == ("127.0.0.1", "", "", "")
