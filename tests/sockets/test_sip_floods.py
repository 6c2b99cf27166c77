"""Floods of messages and of audio, while somebody talks: he hears nothing of them."""

import os
import ssl
from pathlib import Path

import pytest
import trio
import trustme

from gateway.audio.g711 import CODECS
from gateway.wire.sip.flow import Address
from tests.sockets.sip_gateway import SipGateway, sip_gateway
from tests.sockets.sip_peer_on_sockets import FOREIGN, Caller, media, packet, talking, tcp_peer, udp_peer

TRUNKS = """
[trunks.friends]
networks = ["127.0.0.1/32"]
calls_per_s = 100

[trunks.mad]
networks = ["127.0.0.2/32"]
calls = 1
calls_per_s = 4
"""
MAD = "127.0.0.2"
OFFER = "v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
MANY = 1000


def statuses(gateway: SipGateway) -> dict[str, float]:
    names = ("200", "503")
    return {name: gateway.counted(f'gw_sip_invites_total{{status="{name}"}}') for name in names}


def foreign_in(folder: Path) -> list[str]:
    """The files of calls that have something of a stranger's audio in them."""
    sounds = bytes([FOREIGN]) * 40, CODECS["pcmu"].decode(bytes([FOREIGN])) * 40
    return [path.name for path in folder.glob("*/*") if any(each in path.read_bytes() for each in sounds)]


# -- messages


async def test_a_flood_of_calls_is_refused_as_far_as_that_helps_and_disturbs_nobody(tmp_path: Path):
    async with sip_gateway(tmp_path, TRUNKS) as gateway, udp_peer(gateway.at["UDP"]) as friend:
        async with talking(friend) as talk, udp_peer(gateway.at["UDP"], MAD) as mad:
            for number, flooding in enumerate([Caller(mad) for _ in range(MANY)]):
                await mad.send(flooding.text("INVITE", number=1, body=OFFER))
                if number % 10 == 9:
                    await trio.sleep(0.005)
        answered = statuses(gateway)
        gateway.hang_up_all()

    assert talk.is_undisturbed
    assert answered["200"] == 2  # his one, and the friend's
    assert 19 <= answered["503"] < 19 + 20 * 3  # five times the calls of a second, and as many in each second


async def test_who_has_all_his_calls_is_told_when_to_ask_again(tmp_path: Path):
    async with sip_gateway(tmp_path, TRUNKS) as gateway, udp_peer(gateway.at["UDP"], MAD) as mad:
        first = Caller(mad)
        assert (await first.invite(OFFER)).status == 200

        response = await Caller(mad).invite(OFFER)

        assert (response.status, response.headers["Retry-After"].strip()) == (503, "1")
        await first.hang_up()


@pytest.mark.parametrize("method", ["OPTIONS", "BYE", "NONSENSE"])
async def test_a_flood_of_anything_else_disturbs_nobody(tmp_path: Path, method: str):
    async with sip_gateway(tmp_path, TRUNKS) as gateway, udp_peer(gateway.at["UDP"]) as friend:
        async with talking(friend) as talk, udp_peer(gateway.at["UDP"], MAD) as mad:
            for number in range(500):
                await mad.send(Caller(mad).text(method, number=1))
                if number % 10 == 9:
                    await trio.sleep(0.005)

    assert talk.is_undisturbed


