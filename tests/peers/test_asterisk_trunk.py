"""Asterisk and the gateway: calls both ways over a trunk with passwords, TLS with SRTP, and a registration."""

from dataclasses import dataclass, field
from pathlib import Path
from string import Template

import pytest
import trio

from gateway.calls.record import CallRecord
from gateway.contracts import EndReason
from tests.peers import asterisk
from tests.peers.asterisk import PASSWORD, Exchange
from tests.peers.certificates import Certificates
from tests.peers.evening import Evening
from tests.peers.listening import sounding, tone_dbfs, tone_hz
from tests.peers.ports import free_ports
from tests.peers.served import CallFolder, calling, serving

pytestmark = pytest.mark.skipif(bool(asterisk.missing()), reason=asterisk.missing())

TRUNKS = """
[trunks.asterisk]
address = "sip:127.0.0.1:$asterisk"
networks = ["127.0.0.1/32"]
auth = "digest"
user = "asterisk"
codecs = ["pcma", "pcmu"]
srtp = "optional"
calls_per_s = 50

[trunks.branch]
address = "sip:127.0.0.1:$asterisk"
user = "branch"
register = true
codecs = ["pcma", "pcmu"]
"""
PLAN = """
[default]
plan = "echo"
[plans.echo]
steps = [{ do = "answer" }, { do = "converse", agent = "echo" }]
[agents.echo]
instructions = "Say what you hear."
"""

OUTBOUND = """
[trunks.asterisk]
address = "sip:127.0.0.1:$asterisk"
user = "asterisk"
codecs = ["pcma", "pcmu"]

[trunks.secure]
address = "sip:127.0.0.1:$tls;transport=tls"
user = "secure"
codecs = ["pcmu"]
srtp = "required"
"""
PLAIN, SECURE, BRANCH = "+15550400001", "+15550400002", "branch"


@dataclass(frozen=True)
class Talk:
    """A call that Asterisk placed. `heard`: by Asterisk."""

    heard: bytes
    codec: str
    secure: str
    folder: CallFolder

    def __str__(self) -> str:
        return str(self.folder)


@dataclass(frozen=True)
class Placed:
    """A call that the gateway placed. `heard`: by Asterisk. `caller`: who Asterisk thought it was."""

    folder: CallFolder
    heard: bytes
    caller: str

    @property
    def record(self) -> CallRecord:
        return self.folder.record


@dataclass
class Trunk(Evening[Talk]):
    """`contacts`: that Asterisk showed while the gateway ran; `left`: behind it. `placed`: the other way round."""

    placed: dict[str, Placed] = field(default_factory=dict)
    contacts: str = ""
    left: str = ""


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Trunk:
    return trio.run(place_calls, tmp_path_factory.mktemp("asterisk"), certificates)


async def place_calls(folder: Path, certificates: Certificates) -> Trunk:
    calls: dict[str, Talk] = {}
    sip, tls = free_ports(), free_ports()

    async def place(name: str, channel: str, number: str, exchange: Exchange) -> None:
        await exchange.call(channel, name)
        await exchange.ended(name)
        (record,) = await gateway.recorded(number)
        (codec,), (secure,) = exchange.told(name, "codec"), exchange.told(name, "secure")
        calls[name] = Talk(exchange.heard(name), codec, secure, record)

    placed: dict[str, Placed] = {}

    async def dial(name: str, trunk: str, exchange: Exchange) -> None:
        """Have the gateway call an extension of Asterisk."""
        ports = {"asterisk": exchange.sip, "tls": exchange.tls}
        async with calling(
            folder / name,
            f"sip:{name}@{trunk}",
            trunks=Template(OUTBOUND).substitute(ports),
            plan=PLAN,
            certificates=certificates,
            secrets={"TRUNK_ASTERISK_PASSWORD": PASSWORD, "TRUNK_SECURE_PASSWORD": PASSWORD},
        ) as command:
            await command.program.ends(20)
        await exchange.ended(name)
        heard = exchange.heard(name) if name.startswith("echo") else b""
        placed[name] = Placed(command.call, heard, exchange.told(name, "began")[0])

    with trio.fail_after(60):
        async with asterisk.exchange(
            folder=folder, certificates=certificates, gateway_sip=sip, gateway_tls=tls
        ) as exchange:
            async with serving(
                folder,
                trunks=TRUNKS.replace("$asterisk", str(exchange.sip)),
                plan=PLAN,
                certificates=certificates,
                secrets={"TRUNK_ASTERISK_PASSWORD": PASSWORD, "TRUNK_BRANCH_PASSWORD": PASSWORD},
                sip=sip,
                tls=tls,
            ) as gateway:
                contacts = await exchange.shows("pjsip show contacts", r"branch/sip:\S+ ")
                contacts += await exchange.shows("pjsip show contacts", r"asterisk/sip:\S+ +\S+ +Avail")
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(place, "plain", f"PJSIP/{PLAIN}@asterisk", PLAIN, exchange)
                    nursery.start_soon(place, "secure", f"PJSIP/{SECURE}@secure", SECURE, exchange)
                    nursery.start_soon(place, "registered", "PJSIP/branch", BRANCH, exchange)
                    for name, trunk in DIALLED.items():
                        nursery.start_soon(dial, name, trunk, exchange)
                        await trio.sleep(0.3)
            left = await exchange.command("pjsip show contacts")
    return Trunk(folder, calls, gateway, placed=placed, contacts=contacts, left=left)


