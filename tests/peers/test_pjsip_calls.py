"""PJSIP calls the gateway and is called: hold, timers, transfers, SRTP, offers that come late, passwords."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio

from gateway.audio.clip import write_wav
from gateway.contracts import EndReason
from tests.peers import pjsua2_peer
from tests.peers.certificates import Certificates
from tests.peers.evening import Evening
from tests.peers.listening import marked_tone, sounding, tone_dbfs, tone_hz
from tests.peers.pjsua2_peer import UserAgent, user_agent
from tests.peers.served import CallFolder, Gateway, serving

pytestmark = pytest.mark.skipif(bool(pjsua2_peer.missing()), reason=pjsua2_peer.missing())

PASSWORD = "open sesame"
TRUNKS = """
[trunks.open]
address = "sip:127.0.0.1:$desk"
networks = ["127.0.0.1/32"]
auth = "digest"
user = "pj"
codecs = ["pcmu", "pcma"]
srtp = "optional"
transfers = true
calls_per_s = 50
"""
PLAN = """
[default]
plan = "echo"

[[routes]]
number = "+15550300008"
plan = "elsewhere"

[plans.echo]
steps = [{ do = "answer" }, { do = "converse", agent = "echo" }]

[plans.elsewhere]
steps = [{ do = "answer" }, { do = "transfer", to = "desk" }]

[agents.echo]
instructions = "Say what you hear."

