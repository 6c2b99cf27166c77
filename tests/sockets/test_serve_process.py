"""`gateway serve` from outside: what it prints, answers and refuses, and how it ends."""

from pathlib import Path
from typing import TypedDict

import httpx
import msgspec
import pytest
import trio

from gateway.calls.record import CallRecord
from gateway.contracts import EndReason
from gateway.testing.twilio_call import EndedBy
from gateway.testing.twilio_requests import sign
from tests.sockets.gateway_process import AUTH_TOKEN, Served, run_gateway, serving


class Numbers(TypedDict):
    from_: str
    to: str


NUMBERS = Numbers(from_="+15550100001", to="+15550100002")
SPEECH = b"\x00\x40" * 4000  # half a second that is loud
TOKEN = {"TWILIO_AUTH_TOKEN": AUTH_TOKEN}
FORM = {
    "AccountSid": "AC" + "1" * 32,
    "CallSid": "CA" + "2" * 32,
    "From": "+15550100001",
    "To": "+15550100002",
}


async def post(url: str, signature: str = "") -> httpx.Response:
    headers = {"X-Twilio-Signature": signature} if signature else {}
    async with httpx.AsyncClient() as client:
        return await client.post(url, data=FORM, headers=headers)


async def get(url: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(url)


async def drains(served: Served) -> None:
    """Wait until the gateway says that it is not ready."""
    while (await get(f"{served.private_url}/readyz")).status_code != 404:
        pass


def record_of(folder: Path) -> CallRecord:
    (path,) = (folder / "calls").glob("*/call.json")
    return msgspec.json.decode(path.read_bytes(), type=CallRecord)


# -- what it says and answers


async def test_it_prints_a_line_for_each_door_and_which_voice_answers(tmp_path: Path):
    async with serving(tmp_path, TOKEN) as served:
        public, private, voice, calls = served.lines

    assert public.endswith(f"Twilio: POST {served.public_url}/twilio/voice")
    assert private.endswith("/healthz /readyz /metrics")
    assert voice == "voice         echo: callers hear themselves"
    assert calls == "calls         calls"


async def test_a_caller_is_answered_over_tcp_and_hears_what_the_voice_says(tmp_path: Path):
    async with serving(tmp_path, TOKEN) as served, served.twilio() as twilio:
        async with twilio.call(**NUMBERS) as caller:
            await caller.says(SPEECH)
            await caller.quiet(0.5)
            ending = await caller.hangs_up()
        said, heard = caller.recording()
        served.terminate()
        code = await served.process.wait()

    assert ending.by is EndedBy.CALLER
    assert heard.count(said[:2]) == 4000
    assert caller.warnings == []
    assert code == 0
    assert record_of(tmp_path).reason is EndReason.CALLER_HUNG_UP


async def test_a_request_that_twilio_did_not_sign_is_refused(tmp_path: Path):
    async with serving(tmp_path, TOKEN) as served:
        url = f"{served.public_url}/twilio/voice"
        unsigned = await post(url)
        forged = await post(url, sign("another-token", url, FORM))
        signed = await post(url, sign(AUTH_TOKEN, url, FORM))
        metrics = (await get(f"{served.private_url}/metrics")).text

    assert [unsigned.status_code, forged.status_code, signed.status_code] == [403, 403, 200]
    assert "<Stream" in signed.text
    assert 'gw_signature_failures_total{carrier="twilio",kind="unsigned"} 1.0' in metrics
    assert 'gw_signature_failures_total{carrier="twilio",kind="signature"} 1.0' in metrics


async def test_the_public_door_knows_nothing_but_twilios_paths(tmp_path: Path):
    async with serving(tmp_path, TOKEN) as served:
        statuses = [
            (await post(f"{served.public_url}{path}")).status_code
            for path in ("/", "/twilio", "/metrics", "/healthz")
        ]

    assert statuses == [404, 404, 404, 404]


async def test_the_private_door_tells_health_readiness_and_metrics(tmp_path: Path):
    async with serving(tmp_path, TOKEN) as served:
        health = await get(f"{served.private_url}/healthz")
        ready = await get(f"{served.private_url}/readyz")
        metrics = await get(f"{served.private_url}/metrics")
        webhook = await post(f"{served.private_url}/twilio/voice")

    assert (health.status_code, health.text) == (200, "ok\n")
    assert (ready.status_code, ready.text) == (200, "ready\n")
    assert metrics.status_code == 200
    assert "# TYPE gw_calls_active gauge" in metrics.text
    assert webhook.status_code == 404


async def test_without_an_auth_token_twilios_paths_are_not_there_and_the_start_says_so(tmp_path: Path):
    async with serving(tmp_path) as served:
        answer = await post(f"{served.public_url}/twilio/voice")

    assert served.lines[0].endswith("Twilio: off, 404 (TWILIO_AUTH_TOKEN is not set)")
    assert answer.status_code == 404


# -- how it ends


async def test_sigterm_without_calls_ends_it_at_once(tmp_path: Path):
    async with serving(tmp_path, TOKEN) as served:
        served.terminate()
        with trio.fail_after(5):
            code = await served.process.wait()

    assert code == 0


async def test_sigterm_lets_a_call_finish_refuses_new_ones_and_then_ends(tmp_path: Path):
    async with serving(tmp_path, TOKEN) as served, served.twilio() as twilio:
        async with twilio.call(**NUMBERS) as caller:
            await caller.silence(0.2)
            served.terminate()
            await drains(served)

            async with twilio.call(**NUMBERS) as late:
                refused = await late.ended()
            health = await get(f"{served.private_url}/healthz")
            await caller.says(SPEECH)
            await caller.quiet(0.5)
            still_on = caller.ending is None
            heard = max(caller.heard)
        with trio.fail_after(5):
            code = await served.process.wait()

    assert refused.by is EndedBy.REJECT
    assert health.status_code == 200
    assert still_on
    assert heard > 0
    assert code == 0
    assert record_of(tmp_path).reason is EndReason.CALLER_HUNG_UP


async def test_a_second_sigterm_ends_the_calls_that_are_on(tmp_path: Path):
    async with serving(tmp_path, TOKEN) as served, served.twilio() as twilio:
        async with twilio.call(**NUMBERS) as caller:
            await caller.silence(0.2)
            served.terminate()
            await drains(served)

            served.terminate()
            with trio.fail_after(5):
                await caller.ended()
                code = await served.process.wait()

    assert code == 0
    assert record_of(tmp_path).reason is EndReason.DRAINED


# -- what keeps it from starting


@pytest.mark.parametrize("section", ["http", "private"])
async def test_a_port_that_is_taken_is_told_in_one_line(tmp_path: Path, section: str):
    (taken,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with taken:
        port = taken.socket.getsockname()[1]

        variables = {f"GATEWAY_{section.upper()}__PORT": str(port)}
        done = await run_gateway("serve", folder=tmp_path, variables=variables)

    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert line.startswith(f"gateway: {section}.port = {port}: 127.0.0.1 cannot be opened there (Address")
    assert line.endswith(f"set GATEWAY_{section.upper()}__PORT to a free port")
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"GATEWAY_HTTP__PORZ": "1"}, 'GATEWAY_HTTP__PORZ: no such key; did you mean "port"?'),
        ({"GATEWAY_VOICE__BACKEND": "ecko"}, "voice.backend = 'ecko': no such voice"),
        ({"GATEWAY_HTTP__HOST": "0.0.0.0"}, "http.host = '0.0.0.0' opens the gateway to the public"),
        ({"GATEWAY_DIALPLAN__PATH": "none.toml"}, "none.toml: cannot be read"),
        ({"GATEWAY_CONFIG": "none.toml"}, "none.toml: cannot be read"),
        ({"GATEWAY_LOG__LEVEL": "loud"}, 'GATEWAY_LOG__LEVEL = "loud": expected one of debug'),
        ({"GATEWAY_CALLS__FOLDER": "/dev/null/calls"}, "calls.folder = '/dev/null/calls': "),
        (TOKEN | {"GATEWAY_HTTP__PUBLIC_URL": "gateway.example"}, "http.public_url = 'gateway.example': "),
        (TOKEN | {"GATEWAY_HTTP__PUBLIC_URL": "http://a.example"}, "http.public_url = 'http://a.example': "),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
async def test_a_wrong_setting_is_told_in_one_line(tmp_path: Path, variables: dict[str, str], told: str):
    done = await run_gateway("serve", folder=tmp_path, variables=variables)

    assert done.stderr.startswith(f"gateway: {told}"), done.stderr[-300:]
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert done.returncode == 2