async def test_a_connection_that_says_more_than_there_is_time_for_disturbs_nobody(tmp_path: Path):
    async with sip_gateway(tmp_path, TRUNKS) as gateway, udp_peer(gateway.at["UDP"]) as friend:
        async with (
            talking(friend) as talk,
            tcp_peer(gateway.at["TCP"], MAD) as mad,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(mad.everything)
            with trio.move_on_after(0.6):
                while True:
                    await mad.send(b"".join(Caller(mad).text("OPTIONS", number=1) for _ in range(20)))
            nursery.cancel_scope.cancel()

    assert talk.is_undisturbed


async def test_many_connections_that_say_nothing_disturb_nobody_and_leave_room(tmp_path: Path):
    async with sip_gateway(tmp_path, TRUNKS) as gateway, tcp_peer(gateway.at["TCP"]) as friend:
        async with talking(friend) as talk, trio.open_nursery() as nursery:

            async def stay() -> None:
                async with tcp_peer(gateway.at["TCP"], MAD) as mad:
                    await mad.everything()

            for _ in range(230):  # of which 200 are let in
                nursery.start_soon(stay)
                await trio.sleep(0.002)
            async with tcp_peer(gateway.at["TCP"]) as other:
                answer = await Caller(other).request("OPTIONS")
            nursery.cancel_scope.cancel()

    assert talk.is_undisturbed
    assert answer.status == 200


@pytest.mark.parametrize(
    "data",
    [
        b"OPTIONS sip:x@h SIP/2.0\r\n" + b"X: " + b"a" * 70_000,
        b"OPTIONS sip:x@h SIP/2.0\r\n" + b"X: y\r\n" * 12_000,
        b"OPTIONS sip:x@h SIP/2.0\r\nContent-Length: -1\r\n\r\n",
        b"OPTIONS sip:x@h SIP/2.0\r\nContent-Length: 2147483648\r\n\r\n",
        b"OPTIONS sip:x@h SIP/2.0\r\nContent-Length: 4\r\nContent-Length: 9\r\n\r\nabcdefghi",
        b"OPTIONS sip:x@h SIP/2.0\r\nContent-Length:\r\n 4\r\n 2\r\n\r\nabcd",
        bytes(70_000),
        b"\xff" * 70_000,
    ],
    ids=["one header", "headers", "negative", "huge", "two lengths", "folded", "zeros", "ones"],
)
async def test_a_stream_that_cannot_be_cut_into_messages_is_closed(tmp_path: Path, data: bytes):
    async with sip_gateway(tmp_path, TRUNKS) as gateway, tcp_peer(gateway.at["TCP"]) as peer:
        await peer.send(data)

        assert await peer.is_closed()


async def test_garbage_where_tls_is_spoken_is_closed_and_disturbs_nobody(tmp_path: Path):
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(key)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    garbage = [
        os.urandom(2000),
        b"\x16\x03\x01\xff\xff" + bytes(2000),
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
        b"OPTIONS",
    ]

    async with (
        sip_gateway(tmp_path, TRUNKS, listen=("udp", "tls"), certificate=(chain, key)) as gateway,
        udp_peer(gateway.at["UDP"]) as friend,
    ):
        async with talking(friend) as talk:
            for data in garbage * 10:
                async with tcp_peer(gateway.at["TLS"], MAD) as mad:
                    await mad.send(data)
                    await trio.sleep(0.002)
            stream = await trio.open_ssl_over_tcp_stream(
                "localhost", gateway.at["TLS"].port, ssl_context=context
            )
            await stream.do_handshake()
            await trio.aclose_forcefully(stream)

    assert talk.is_undisturbed


# -- audio


async def test_what_strangers_say_on_a_calls_ports_reaches_nobody(tmp_path: Path):
    async with sip_gateway(tmp_path, TRUNKS) as gateway, udp_peer(gateway.at["UDP"]) as friend:
        async with talking(friend) as talk, media("127.0.0.9") as stranger, media() as neighbour:
            to = talk.caller.media
            assert to is not None
            await trio.sleep(0.1)
            for number in range(150):
                await stranger.send(
                    to, talk.sent, bytes([FOREIGN]) * 160
                )  # as if it were the stream's next one
                for each in (stranger, neighbour):
                    await each.send(to, number, bytes([FOREIGN]) * 160, ssrc=77)
                    await each.send(
                        Address(to.host, to.port + 1), number, bytes([FOREIGN]) * 160, payload_type=72
                    )
                await trio.sleep(0.005)
        await gateway.records(1)

        assert talk.is_undisturbed
        assert foreign_in(gateway.folder) == []


async def test_a_flood_of_audio_from_strangers_does_not_crowd_out_the_callers(tmp_path: Path):
    async with sip_gateway(tmp_path, TRUNKS) as gateway, udp_peer(gateway.at["UDP"]) as friend:
        async with talking(friend) as talk, media("127.0.0.9") as stranger:
            assert talk.caller.media is not None
            for number in range(150):
                for _ in range(80):
                    await stranger.send(talk.caller.media, number, bytes([FOREIGN]) * 160)
                await trio.sleep(0.005)
        (record,) = await gateway.records(1)

        assert talk.is_undisturbed
        assert record["media"]["lost_packets"] <= talk.sent * 0.02
        assert foreign_in(gateway.folder) == []


async def test_nobody_comes_into_a_call_that_is_on_hold(tmp_path: Path):
    async with (
        sip_gateway(tmp_path, TRUNKS) as gateway,
        udp_peer(gateway.at["UDP"]) as friend,
        media() as ears,
    ):
        caller = Caller(friend)
        await caller.invite(ears.sdp())
        assert (await caller.invite(ears.sdp(more="a=inactive\r\n", version=2))).status == 200
        assert caller.media is not None

        async with media("127.0.0.9") as stranger:
            for number in range(50):
                await stranger.send(caller.media, number, bytes([FOREIGN]) * 160)
                await trio.sleep(0.002)
        await caller.hang_up()
        await gateway.records(1)

        assert foreign_in(gateway.folder) == []


async def test_packets_that_are_none_reach_nobody(tmp_path: Path):
    async with sip_gateway(tmp_path, TRUNKS) as gateway, udp_peer(gateway.at["UDP"]) as friend:
        async with talking(friend) as talk:
            to = talk.caller.media
            assert to is not None
            foreign = bytes([FOREIGN]) * 160
            for data in (
                b"",
                b"\x80",
                os.urandom(11),
                bytes(1400),
                b"\xbf" + packet(1, foreign)[1:],
                foreign * 9,
            ):
                for port in (to.port, to.port + 1):
                    await talk.ears.send_raw(data, Address(to.host, port))

    assert talk.is_undisturbed
