"""sipp calls the gateway, in every way that its scenarios know. All calls are placed side by side, once."""

import itertools

import pytest
import trio

from gateway.contracts import EndReason
from gateway.wire import rtp as rtp_wire
from tests.peers import sipp, tap
from tests.peers.captures import write_capture
from tests.peers.certificates import Certificates
from tests.peers.evening import Evening, Placed
from tests.peers.listening import gaps, level_dbfs, sounding, tone_dbfs, tone_hz, tone_snr_db
from tests.peers.served import CallFolder, call_folders, run_gateway
from tests.peers.sipp_plans import CANCELLED, PASSWORD, STRANGER, TONE_DBFS, place_calls

pytestmark = [
    pytest.mark.skipif(bool(sipp.missing()), reason=sipp.missing()),
    pytest.mark.skipif(not tap.is_allowed(), reason="sipp plays captures only with CAP_NET_RAW"),
]

CANCELLED_IN_TIME = ("200 CANCEL", "487 INVITE")  # RFC 3261 §9.2
CANCELLED_TOO_LATE = ("200 INVITE", "200 CANCEL", "200 BYE")
PITCH_HZ = 2  # as near as it gets when a frame is missing


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Evening[Placed]:
    return trio.run(place_calls, tmp_path_factory.mktemp("sipp"), certificates)


@pytest.fixture(scope="module")
def imported(evening: Evening[Placed]) -> dict[str, CallFolder]:
    """The calls of the evening by their number, out of a capture of all that passed."""
    ports = {evening.gateway.sip, *evening.gateway.rtp}
    passed = [
        each for each in evening.calls["plain"].tap.datagrams if {each.source[1], each.target[1]} & ports
    ]
    capture = write_capture(evening.folder / "evening.pcap", passed)
    into, config = evening.folder / "imported", evening.folder / "import.toml"
    config.write_text("[traces]\nkeep_numbers = true\n")
    done = run_gateway(
        "import", str(capture), "--into", str(into), "--config", str(config), folder=evening.folder
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {call.record.called: call for call in call_folders(into)}


# -- what is heard


def test_a_caller_hears_himself_at_the_pitch_and_level_he_spoke_with(evening: Evening[Placed]):
    call = evening["plain"]

    tone = call.sound[2 * 8 * 400 : 2 * 8 * 1900]

    assert call.sipp.worked
    assert tone_hz(tone) == pytest.approx(440, abs=PITCH_HZ)
    assert tone_dbfs(tone, 440) == pytest.approx(TONE_DBFS, abs=0.5)
    assert tone_snr_db(tone, 440) > 25


def test_a_caller_hears_himself_without_a_gap(evening: Evening[Placed]):
    call = evening["plain"]

    assert evening.breaks(call.sound) == []
    assert call.heard.lost == 0
    assert -100 < len(call.sound) / 16 - 2000 < 100 + evening.gateway.withheld_ms


def test_a_caller_hears_himself_within_a_third_of_a_second(evening: Evening[Placed]):
    assert 20 < evening["plain"].delay_ms < 333


def test_the_gateway_sends_packets_of_20_ms_one_after_the_other(evening: Evening[Placed]):
    (stream,) = evening["plain"].received

    packets = [packet for _, packet in stream.packets]
    pairs = list(itertools.pairwise(packets))

    assert {len(packet.payload) for packet in packets} == {160}
    assert {rtp_wire.sequence_step(later.sequence, earlier.sequence) for earlier, later in pairs} == {1}
    assert {
        rtp_wire.timestamp_step(later.timestamp, earlier.timestamp) % 160 for earlier, later in pairs
    } == {0}


def test_a_call_over_tcp_sounds_as_one_over_udp(evening: Evening[Placed]):
    call = evening["tcp"]

    assert call.sipp.worked
    assert tone_hz(call.sound[2 * 8 * 400 : 2 * 8 * 1900]) == pytest.approx(440, abs=PITCH_HZ)
    assert evening.breaks(call.sound) == []


def test_packets_of_30_ms_are_heard_whole_where_20_were_agreed_on(evening: Evening[Placed]):
    call = evening["slow"]

    assert call.sipp.worked
    assert evening.breaks(sounding(call.folder.caller)) == []
    assert evening.breaks(call.sound) == []
    assert tone_hz(call.sound[2 * 8 * 400 : 2 * 8 * 1900]) == pytest.approx(440, abs=PITCH_HZ)


def test_speech_in_packets_of_30_ms_comes_back_as_loud_as_it_was(evening: Evening[Placed]):
    call = evening["speech"]

    said = sounding(call.folder.caller)

    assert call.sipp.worked
    assert len(call.sound) / 16 > 2000
    assert level_dbfs(call.sound) == pytest.approx(level_dbfs(said[: len(call.sound)]), abs=1.5)


def test_a_stream_that_begins_anew_in_the_middle_is_heard_on(evening: Evening[Placed]):
    call = evening["restarted"]

    caller = sounding(call.folder.caller)
    first, second = caller[2 * 8 * 200 : 2 * 8 * 800], caller[-2 * 8 * 800 : -2 * 8 * 200]

    assert call.sipp.worked
    assert tone_hz(first) == pytest.approx(440, abs=PITCH_HZ)
    assert tone_hz(second) == pytest.approx(1000, abs=PITCH_HZ)
    assert gaps(caller, longer_than_ms=100) == []


def test_each_key_is_heard_once_though_each_comes_with_a_stream_of_its_own(evening: Evening[Placed]):
    call = evening["keys"]

    assert call.sipp.worked
    assert call.folder.digits == "1*0#"


# -- what is agreed on


def test_a_caller_on_hold_hears_nothing_and_hears_again_when_he_is_back(evening: Evening[Placed]):
    call = evening["held"]

    caller = call.folder
    pauses = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(call.received[0].packets)]

    assert call.sipp.worked
    assert 0.8 < max(pauses) < 1.3
    assert caller.facts.count("call.held") == 1
    assert caller.facts.count("call.resumed") == 1
    assert tone_hz(call.sound[-2 * 8 * 1200 : -2 * 8 * 200]) == pytest.approx(440, abs=PITCH_HZ)


