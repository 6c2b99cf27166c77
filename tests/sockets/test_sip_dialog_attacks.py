"""Within a call, or as if: wrong names, spoofed messages, storms, and descriptions that would have us send elsewhere."""

from pathlib import Path
from typing import Any

import pytest
import trio

from tests.sockets.sip_gateway import SipGateway, sip_gateway
from tests.sockets.sip_peer_on_sockets import Caller, UdpPeer, media, talking, udp_peer

TRUNKS = """
[trunks.friends]
networks = ["127.0.0.1/32"]
calls_per_s = 1000

[trunks.others]
networks = ["127.0.0.2/32"]
"""
METHODS = ("BYE", "INVITE", "UPDATE", "INFO", "REFER", "NOTIFY", "OPTIONS", "MESSAGE", "SUBSCRIBE", "PRACK")
WRONG = {
    "their tag": {"From": "<sip:x@h>;tag=wrong"},
    "our tag": {"To": "<sip:x@h>;tag=wrong"},
    "Call-ID": {"Call-ID": "wrong"},
}


async def answer_to(peer: UdpPeer, data: bytes) -> int | None:
    await peer.send(data)
    with trio.move_on_after(0.5):
        return getattr(await peer.hear(), "status", None)
    return None


def active(gateway: SipGateway) -> int:
    return len(gateway.gateway.supervisor.active)


@pytest.mark.parametrize("wrong", WRONG)
async def test_who_does_not_know_a_calls_names_can_do_nothing_to_it(tmp_path: Path, wrong: str):
    answers = {}
    async with (
        sip_gateway(tmp_path, TRUNKS) as gateway,
        udp_peer(gateway.at["UDP"]) as friend,
        udp_peer(gateway.at["UDP"], "127.0.0.2") as other,
    ):
        async with talking(friend) as talk:
            for number, method in enumerate(METHODS, 50):
                answers[method] = await answer_to(
                    other, talk.caller.text(method, number=number, rows=WRONG[wrong])
                )
                await other.send(talk.caller.text("ACK", number=number, rows=WRONG[wrong]))

    assert answers == dict.fromkeys(METHODS, 481)
    assert talk.is_undisturbed


async def test_a_cancel_of_somebody_elses_call_cancels_nothing(tmp_path: Path):
    async with (
        sip_gateway(tmp_path, TRUNKS) as gateway,
        udp_peer(gateway.at["UDP"]) as friend,
        udp_peer(gateway.at["UDP"], "127.0.0.2") as other,
    ):
        async with talking(friend) as talk:
            cancel = talk.caller.text("CANCEL", branch="z9hG4bK-guessed", rows={"To": "<sip:x@h>"})

            assert await answer_to(other, cancel) == 481
            assert active(gateway) == 1
    assert talk.is_undisturbed


async def test_an_old_request_that_somebody_sends_again_is_refused(tmp_path: Path):
    async with sip_gateway(tmp_path, TRUNKS) as gateway, udp_peer(gateway.at["UDP"]) as friend:
        async with talking(friend) as talk:
            old = talk.caller.text("BYE", number=talk.caller.number, branch="z9hG4bK-again")

            assert await answer_to(friend, old) == 500
            assert active(gateway) == 1
    assert talk.is_undisturbed


async def test_an_ack_of_nothing_confirms_nothing(tmp_path: Path):
    async with (
        sip_gateway(tmp_path, TRUNKS) as gateway,
        udp_peer(gateway.at["UDP"]) as friend,
        media() as ears,
    ):
        caller = Caller(friend)
        caller.number = 1
        await friend.send(caller.text("INVITE", body=ears.sdp()))
        answer = await caller.answer("INVITE")
        for rows in (*WRONG.values(), {"CSeq": "2 ACK", "To": answer.headers["To"]}):
            await friend.send(
                caller.text("ACK", branch="z9hG4bK-other", rows={"To": answer.headers["To"]} | rows)
            )

        again = await caller.answer("INVITE")  # which comes again until it is acknowledged

        assert again.status == 200
        caller.remote = again.headers["To"]
        await caller.ack()
        assert (await caller.hang_up()).status == 200


@pytest.mark.parametrize("method", ["INFO", "UPDATE", "OPTIONS", "NOTIFY", "REFER"])
async def test_a_storm_within_a_call_is_answered_and_the_call_goes_on(tmp_path: Path, method: str):
    changes: dict[str, dict[str, Any]] = {
        "INFO": {"body": "Signal=5\r\nDuration=160\r\n", "body_type": "application/dtmf-relay"},
        "NOTIFY": {"rows": {"Event": "refer", "Subscription-State": "active"}},
        "REFER": {"rows": {"Refer-To": "<sip:x@203.0.113.9>"}},
    }
    async with sip_gateway(tmp_path, TRUNKS) as gateway, udp_peer(gateway.at["UDP"]) as friend:
        async with talking(friend) as talk:
            caller = talk.caller
            statuses = set()
            for _ in range(60):
                body = {"body": talk.ears.sdp()} if method == "UPDATE" else {}
                statuses.add((await caller.request(method, **body, **changes.get(method, {}))).status)

        assert statuses == {{"NOTIFY": 481, "REFER": 603}.get(method, 200)}
        assert not gateway.has_a_bug
    assert len(talk.heard) > 0


