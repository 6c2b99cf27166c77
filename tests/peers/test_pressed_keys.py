"""The voice presses keys, in a menu that it has called into, say: what a telephone hears of it, and what the wire has."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from gateway.audio.clip import write_wav
from gateway.contracts import EndReason
from gateway.wire import rtp, telephone_event
from gateway.wire.rtp import RtpPacket
from gateway.wire.telephone_event import DIGITS, TelephoneEvent
from tests.peers import baresip, tap
from tests.peers.certificates import Certificates
from tests.peers.evening import Evening
from tests.peers.listening import marked_tone, streams
from tests.peers.served import CallFolder, serving
from tests.voice.offline import needs_models

pytestmark = [
    pytest.mark.skipif(bool(baresip.missing()), reason=baresip.missing()),
    pytest.mark.skipif(not tap.is_allowed(), reason="what is sent is read only with CAP_NET_RAW"),
    needs_models,  # the voice that takes scripts of one's own
]

TRUNKS = """
[trunks.phones]
networks = ["127.0.0.1/32"]
codecs = ["pcma", "pcmu"]
"""
VOICE = """
backend = "embedded"
[voice.embedded]
scripts = "scripts"
"""
PLAN = """
[default]
plan = "menu"

[plans.menu]
steps = [{ do = "answer" }, { do = "converse", agent = "caller" }]

[agents.caller]
script = "menu"
"""
KEYS = "420*#9A"
SCRIPT = f"""
start = "waiting"

[states.waiting]
expect = ["go on"]
dtmf = {{ 1 = "go on" }}

[intents."go on"]
phrases = ["go on"]
goto = "pressing"

[states.pressing]
goto = "leaving"
action = {{ call = "send_digits", arguments = {{ digits = "{KEYS}" }} }}

[states.leaving]
action = {{ call = "end_call" }}
"""
NUMBER = "+15550700001"
PRESS_MS, GAP_MS = 100, 80
SAMPLES_PER_MS, FRAME = 8, 160
TELEPHONE_EVENT = 101  # as baresip offers it
LAST_COMES = 3  # times, RFC 4733 §2.5.1.4


@dataclass(frozen=True)
class Pressed:
    """`told`: the keys that the telephone says it was sent. `sent`: the packets with events, as they came."""

    told: str
    sent: list[RtpPacket]
    folder: CallFolder
    phone: str

    @property
    def presses(self) -> list[list[TelephoneEvent]]:
        """The events of each timestamp."""
        found: dict[int, list[TelephoneEvent]] = {}
        for packet in self.sent:
            found.setdefault(packet.timestamp, []).append(telephone_event.decode(packet.payload))
        return list(found.values())

    def __str__(self) -> str:
        return f"{self.folder}\n{self.presses}\n{self.phone[-4000:]}"


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Evening[Pressed]:
    return trio.run(place_call, tmp_path_factory.mktemp("keys"), certificates)


async def place_call(folder: Path, certificates: Certificates) -> Evening[Pressed]:
    wav = folder / "quiet.wav"
    write_wav(wav, marked_tone(440, 6000, level_dbfs=-80.0), 8000)
    (folder / "scripts").mkdir()
    (folder / "scripts" / "menu.toml").write_text(SCRIPT)
    with trio.fail_after(40):
        async with (
            tap.tapping() as tapped,
            serving(folder, trunks=TRUNKS, plan=PLAN, voice=VOICE, certificates=certificates) as gateway,
        ):
            async with baresip.phoning("alice", folder=folder, wav=wav, certificates=certificates) as phone:
                await phone.dial(f"sip:{NUMBER}@127.0.0.1:{gateway.sip}")
                await trio.sleep(0.3)
                await phone.press("1")
                await phone.told("CALL_CLOSED", 8)
            (record,) = await gateway.recorded(NUMBER)
    (stream,) = streams([each for each in tapped.datagrams if each.source[1] in gateway.rtp])
    sent = [packet for _, packet in stream.packets if packet.payload_type == TELEPHONE_EVENT]
    told = "".join(each["param"] for each in phone.all("CALL_DTMF_START"))
    return Evening(folder, {"call": Pressed(told, sent, record, phone.program.text)}, gateway)


def test_a_telephone_is_told_every_key_that_the_voice_pressed_once(evening: Evening[Pressed]):
    assert evening["call"].told == KEYS


def test_each_key_is_one_event_with_a_timestamp_of_its_own(evening: Evening[Pressed]):
    presses = evening["call"].presses

    assert [{DIGITS[event.event] for event in press} for press in presses] == [{key} for key in KEYS]


def test_a_key_is_held_longer_from_packet_to_packet_until_its_end_comes_three_times(
    evening: Evening[Pressed],
):
    growing = list(range(FRAME, PRESS_MS * SAMPLES_PER_MS, FRAME))
    end = PRESS_MS * SAMPLES_PER_MS

    for press in evening["call"].presses:
        assert [event.duration for event in press if not event.ended] == growing
        assert [event.duration for event in press if event.ended] == [end] * LAST_COMES
        assert [event.ended for event in press] == [False] * len(growing) + [True] * LAST_COMES


def test_the_first_packet_of_a_key_alone_is_marked(evening: Evening[Pressed]):
    sent = evening["call"].sent

    begins = [at == 0 or packet.timestamp != sent[at - 1].timestamp for at, packet in enumerate(sent)]

    assert [packet.marker for packet in sent] == begins


def test_between_two_keys_there_is_a_pause_that_every_receiver_knows(evening: Evening[Pressed]):
    begins = list(dict.fromkeys(packet.timestamp for packet in evening["call"].sent))

    steps = [rtp.timestamp_step(later, earlier) for earlier, later in itertools.pairwise(begins)]

    assert len(steps) == len(KEYS) - 1
    assert min(steps) >= (PRESS_MS + GAP_MS) * SAMPLES_PER_MS


def test_a_voice_that_ends_the_call_has_pressed_all_its_keys_before(evening: Evening[Pressed]):
    call = evening["call"]

    assert len(call.presses) == len(KEYS)
    assert call.folder.record.reason is EndReason.AGENT_HUNG_UP


def test_a_call_with_keys_is_replayed_byte_for_byte(evening: Evening[Pressed]):
    replayed = evening.gateway.replayed()

    assert replayed.returncode == 0, replayed.stdout + replayed.stderr


def test_the_gateway_ends_well(evening: Evening[Pressed]):
    assert evening.gateway.status == 0
    assert "Traceback" not in evening.gateway.log
