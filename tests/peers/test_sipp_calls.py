"""sipp calls the gateway, in every way that its scenarios know. All calls are placed side by side, once."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from gateway.audio.tones import sine
from gateway.contracts import EndReason
from tests.peers import sipp, tap
from tests.peers import sipp_scenarios as says
from tests.peers.certificates import Certificates
from tests.peers.evening import Evening, Placed
from tests.peers.listening import gaps, level_dbfs, marked_tone, sounding, tone_dbfs, tone_hz, tone_snr_db
from tests.peers.ports import free_ports
from tests.peers.rtp_capture import rtp, write_capture
from tests.peers.served import Gateway, serving
from tests.peers.sipp import CAPTURES

pytestmark = [
    pytest.mark.skipif(bool(sipp.missing()), reason=sipp.missing()),
    pytest.mark.skipif(not tap.is_allowed(), reason="sipp plays captures only with CAP_NET_RAW"),
]

PASSWORD = "open sesame"  # of the trunk that asks for one
TRUNKS = """
[trunks.known]
networks = ["127.0.0.1/32"]
codecs = ["pcma", "pcmu"]
calls_per_s = 100

[trunks.digest]
networks = ["127.0.0.2/32"]
auth = "digest"
user = "alice"

[trunks.referring]
address = "sip:127.0.0.1:$referred"
networks = ["127.0.0.3/32"]
codecs = ["pcma", "pcmu"]
transfers = true

[trunks.small]
networks = ["127.0.0.5/32"]
calls = 1
"""
STRANGER = "127.0.0.9"
PLAN = """
[default]
plan = "echo"

[[routes]]
number = "+15550100486"
plan = "busy"

[[routes]]
number = "+15550100302"
plan = "elsewhere"

[plans.echo]
steps = [{ do = "answer" }, { do = "converse", agent = "echo" }]

[plans.busy]
steps = [{ do = "reject", reason = "busy" }]

[plans.elsewhere]
steps = [{ do = "answer" }, { do = "transfer", to = "desk" }]

[agents.echo]
instructions = "Say what you hear."

