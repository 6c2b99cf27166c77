"""The calls that sipp places: what each scenario does, and all of them side by side."""

from dataclasses import dataclass
from pathlib import Path

import trio

from gateway.audio.tones import sine
from tests.peers import sipp, tap
from tests.peers import sipp_scenarios as says
from tests.peers.captures import rtp, write_capture
from tests.peers.certificates import Certificates
from tests.peers.evening import Evening, Placed
from tests.peers.listening import marked_tone
from tests.peers.ports import free_ports
from tests.peers.served import Gateway, serving
from tests.peers.sipp import CAPTURES

__all__ = ["CANCELLED", "PASSWORD", "STRANGER", "TONE_DBFS", "Planned", "place_calls", "planned"]

PASSWORD = "open sesame"  # of the trunk that asks for one
TRUNKS = """
[trunks.known]
networks = ["127.0.0.1/32"]
codecs = ["pcma", "pcmu"]
calls_per_s = 100

[trunks.referring]
address = "sip:127.0.0.1:$referred"
networks = ["127.0.0.3/32"]
codecs = ["pcma", "pcmu"]
transfers = true
user = "gateway"
ping_s = 0

[trunks.small]
networks = ["127.0.0.5/32"]
calls = 1

[trunks.hesitant]
networks = ["127.0.0.7/32"]
codecs = ["pcma", "pcmu"]
calls = 1
calls_per_s = 100
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
CANCELLED = 5  # one after the other, on a trunk that may have one
FREED_MS = 300  # a call is written down before its trunk may have another
PATIENT = ("-default_behaviors", "all,-abortunexp")  # what comes before its step is passed over
STEP_S = 0.1  # from one call to the next: two dozen programs that start at once are felt by those that talk
CALL = says.invite() + says.expect(200) + says.ack()


@dataclass(frozen=True)
class Planned:
    """One sipp, or several calls of one. `host`: where it calls from. `longest_s`: with all that is sent again."""

    steps: str
    number: str
    host: str = "127.0.0.1"
    options: tuple[str, ...] = ()
    longest_s: float = 20


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
    keys = "".join(
        says.play(CAPTURES / f"dtmf_2833_{key}.pcap") + says.pause(400) for key in ("1", "star", "0", "pound")
    )
    held = says.sdp("sendonly", version=2)
    timer = "Session-Expires: 90;refresher=uac"
    refer_to = f"Refer-To: <sip:+15550100777@127.0.0.1:{referred}>"
    later = write_capture(folder / "later.pcap", rtp(TONE, sequence=250, timestamp=16_000 + 4 * 8000))
    return {
        "plain": Planned(CALL + talk + says.bye(), "+15550100001"),
        "tcp": Planned(CALL + talk + says.bye(), "+15550100002", options=("-t", "t1")),
        "slow": Planned(CALL + says.play(slow) + says.pause(2400) + says.bye(), "+15550100003"),
        "speech": Planned(
            CALL + says.play(CAPTURES / "g711a.pcap") + says.pause(3000) + says.bye(), "+15550100004"
        ),
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
            + says.play(later)
            + says.pause(3800)  # what was said while he did not hear is said first
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
            longest_s=40,  # a request is sent again after 0.5, 1, 2, 4, 4 s, and one in three times in vain
        ),
        "unacknowledged": Planned(
            says.invite() + says.expect(200) + says.pause(1800) + says.ack() + says.pause(300) + says.bye(),
            "+15550100012",
        ),
        "rude": Planned(says.invite() + says.expect(200) + says.bye(), "+15550100013"),
        "abrupt": Planned(CALL + says.bye(), "+15550100014"),
        "cancelled": Planned(
            says.invite_and_cancel() + says.cancelled_or_taken() + says.pause(FREED_MS),
            "+15550100025",
            host="127.0.0.7",
            options=("-m", str(CANCELLED), "-r", "20", "-l", "1", *PATIENT),
            longest_s=10,
        ),
        "unknown codec": Planned(
            says.invite(says.sdp(codecs=("18 G729/8000",))) + says.expect(488) + says.ack_refusal(),
            "+15550100016",
        ),
        "busy": Planned(says.invite() + says.expect(486) + says.ack_refusal(), "+15550100486"),
        "stranger": Planned(
            says.invite() + says.expect(200),
            "+15550100019",
            host=STRANGER,
            options=("-recv_timeout", "1500"),
        ),
        "one": Planned(CALL + says.pause(2000) + says.bye(), "+15550100020", host="127.0.0.5"),
        "too many": Planned(
            says.pause(700)
            + says.invite()
            + says.expect(503, where="Retry-After", matches="[0-9]+")
            + says.ack_refusal(),
            "+15550100021",
            host="127.0.0.5",
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
            + says.receive("NOTIFY", where="body", matches="SIP/2.0 100")
            + says.confirm()
            + says.receive("NOTIFY", where="body", matches="SIP/2.0 180")
            + says.confirm()
            + says.receive("NOTIFY", where="body", matches="SIP/2.0 200")
            + says.confirm()
            + says.receive_bye(),
            "+15550100022",
            host="127.0.0.3",
        ),
        "not allowed to refer": Planned(
            CALL + says.pause(300) + says.request("REFER", 2, refer_to) + says.expect(603) + says.bye(3),
            "+15550100023",
        ),
        "odd request": Planned(
            CALL + says.request("SUBSCRIBE", 2, "Event: dialog") + says.expect(405) + says.bye(3),
            "+15550100024",
        ),
    }


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
            longest_s=plan.longest_s,
        )

    trunks = TRUNKS.replace("$referred", str(referred))
    secrets = {"TRUNK_REFERRING_PASSWORD": PASSWORD}
    target = says.scenario(
        "referred",
        says.challenge("gateway", PASSWORD) + says.take() + says.pause(300) + says.hang_up_called(),
    )
    with trio.fail_after(60):
        async with (
            tap.tapping() as tapped,
            serving(folder, trunks=trunks, plan=PLAN, certificates=certificates, secrets=secrets) as gateway,
            sipp.called_by("referred", target, folder=folder, port=referred) as callee,
        ):
            async with trio.open_nursery() as nursery:
                for name, plan in plans.items():
                    nursery.start_soon(place, name, plan, gateway)
                    await trio.sleep(STEP_S)
            done["referred"] = await callee.done()
            await gateway.give_up_ports()
    calls = {
        name: Placed(each, gateway.calls_to(plans[name].number) if name in plans else [], tapped)
        for name, each in done.items()
    }
    return Evening(folder, calls, gateway)