def test_a_caller_without_an_offer_is_made_one(evening: Evening[Placed]):
    call = evening["delayed"]

    assert call.sipp.worked
    assert tone_hz(call.sound[2 * 8 * 400 : 2 * 8 * 1900]) == pytest.approx(440, abs=PITCH_HZ)


def test_a_session_timer_is_agreed_on_and_refreshed_by_update(evening: Evening[Placed]):
    assert evening["timed"].sipp.worked


def test_a_session_interval_that_is_too_small_is_refused_with_the_least_one(evening: Evening[Placed]):
    assert evening["hasty"].sipp.worked


def test_an_offer_without_a_codec_of_ours_is_refused(evening: Evening[Placed]):
    call = evening["unknown codec"]

    assert call.sipp.worked
    assert call.folders == []


# -- messages that are lost, late, or cross


def test_calls_over_a_network_that_loses_one_message_in_five_all_work(evening: Evening[Placed]):
    call = evening["lossy"]

    assert call.sipp.worked
    assert call.sipp.completed == 8
    assert [folder.record.reason for folder in call.folders] == [EndReason.CALLER_HUNG_UP] * 8


def test_an_answer_is_sent_again_until_it_is_acknowledged(evening: Evening[Placed]):
    call = evening["unacknowledged"]

    answers = [
        message for message in call.sipp.received if message.startswith("SIP/2.0 200") and "INVITE" in message
    ]

    assert call.sipp.worked
    assert len(answers) >= 3
    assert call.folder.record.reason is EndReason.CALLER_HUNG_UP


@pytest.mark.parametrize("name", ["rude", "abrupt"])
def test_a_caller_who_hangs_up_at_once_is_let_go(evening: Evening[Placed], name: str):
    call = evening[name]

    assert call.sipp.worked
    assert [folder.record.reason for folder in call.folders] == [EndReason.CALLER_HUNG_UP]


def test_a_call_that_is_cancelled_at_once_ends_with_487_or_stands_until_bye(evening: Evening[Placed]):
    call = evening["cancelled"]

    answered = [tuple(dict.fromkeys(each)) for each in call.sipp.answers.values()]  # one may come twice

    assert call.sipp.worked
    assert len(answered) == CANCELLED
    assert set(answered) <= {CANCELLED_IN_TIME, CANCELLED_TOO_LATE}