CALLS = ["plain", "secure", "registered"]
DIALLED = {
    "echo": "asterisk",
    "echo_secure": "secure",
    "keys": "asterisk",
    "busy": "asterisk",
    "congested": "asterisk",
}


@pytest.mark.parametrize("name", CALLS)
def test_asterisk_hears_its_own_tone_as_loud_as_it_is(evening: Trunk, name: str):
    call = evening[name]

    heard = sounding(call.heard)[2 * 8 * 200 : 2 * 8 * 2000]
    said = sounding(call.folder.caller)[2 * 8 * 200 : 2 * 8 * 2000]

    assert tone_hz(heard) == pytest.approx(440, abs=2)
    assert tone_dbfs(heard, 440) == pytest.approx(tone_dbfs(said, 440), abs=1)


@pytest.mark.parametrize("name", CALLS)
def test_asterisk_hears_a_tone_without_breaks(evening: Trunk, name: str):
    call = evening[name]

    assert evening.breaks(sounding(call.heard)[: 2 * 8 * 2000]) == []


@pytest.mark.parametrize("name", CALLS)
def test_a_call_that_asterisk_hangs_up_is_over(evening: Trunk, name: str):
    assert evening[name].folder.record.reason is EndReason.CALLER_HUNG_UP


@pytest.mark.parametrize("name", CALLS)
def test_keys_that_asterisk_sends_reach_the_voice(evening: Trunk, name: str):
    assert evening[name].folder.digits == "59*"


def test_the_first_codec_of_asterisk_is_taken_where_we_like_it(evening: Trunk):
    assert evening["plain"].codec == "(alaw)"


def test_a_trunk_over_tls_talks_srtp(evening: Trunk):
    assert evening["secure"].secure == "1"
    assert evening["plain"].secure == "0"


def test_asterisk_finds_the_gateway_well_by_options(evening: Trunk):
    assert "Avail" in evening.contacts


def test_the_gateway_is_registered_and_can_be_called_there(evening: Trunk):
    assert "branch/sip:branch@127.0.0.1" in evening.contacts
    assert evening["registered"].folder.record.called == BRANCH


def test_a_gateway_that_ends_takes_its_registration_back(evening: Trunk):
    assert "asterisk/sip:" in evening.left
    assert "branch/sip:" not in evening.left


@pytest.mark.parametrize("name", ["echo", "echo_secure"])
def test_asterisk_answers_and_hears_its_own_tone(evening: Trunk, name: str):
    call = evening.placed[name]

    tone = sounding(call.heard)[2 * 8 * 200 : 2 * 8 * 2000]

    assert tone_hz(tone) == pytest.approx(1000, abs=2)
    assert tone_hz(sounding(call.folder.caller)[2 * 8 * 200 : 2 * 8 * 2000]) == pytest.approx(1000, abs=2)
    assert call.record.reason is EndReason.CALLER_HUNG_UP


def test_a_call_to_a_trunk_that_requires_it_is_encrypted(evening: Trunk):
    agreed = {
        name: [text for text in call.folder.traced if "media.agreed" in text]
        for name, call in evening.placed.items()
    }

    assert all('"secure":true' in text for text in agreed["echo_secure"])
    assert all('"secure":false' in text for text in agreed["echo"])


def test_keys_of_whom_we_called_reach_the_voice(evening: Trunk):
    assert evening.placed["keys"].folder.digits == "1234#"


@pytest.mark.parametrize(
    ("name", "reason", "status", "cause"),
    [("busy", EndReason.BUSY, 486, 17), ("congested", EndReason.REFUSED, 503, 34)],
)
def test_a_cause_that_asterisk_names_is_in_the_record(
    evening: Trunk, name: str, reason: EndReason, status: int, cause: int
):
    record = evening.placed[name].record

    assert record.reason is reason
    assert (record.released["status"], record.released["cause"]) == (status, cause)


def test_no_password_is_in_the_log(evening: Trunk):
    assert PASSWORD not in evening.gateway.log


def test_every_call_is_replayed_byte_for_byte(evening: Trunk):
    replayed = evening.gateway.replayed()

    assert replayed.returncode == 0, replayed.stdout + replayed.stderr


def test_the_gateway_ends_well(evening: Trunk):
    assert evening.gateway.status == 0
    assert "Traceback" not in evening.gateway.log