[destinations]
desk = "+15550100999"
"""
TONE_DBFS = -15.0
TONE = marked_tone(440, 2000, level_dbfs=TONE_DBFS)
STEP_S = 0.1  # from one call to the next: two dozen programs that start at once are felt by those that talk
CALL = says.invite() + says.expect(200) + says.ack()


@dataclass(frozen=True)
class Planned:
    """One sipp. `records`: how many calls of the gateway it leads to."""

    steps: str
    number: str
    host: str = "127.0.0.1"
    options: tuple[str, ...] = ()
    records: int = 1


def planned(folder: Path, referred: int) -> dict[str, Planned]:
    tone = write_capture(folder / "tone.pcap", rtp(TONE))
    slow = write_capture(folder / "slow.pcap", rtp(TONE, frame_ms=30))
    short = write_capture(folder / "short.pcap", rtp(sine(440, 1000, level_dbfs=TONE_DBFS)))
    restarted = write_capture(
        folder / "restarted.pcap",
        [
            *rtp(sine(440, 1000, level_dbfs=TONE_DBFS)),
            *rtp(
                sine(1000, 1000, level_dbfs=TONE_DBFS),
                start_s=1.0,
                sequence=40_000,
                timestamp=3_000_000_000,
                ssrc=77,
            ),
        ],
    )
    talk = says.play(tone) + says.pause(2400)
    keys = "".join(says.play(CAPTURES / f"dtmf_2833_{key}.pcap") + says.pause(400) for key in ("1", "star", "0", "pound"))
    held = says.sdp("sendonly", version=2)
    timer = "Session-Expires: 90;refresher=uac"
    refer_to = f"Refer-To: <sip:+15550100777@127.0.0.1:{referred}>"
    return {
        "plain": Planned(CALL + talk + says.bye(), "+15550100001"),
        "tcp": Planned(CALL + talk + says.bye(), "+15550100002", options=("-t", "t1")),
        "slow": Planned(CALL + says.play(slow) + says.pause(2400) + says.bye(), "+15550100003"),
        "speech": Planned(CALL + says.play(CAPTURES / "g711a.pcap") + says.pause(3000) + says.bye(), "+15550100004"),
        "restarted": Planned(CALL + says.play(restarted) + says.pause(2400) + says.bye(), "+15550100005"),
        "keys": Planned(CALL + says.play(short) + says.pause(500) + keys + says.bye(), "+15550100006"),
        "held": Planned(
            CALL
            + says.play(short)
            + says.pause(1200)
            + says.invite_again(2, held)
            + says.expect(200, where="body", matches="a=recvonly")
            + says.ack(2)
            + says.pause(1000)
            + says.invite_again(3, says.sdp(version=3))
            + says.expect(200, where="body", matches="a=sendrecv")
            + says.ack(3)
            + says.play(tone)
            + says.pause(2400)
            + says.bye(4),
            "+15550100007",
        ),
        "delayed": Planned(
            says.invite("")
            + says.expect(200, where="body", matches="m=audio")
            + says.ack(body=says.ANSWER)
            + talk
            + says.bye(),
            "+15550100008",
        ),
        "timed": Planned(
            says.invite(says.OFFER, timer, "Supported: timer")
            + says.expect(200, where="Session-Expires", matches="90;refresher=uac")
            + says.ack()
            + says.pause(300)
            + says.request("UPDATE", 2, timer, "Supported: timer")
            + says.expect(200, where="Session-Expires", matches="90;refresher=uac")
            + says.bye(3),
            "+15550100009",
        ),
        "hasty": Planned(
            says.invite(says.OFFER, "Session-Expires: 30", "Supported: timer")
            + says.expect(422, where="Min-SE", matches="90")
            + says.ack_refusal()
            + says.invite(says.OFFER, "Session-Expires: 90", "Min-SE: 90", "Supported: timer", cseq=2)
            + says.expect(200, where="Session-Expires", matches="90")
            + says.ack(2)
            + says.bye(3),
            "+15550100010",
        ),
        "lossy": Planned(
            CALL + says.pause(500) + says.bye(),
            "+15550100011",
            options=("-lost", "20", "-m", "8", "-r", "8", "-max_retrans", "12"),
            records=8,
        ),
        "unacknowledged": Planned(
            says.invite() + says.expect(200) + says.pause(1800) + says.ack() + says.pause(300) + says.bye(),
            "+15550100012",
        ),
        "rude": Planned(says.invite() + says.expect(200) + says.bye(), "+15550100013"),
        "abrupt": Planned(CALL + says.bye(), "+15550100014"),
        "cancelled": Planned(
            says.invite() + says.cancel() + says.either_ending(), "+15550100015", records=1
        ),
        "unknown codec": Planned(
            says.invite(says.sdp(codecs=("18 G729/8000",))) + says.expect(488) + says.ack_refusal(),
            "+15550100016",
            records=0,
        ),
        "busy": Planned(says.invite() + says.expect(486) + says.ack_refusal(), "+15550100486", records=0),
        "password": Planned(
            says.invite()
            + says.expect(401, challenge=True)
            + says.ack_refusal()
            + says.invite(says.OFFER, "[authentication]", cseq=2)
            + says.expect(200)
            + says.ack(2)
            + says.pause(300)
            + says.bye(3),
            "+15550100017",
            host="127.0.0.2",
            options=("-au", "alice", "-ap", PASSWORD),
        ),
        "wrong password": Planned(
            says.invite()
            + says.expect(401, challenge=True)
            + says.ack_refusal()
            + says.invite(says.OFFER, "[authentication]", cseq=2)
            + says.expect(401)
            + says.ack_refusal(2),
            "+15550100018",
            host="127.0.0.2",
            options=("-au", "alice", "-ap", "a guess"),
            records=0,
        ),
        "stranger": Planned(
            says.invite() + says.expect(200), "+15550100019", host=STRANGER, options=("-recv_timeout", "1500"), records=0
        ),
        "one": Planned(CALL + says.pause(2000) + says.bye(), "+15550100020", host="127.0.0.5"),
        "too many": Planned(
            says.pause(700) + says.invite() + says.expect(503, where="Retry-After", matches="[0-9]+") + says.ack_refusal(),
            "+15550100021",
            host="127.0.0.5",
            records=0,
        ),
        "sent elsewhere": Planned(
            CALL
            + says.receive("REFER", where="Refer-To", matches="15550100999")
            + says.respond_in_dialog(202, "Accepted")
            + says.notify(2, "100 Trying", "active;expires=60")
            + says.notify(3, "200 OK", "terminated;reason=noresource")
            + says.receive_bye(),
            "+15550100302",
            host="127.0.0.3",
        ),
        "referring": Planned(
            CALL
            + says.pause(500)
            + says.request("REFER", 2, refer_to)
            + says.expect(202)
            + says.receive("NOTIFY", where="body", matches="SIP/2.0 1")
            + says.confirm()
            + says.receive("NOTIFY", where="body", matches="SIP/2.0 200")
            + says.confirm()
            + says.bye(3),
            "+15550100022",
            host="127.0.0.3",
        ),
        "not allowed to refer": Planned(
            CALL + says.pause(300) + says.request("REFER", 2, refer_to) + says.expect(603) + says.bye(3),
            "+15550100023",
        ),
        "odd request": Planned(
            CALL + says.request("SUBSCRIBE", 2, "Event: dialog") + says.expect(405) + says.bye(3), "+15550100024"
        ),
    }


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Evening[Placed]:
    return trio.run(place_calls, tmp_path_factory.mktemp("sipp"), certificates)


async def place_calls(folder: Path, certificates: Certificates) -> Evening[Placed]:
    referred = free_ports()
    done: dict[str, sipp.SippDone] = {}
    plans = planned(folder, referred)

    async def place(name: str, plan: Planned, gateway: Gateway) -> None:
        done[name] = await sipp.call(
            name.replace(" ", "_"),
            says.scenario(name, plan.steps),
            folder=folder,
            to=gateway.sip,
            service=plan.number,
            host=plan.host,
            options=plan.options,
        )

    trunks = TRUNKS.replace("$referred", str(referred))
    secrets = {"TRUNK_DIGEST_PASSWORD": PASSWORD}
    target = says.scenario("referred", says.answer() + says.receive_bye())
    with trio.fail_after(60):
        async with tap.tapping() as tapped, serving(
            folder, trunks=trunks, plan=PLAN, certificates=certificates, secrets=secrets
        ) as gateway, sipp.called_by("referred", target, folder=folder, port=referred) as callee:
            async with trio.open_nursery() as nursery:
                for name, plan in plans.items():
                    nursery.start_soon(place, name, plan, gateway)
                    await trio.sleep(STEP_S)
            done["referred"] = await callee.done()
    calls = {
        name: Placed(each, gateway.calls_to(plans[name].number) if name in plans else [], tapped)
        for name, each in done.items()
    }
    return Evening(folder, calls, gateway.log, gateway.statuses)


# -- what is heard


def test_a_caller_hears_himself_at_the_pitch_and_level_he_spoke_with(evening: Evening[Placed]):
    call = evening["plain"]

    tone = call.sound[2 * 8 * 400 : 2 * 8 * 1900]

    assert call.sipp.worked
    assert tone_hz(tone) == pytest.approx(440, abs=0.5)
    assert tone_dbfs(tone, 440) == pytest.approx(TONE_DBFS, abs=0.5)
    assert tone_snr_db(tone, 440) > 25


def test_a_caller_hears_himself_without_a_gap(evening: Evening[Placed]):
    call = evening["plain"]

    assert gaps(call.sound) == []
    assert call.heard.lost == 0
    assert len(call.sound) / 16 == pytest.approx(2000, abs=40)


def test_a_caller_hears_himself_within_a_third_of_a_second(evening: Evening[Placed]):
    assert 20 < evening["plain"].delay_ms < 333


def test_the_gateway_sends_packets_of_20_ms_one_after_the_other(evening: Evening[Placed]):
    (stream,) = evening["plain"].received

    packets = [packet for _, packet in stream.packets]

    assert {len(packet.payload) for packet in packets} == {160}
    assert {(b.timestamp - a.timestamp) % 2**32 for a, b in zip(packets, packets[1:], strict=False)} == {160}


def test_a_call_over_tcp_sounds_as_one_over_udp(evening: Evening[Placed]):
    call = evening["tcp"]

    assert call.sipp.worked
    assert tone_hz(call.sound[2 * 8 * 400 : 2 * 8 * 1900]) == pytest.approx(440, abs=0.5)
    assert gaps(call.sound) == []


def test_packets_of_30_ms_are_heard_whole_where_20_were_agreed_on(evening: Evening[Placed]):
    call = evening["slow"]

    assert call.sipp.worked
    assert gaps(sounding(call.folder.caller)) == []
    assert gaps(call.sound) == []
    assert tone_hz(call.sound[2 * 8 * 400 : 2 * 8 * 1900]) == pytest.approx(440, abs=0.5)


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
    assert tone_hz(first) == pytest.approx(440, abs=1)
    assert tone_hz(second) == pytest.approx(1000, abs=1)
    assert gaps(caller, longer_than_ms=100) == []


def test_each_key_is_heard_once_though_each_comes_with_a_stream_of_its_own(evening: Evening[Placed]):
    call = evening["keys"]

    assert call.sipp.worked
    assert call.folder.digits == "1*0#"


# -- what is agreed on


def test_a_caller_on_hold_hears_nothing_and_hears_again_when_he_is_back(evening: Evening[Placed]):
    call = evening["held"]

    caller = call.folder
    pauses = [
        later - earlier
        for (earlier, _), (later, _) in zip(call.received[0].packets, call.received[0].packets[1:], strict=False)
    ]

    assert call.sipp.worked
    assert 0.8 < max(pauses) < 1.3
    assert caller.facts.count("call.held") == 1
    assert caller.facts.count("call.resumed") == 1
    assert tone_hz(call.sound[-2 * 8 * 1200 : -2 * 8 * 200]) == pytest.approx(440, abs=1)


def test_a_caller_without_an_offer_is_made_one(evening: Evening[Placed]):
    call = evening["delayed"]

    assert call.sipp.worked
    assert tone_hz(call.sound[2 * 8 * 400 : 2 * 8 * 1900]) == pytest.approx(440, abs=0.5)


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

    answers = [message for message in call.sipp.received if message.startswith("SIP/2.0 200") and "INVITE" in message]

    assert call.sipp.worked
    assert len(answers) >= 3
    assert call.folder.record.reason is EndReason.CALLER_HUNG_UP


@pytest.mark.parametrize("name", ["rude", "abrupt"])
def test_a_caller_who_hangs_up_at_once_is_let_go(evening: Evening[Placed], name: str):
    call = evening[name]

    assert call.sipp.worked
    assert [folder.record.reason for folder in call.folders] == [EndReason.CALLER_HUNG_UP]


def test_a_cancel_that_crosses_the_answer_ends_the_call_one_way_or_the_other(evening: Evening[Placed]):
    call = evening["cancelled"]

    assert call.sipp.worked
    assert [folder.record.reason for folder in call.folders] == [EndReason.CALLER_HUNG_UP]


# -- who may call


def test_a_caller_with_the_right_password_gets_in(evening: Evening[Placed]):
    call = evening["password"]

    assert call.sipp.worked
    assert call.folder.record.reason is EndReason.CALLER_HUNG_UP


def test_a_caller_with_the_wrong_password_is_asked_again_and_never_let_in(evening: Evening[Placed]):
    call = evening["wrong password"]

    assert call.sipp.worked
    assert call.folders == []


def test_a_stranger_gets_no_answer_at_all(evening: Evening[Placed]):
    call = evening["stranger"]

    assert not call.sipp.worked
    assert call.sipp.received == []
    assert call.folders == []


def test_a_stranger_is_written_down_for_fail2ban(evening: Evening[Placed]):
    lines = [line for line in evening.log.splitlines() if STRANGER in line]

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
        assert tone_hz(sounding(side)[2 * 8 * 400 : 2 * 8 * 1800]) == pytest.approx(440, abs=0.5)
    assert call.folder.record.recording == "complete"
    assert call.folder.record.trace == "complete"


def test_no_password_and_no_digest_is_in_traces_or_log(evening: Evening[Placed]):
    told = evening.log + "".join(evening["password"].folder.traced)

    assert PASSWORD not in told
    assert "response=" not in told


def test_the_gateway_ends_well_after_all_that(evening: Evening[Placed]):
    assert evening.statuses == [0]
    assert "Traceback" not in evening.log


def test_options_are_answered(evening: Evening[Placed]):
    assert shutil.which("sipsak") is None or evening.statuses