async def test_offers_that_overlap_are_put_off(tmp_path: Path):
    async with (
        sip_gateway(tmp_path, TRUNKS) as gateway,
        udp_peer(gateway.at["UDP"]) as friend,
        media() as ears,
    ):
        caller = Caller(friend)
        await caller.invite(ears.sdp())
        statuses = []
        for _ in range(3):  # each leaves it to us to offer, and waits for nothing
            caller.number += 1
            await friend.send(caller.text("INVITE"))
            statuses.append((await caller.answer("INVITE")).status)

        assert statuses == [200, 491, 491]
        await caller.hang_up()


# -- descriptions


@pytest.mark.parametrize(
    "sdp",
    [
        "c=IN IP4 224.1.2.3",
        "c=IN IP4 239.255.255.250",
        "c=IN IP6 ff02::1",
        "c=IN IP4 localhost",
        "c=IN IP4 127.0.0.1.nip.example",
        "c=IN IP4 ",
        "c=IN IP4 1.2.3.4.5",
        "c=IN IP4 -1",
    ],
)
async def test_audio_is_not_sent_to_crowds_and_names(tmp_path: Path, sdp: str):
    async with (
        sip_gateway(tmp_path, TRUNKS) as gateway,
        udp_peer(gateway.at["UDP"]) as friend,
        media() as ears,
    ):
        async with talking(friend) as talk:
            first = await Caller(friend).invite(ears.sdp().replace("c=IN IP4 127.0.0.1", sdp))
            within = await talk.caller.invite(ears.sdp(version=2).replace("c=IN IP4 127.0.0.1", sdp))

            assert first.status in {400, 488}
            assert within.status in {400, 488}
    assert talk.is_undisturbed


async def test_an_address_of_zeros_is_a_hold_and_gets_nothing(tmp_path: Path):
    async with (
        sip_gateway(tmp_path, TRUNKS) as gateway,
        udp_peer(gateway.at["UDP"]) as friend,
        media() as ears,
    ):
        caller = Caller(friend)
        assert (await caller.invite(ears.sdp(host="0.0.0.0"))).status == 200

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ears.receive)
            await trio.sleep(0.2)
            nursery.cancel_scope.cancel()

        assert ears.packets == []
        await caller.hang_up()


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ("a=x:y\r\n" * 8000, 200),
        ("m=audio 4000 RTP/AVP 0\r\n" * 31, 200),
        ("m=audio 4000 RTP/AVP 0\r\n" * 40, 400),
        ("a=rtpmap:" + "9" * 4000 + " PCMU/8000\r\n", 200),
        ("a=" + "crypto:" * 3000 + "\r\n", 200),
        ("a=ptime:0\r\na=maxptime:-1\r\na=rtcp:0\r\n", 200),
        ("a=ptime:9999\r\n", 200),
    ],
)
async def test_a_description_of_any_size_is_taken_or_refused_and_never_more(
    tmp_path: Path, more: str, status: int
):
    async with (
        sip_gateway(tmp_path, TRUNKS) as gateway,
        udp_peer(gateway.at["UDP"]) as friend,
        media() as ears,
    ):
        caller = Caller(friend)

        response = await caller.invite(ears.sdp(more=more))

        assert response.status == status
        if status == 200:
            assert (await caller.hang_up()).status == 200


# -- where our own requests would go


@pytest.mark.parametrize("own", ["Contact", "Record-Route"])
async def test_a_call_that_would_have_us_talk_to_ourselves_ends_without_a_loop(tmp_path: Path, own: str):
    async with (
        sip_gateway(tmp_path, TRUNKS) as gateway,
        udp_peer(gateway.at["UDP"]) as friend,
        media() as ears,
    ):
        caller = Caller(friend)
        ourselves = f"<sip:us@{gateway.at['UDP'].host}:{gateway.at['UDP'].port};lr>"
        assert (await caller.invite(ears.sdp(), rows={own: ourselves})).status == 200

        gateway.hang_up_all()
        await gateway.until_idle()

        (record,) = await gateway.records(1)
        assert record["reason"] == "operator"
        assert gateway.counted('gw_sip_invites_total{status="200"}') == 1
        assert not gateway.has_a_bug


async def test_our_goodbye_goes_where_the_caller_said_once_and_again_but_not_for_ever(tmp_path: Path):
    async with (
        sip_gateway(tmp_path, TRUNKS) as gateway,
        udp_peer(gateway.at["UDP"]) as friend,
        udp_peer(gateway.at["UDP"], "127.0.0.77") as third,
        media() as ears,
    ):
        caller = Caller(friend)
        contact = {"Contact": f"<sip:x@{third.address.host}:{third.address.port}>"}
        assert (await caller.invite(ears.sdp(), rows=contact)).status == 200

        gateway.hang_up_all()
        await gateway.until_idle()

        byes = [(await third.datagram()).partition(b" ")[0] for _ in range(2)]
        assert byes == [b"BYE", b"BYE"]  # at 0 and 0.5 s