def test_a_call_that_was_cancelled_is_written_down_as_that(evening: Evening[Placed]):
    call = evening["cancelled"]

    in_time = [each for each in call.sipp.answers.values() if tuple(each) == CANCELLED_IN_TIME]
    why = sorted(folder.record.released["why"] for folder in call.folders)

    assert why == ["cancelled"] * len(in_time) + ["hung up"] * (CANCELLED - len(in_time))
    assert {folder.record.reason for folder in call.folders} == {EndReason.CALLER_HUNG_UP}


def test_a_trunk_that_may_have_one_call_takes_the_next_after_one_that_was_cancelled(evening: Evening[Placed]):
    call = evening["cancelled"]

    assert call.sipp.completed == CANCELLED
    assert "SIP/2.0 503" not in call.sipp.messages


def test_no_call_leaves_a_port_open(evening: Evening[Placed]):
    assert evening.gateway.ports_kept == []


# -- who may call


def test_a_stranger_gets_no_answer_at_all(evening: Evening[Placed]):
    call = evening["stranger"]

    assert not call.sipp.worked
    assert call.sipp.received == []
    assert call.folders == []


def test_a_stranger_is_written_down_for_fail2ban(evening: Evening[Placed]):
    lines = [line for line in evening.gateway.log.splitlines() if STRANGER in line]

    assert lines


def test_a_plan_that_rejects_is_busy(evening: Evening[Placed]):
    call = evening["busy"]

    assert call.sipp.worked
    assert call.folders == []


def test_a_call_more_than_a_trunk_may_have_is_sent_elsewhere_for_now(evening: Evening[Placed]):
    assert evening["one"].sipp.worked
    assert evening["too many"].sipp.worked


# -- transfers


def test_a_plan_sends_its_caller_elsewhere_with_refer(evening: Evening[Placed]):
    call = evening["sent elsewhere"]

    assert call.sipp.worked
    assert call.folder.record.reason is EndReason.TRANSFERRED


def test_a_caller_who_may_sends_the_gateway_elsewhere(evening: Evening[Placed]):
    assert evening["referring"].sipp.worked
    assert evening["referred"].sipp.worked


def test_a_caller_who_may_not_cannot_send_the_gateway_elsewhere(evening: Evening[Placed]):
    assert evening["not allowed to refer"].sipp.worked


def test_a_method_that_nobody_knows_is_not_allowed(evening: Evening[Placed]):
    assert evening["odd request"].sipp.worked


# -- what stays


def test_both_sides_of_a_call_are_recorded(evening: Evening[Placed]):
    call = evening["plain"]

    for side in (call.folder.caller, call.folder.agent):
        assert tone_hz(sounding(side)[2 * 8 * 400 : 2 * 8 * 1800]) == pytest.approx(440, abs=PITCH_HZ)
    assert call.folder.record.recording == "complete"
    assert call.folder.record.trace == "complete"


@pytest.mark.parametrize("number", ["+15550100001", "+15550100003", "+15550100008"])
def test_a_call_that_was_captured_is_imported_as_it_was_heard(imported: dict[str, CallFolder], number: str):
    call = imported[number]

    assert tone_hz(sounding(call.caller)[2 * 8 * 400 : 2 * 8 * 1800]) == pytest.approx(440, abs=PITCH_HZ)
    assert gaps(sounding(call.caller)) == []
    assert call.record.reason is EndReason.CALLER_HUNG_UP


def test_calls_that_were_imported_are_replayed_byte_for_byte(
    evening: Evening[Placed], imported: dict[str, CallFolder]
):
    done = run_gateway("replay", *(str(call.path) for call in imported.values()), folder=evening.folder)

    assert len(imported) == 8  # those over UDP that somebody spoke in
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_password_and_no_digest_is_in_traces_or_log(evening: Evening[Placed]):
    told = evening.gateway.log + "".join(evening["referring"].folder.traced)

    assert PASSWORD not in told
    assert "response=" not in told


def test_every_call_is_replayed_byte_for_byte(evening: Evening[Placed]):
    replayed = evening.gateway.replayed()

    assert replayed.returncode == 0, replayed.stdout + replayed.stderr


def test_the_gateway_ends_well_after_all_that(evening: Evening[Placed]):
    assert evening.gateway.status == 0
    assert "Traceback" not in evening.gateway.log