[destinations]
desk = "$desk"
"""
TONE_DBFS = -15.0


@dataclass(frozen=True)
class Talk:
    agent: UserAgent
    folders: list[CallFolder]

    @property
    def folder(self) -> CallFolder:
        (folder,) = self.folders
        return folder

    def __str__(self) -> str:
        return f"{self.agent.program.text[-5000:]}\n" + "\n".join(map(str, self.folders))


SHORT_TAG = "AES_CM_128_HMAC_SHA1_32"  # RFC 4568 §6.2.2
HANG_UP: list[Any] = ["hang up"]


@dataclass(frozen=True)
class Planned:
    number: str
    steps: list[list[Any]]
    settings: dict[str, Any]


CALLS = {
    "plain": Planned("+15550300001", [["wait", 2.5], ["press", "7*"], ["wait", 1]], {}),
    "held": Planned("+15550300002", [["wait", 1.2], ["hold"], ["wait", 1], ["resume"], ["wait", 3]], {}),
    "timed": Planned(
        "+15550300003", [["wait", 0.5], ["update"], ["wait", 0.5]], {"timer": 3, "expires_s": 90}
    ),
    "encrypted": Planned("+15550300004", [["wait", 2.5]], {"srtp": 2}),
    "secure": Planned("+15550300005", [["wait", 2.5]], {"srtp": 2, "transport": "tls"}),
    "delayed": Planned("+15550300006", [["wait", 2.5]], {"delayed_offer": True}),
    "referring": Planned("+15550300007", [["wait", 0.7], ["refer", "$desk"], ["wait", 3]], {}),
    "sent elsewhere": Planned("+15550300008", [["wait", 5]], {}),
    "stranger": Planned("+15550300009", [], {"password": "a guess"}),
    "short tag": Planned("+15550300011", [["wait", 2.5]], {"srtp": 2, "suites": [SHORT_TAG]}),
    "tcp": Planned("+15550300010", [["wait", 1]], {"transport": "tcp"}),
}


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Evening[Talk]:
    return trio.run(place_calls, tmp_path_factory.mktemp("pjsip"), certificates)


async def place_calls(folder: Path, certificates: Certificates) -> Evening[Talk]:
    wav = folder / "tone.wav"
    write_wav(wav, marked_tone(440, 9000, level_dbfs=TONE_DBFS), 8000)
    agents: dict[str, UserAgent] = {}

    async def place(name: str, plan: Planned, gateway: Gateway, desk: UserAgent) -> None:
        port = gateway.tls if plan.settings.get("transport") == "tls" else gateway.sip
        transport = plan.settings.get("transport", "udp")
        uri = f"sip:{plan.number}@127.0.0.1:{port};transport={transport}"
        steps = [[desk_uri(desk) if word == "$desk" else word for word in step] for step in plan.steps]
        settings = {"user": "pj", "password": PASSWORD, **plan.settings}
        async with user_agent(
            name.replace(" ", "_"),
            ["call", uri],
            *steps,
            HANG_UP,
            folder=folder,
            wav=wav,
            certificates=certificates,
            **settings,
        ) as agents[name]:
            await agents[name].done()

    with trio.fail_after(60):
        async with user_agent("desk", folder=folder, wav=wav, certificates=certificates) as agents["desk"]:
            plan = PLAN.replace("$desk", desk_uri(agents["desk"]))
            secrets = {"TRUNK_OPEN_PASSWORD": PASSWORD}
            async with serving(
                folder,
                trunks=TRUNKS.replace("$desk", str(agents["desk"].port)),
                plan=plan,
                certificates=certificates,
                secrets=secrets,
            ) as gateway:
                async with trio.open_nursery() as nursery:
                    for name, each in CALLS.items():
                        nursery.start_soon(place, name, each, gateway, agents["desk"])
                        await trio.sleep(0.1)
    calls = {
        name: Talk(agent, gateway.calls_to(CALLS[name].number) if name in CALLS else [])
        for name, agent in agents.items()
    }
    return Evening(folder, calls, gateway)


def desk_uri(desk: UserAgent) -> str:
    return f"sip:+15550300999@127.0.0.1:{desk.port}"


HEARD = ["plain", "encrypted", "secure", "short tag", "delayed"]


@pytest.mark.parametrize("name", HEARD)
def test_a_caller_hears_his_own_tone_as_loud_as_he_said_it(evening: Evening[Talk], name: str):
    call = evening[name]

    tone = sounding(call.agent.heard)[2 * 8 * 500 : 2 * 8 * 1900]

    assert tone_hz(tone) == pytest.approx(440, abs=2)
    assert tone_dbfs(tone, 440) == pytest.approx(TONE_DBFS, abs=1)


@pytest.mark.parametrize("name", HEARD)
def test_a_caller_hears_a_tone_without_breaks(evening: Evening[Talk], name: str):
    call = evening[name]

    assert evening.breaks(sounding(call.agent.heard)[: 2 * 8 * 1900]) == []


@pytest.mark.parametrize(
    "name", [name for name in CALLS if name not in {"stranger", "sent elsewhere", "referring"}]
)
def test_a_caller_who_hangs_up_ends_his_call(evening: Evening[Talk], name: str):
    call = evening[name]

    assert call.agent.states[-2:] == ["CONFIRMED", "DISCONNECTED"]
    assert call.agent.last_status == 200
    assert call.folder.record.reason is EndReason.CALLER_HUNG_UP


def test_keys_are_heard_with_the_payload_type_that_the_caller_named(evening: Evening[Talk]):
    assert evening["plain"].folder.digits == "7*"


def test_a_caller_on_hold_is_heard_again_when_he_is_back(evening: Evening[Talk]):
    call = evening["held"]

    facts = [fact for fact in call.folder.facts if fact in {"call.held", "call.resumed"}]
    sides = [sounding(call.folder.caller)[-2 * 8 * 1200 :], sounding(call.agent.heard)[-2 * 8 * 1000 :]]

    assert facts == ["call.held", "call.resumed"]
    assert [tone_hz(side) for side in sides] == [pytest.approx(440, abs=2)] * 2


def test_a_hold_and_its_end_are_both_agreed_to(evening: Evening[Talk]):
    media = [(event["status"], event["direction"]) for event in evening["held"].agent.all("media")]

    assert media == [(1, 3), (2, 1), (1, 3)]  # active both ways; held by us, sending; active both ways


def test_a_session_timer_is_agreed_on(evening: Evening[Talk]):
    call = evening["timed"]

    refreshed = [event for event in call.agent.all("transaction") if event["method"] == "UPDATE"]

    assert [event["status"] for event in refreshed] == [200]


@pytest.mark.parametrize("name", ["encrypted", "secure"])
def test_srtp_is_agreed_on_with_a_caller_who_prefers_a_suite_that_we_have_not(
    evening: Evening[Talk], name: str
):
    agreed = [text for text in evening[name].folder.traced if '"media.agreed"' in text]

    assert agreed
    assert all('"secure":true' in text for text in agreed)


def test_a_caller_who_has_only_the_suite_with_the_short_tag_is_heard_and_hears_under_it(
    evening: Evening[Talk],
):
    call = evening["short tag"]

    caller = sounding(call.folder.caller)[2 * 8 * 500 : 2 * 8 * 1900]
    (answer,) = [each["message"] for each in call.agent.all("response") if each["status"] == 200]

    assert re.findall(r"a=crypto:\d+ (\S+)", answer) == [SHORT_TAG]
    assert "RTP/SAVP" in answer
    assert tone_hz(caller) == pytest.approx(440, abs=2)
    assert tone_dbfs(caller, 440) == pytest.approx(TONE_DBFS, abs=1)


def test_a_wrong_password_is_of_no_use(evening: Evening[Talk]):
    call = evening["stranger"]

    assert call.agent.last_status in {401, 403}
    assert call.folders == []


def test_a_caller_sends_the_gateway_to_somebody_else_and_hears_how_that_went(evening: Evening[Talk]):
    call = evening["referring"]

    statuses = [event["status"] for event in call.agent.all("transfer")]

    assert statuses[-1] == 200
    assert call.agent.all("transfer")[-1]["last"]


def test_a_plan_sends_a_caller_elsewhere(evening: Evening[Talk]):
    call = evening["sent elsewhere"]

    assert [event["to"] for event in call.agent.all("transfer_asked")] != []
    assert call.folder.record.reason is EndReason.TRANSFERRED


def test_both_sides_of_a_call_are_recorded(evening: Evening[Talk]):
    call = evening["plain"].folder

    for side in (call.caller, call.agent):
        tone = sounding(side)[2 * 8 * 500 : 2 * 8 * 1900]
        assert tone_hz(tone) == pytest.approx(440, abs=2)
        assert tone_dbfs(tone, 440) == pytest.approx(TONE_DBFS, abs=1)


def test_every_call_is_replayed_byte_for_byte(evening: Evening[Talk]):
    replayed = evening.gateway.replayed()

    assert replayed.returncode == 0, replayed.stdout + replayed.stderr


def test_the_gateway_ends_well(evening: Evening[Talk]):
    assert evening.gateway.status == 0
    assert "Traceback" not in evening.gateway.log
