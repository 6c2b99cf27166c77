"""baresip calls the gateway: a WAV goes in, what it recorded comes out, in the clear and with TLS and SRTP."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from gateway.audio.clip import write_wav
from gateway.contracts import EndReason
from tests.peers import baresip
from tests.peers.baresip import Phone
from tests.peers.certificates import Certificates
from tests.peers.evening import Evening
from tests.peers.listening import marked_tone, says, sounding, tone_dbfs, tone_hz, tone_snr_db
from tests.peers.served import CallFolder, Gateway, serving
from tests.voice.offline import needs_models

pytestmark = pytest.mark.skipif(bool(baresip.missing()), reason=baresip.missing())

TRUNKS = """
[trunks.phones]
networks = ["127.0.0.1/32"]
codecs = ["pcma", "pcmu"]
srtp = "optional"
"""
PLAN = """
[default]
plan = "echo"

[[routes]]
number = "+15550200003"
plan = "closed"

[plans.echo]
steps = [{ do = "answer" }, { do = "converse", agent = "echo" }]

[plans.closed]
steps = [{ do = "answer" }, { do = "say", text = "We are closed today, and open again tomorrow." }, { do = "hang_up" }]

[agents.echo]
instructions = "Say what you hear."
"""
PLAIN, SECURE, CLOSED = "+15550200001", "+15550200002", "+15550200003"
TONE_DBFS = -15.0


@dataclass(frozen=True)
class Talk:
    """`heard`: by the telephone."""

    heard: bytes
    folder: CallFolder
    phone: str

    def __str__(self) -> str:
        return f"{self.folder}\n{self.phone[-4000:]}"


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Evening[Talk]:
    return trio.run(place_calls, tmp_path_factory.mktemp("baresip"), certificates)


async def place_calls(folder: Path, certificates: Certificates) -> Evening[Talk]:
    low, high = folder / "low.wav", folder / "high.wav"
    write_wav(low, marked_tone(440, 6000, level_dbfs=TONE_DBFS), 8000)
    write_wav(high, marked_tone(1000, 6000, level_dbfs=TONE_DBFS), 8000)
    calls: dict[str, Talk] = {}

    async def keep(name: str, phone: Phone, number: str, gateway: Gateway) -> None:
        (record,) = await gateway.recorded(number)
        calls[name] = Talk(phone.heard, record, phone.program.text)

    async def plain(gateway: Gateway) -> None:
        async with baresip.phoning("alice", folder=folder, wav=low, certificates=certificates) as phone:
            await phone.dial(f"sip:{PLAIN}@127.0.0.1:{gateway.sip}")
            await trio.sleep(2)
            for key in "42#":
                await phone.press(key)
                await trio.sleep(0.3)
            await trio.sleep(1)
            await phone.hang_up()
            await trio.sleep(0.2)  # its recordings are closed
        await keep("plain", phone, PLAIN, gateway)

    async def secure(gateway: Gateway) -> None:
        async with baresip.phoning(
            "bob", folder=folder, wav=high, certificates=certificates, transport="tls", encryption="srtp-mand"
        ) as phone:
            await phone.dial(f"sip:{SECURE}@127.0.0.1:{gateway.tls};transport=tls")
            await trio.sleep(3)
            await phone.hang_up()
            await trio.sleep(0.2)
        await keep("secure", phone, SECURE, gateway)

    async def closed(gateway: Gateway) -> None:
        async with baresip.phoning("carol", folder=folder, wav=high, certificates=certificates) as phone:
            await phone.dial(f"sip:{CLOSED}@127.0.0.1:{gateway.sip}")
            await phone.told("CALL_CLOSED", 15)
            await trio.sleep(0.2)
        await keep("closed", phone, CLOSED, gateway)

    with trio.fail_after(45):
        async with serving(folder, trunks=TRUNKS, plan=PLAN, certificates=certificates) as gateway:
            async with trio.open_nursery() as nursery:
                for call in (plain, secure, closed):
                    nursery.start_soon(call, gateway)
    return Evening(folder, calls, gateway)


@pytest.mark.parametrize(("name", "hz"), [("plain", 440), ("secure", 1000)])
def test_a_telephone_hears_its_own_tone_as_loud_as_it_said_it(evening: Evening[Talk], name: str, hz: int):
    call = evening[name]

    tone = sounding(call.heard)[2 * 8 * 500 : 2 * 8 * 1700]

    assert tone_hz(tone) == pytest.approx(hz, abs=2)
    assert tone_dbfs(tone, hz) == pytest.approx(TONE_DBFS, abs=1)
    assert tone_snr_db(tone, hz) > 25


@pytest.mark.parametrize("name", ["plain", "secure"])
def test_a_telephone_hears_a_tone_without_breaks(evening: Evening[Talk], name: str):
    call = evening[name]

    assert evening.breaks(sounding(call.heard)[: 2 * 8 * 1800]) == []


def test_keys_of_a_telephone_reach_the_voice(evening: Evening[Talk]):
    assert evening["plain"].folder.digits == "42#"


@pytest.mark.parametrize("name", ["plain", "secure"])
def test_a_telephone_that_hangs_up_ends_its_call(evening: Evening[Talk], name: str):
    assert evening[name].folder.record.reason is EndReason.CALLER_HUNG_UP


def test_media_over_tls_is_encrypted(evening: Evening[Talk]):
    agreed = [text for text in evening["secure"].folder.traced if '"media.agreed"' in text]

    assert len(agreed) >= 1
    assert all('"secure":true' in text for text in agreed)


def test_no_key_of_srtp_is_in_a_trace_or_in_the_log(evening: Evening[Talk]):
    call = evening["secure"]

    keys = re.findall(r"inline:([\w+/=]{30,})", call.phone)  # as the telephone shows them
    told = evening.gateway.log + "".join(call.folder.traced)

    assert keys
    assert [key for key in keys if key in told] == []


def test_both_sides_of_an_encrypted_call_are_recorded(evening: Evening[Talk]):
    call = evening["secure"].folder

    for side in (call.caller, call.agent):
        tone = sounding(side)[2 * 8 * 500 : 2 * 8 * 1700]
        assert tone_hz(tone) == pytest.approx(1000, abs=2)
        assert tone_dbfs(tone, 1000) == pytest.approx(TONE_DBFS, abs=1)


@needs_models
def test_a_telephone_hears_the_words_of_a_plan_to_their_end(evening: Evening[Talk]):
    call = evening["closed"]

    assert says(call.heard, "closed today")
    assert says(call.heard, "open again tomorrow")


@needs_models
def test_a_plan_that_has_said_its_words_hangs_up(evening: Evening[Talk]):
    assert evening["closed"].folder.record.reason is EndReason.PLAN_ENDED


def test_every_call_is_replayed_byte_for_byte(evening: Evening[Talk]):
    replayed = evening.gateway.replayed()

    assert replayed.returncode == 0, replayed.stdout + replayed.stderr


def test_the_gateway_ends_well(evening: Evening[Talk]):
    assert evening.gateway.status == 0
    assert "Traceback" not in evening.gateway.log
