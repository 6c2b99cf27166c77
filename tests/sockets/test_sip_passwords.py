"""A trunk that lets anybody in who knows its password, and nobody else, on sockets."""

from pathlib import Path

import pytest
import trio

from gateway.wire.sip.message import Response
from tests.sockets.sip_digest_guess import challenges_in, credentials
from tests.sockets.sip_gateway import SipGateway, sip_gateway
from tests.sockets.sip_peer_on_sockets import Caller, TcpPeer, UdpPeer, media, tcp_peer, udp_peer
from tests.wire.sip.corpus import TORTURE

PASSWORD = "open sesame"
PHONES = """
[trunks.phones]
networks = ["127.0.0.0/8"]
auth = "digest"
user = "anna"
calls_per_s = 1000
"""
SECRETS = {"TRUNK_PHONES_PASSWORD": PASSWORD}
OFFER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"


async def challenged(caller: Caller) -> dict[str, str]:
    """The nonces that a caller without credentials is sent."""
    response = await caller.invite(OFFER)
    assert response.status == 401
    return challenges_in(response.headers.rows("WWW-Authenticate"))


async def calls(caller: Caller, said: str) -> Response:
    """Call with these credentials."""
    return await caller.invite(OFFER, rows={"Authorization": said})


async def guesses(gateway: SipGateway, peer: UdpPeer, count: int, **changes: str) -> int:
    """How many of so many guesses are answered at all."""
    nonce = (await challenged(Caller(peer)))["SHA-256"]
    for number in range(count - 1):
        guess = credentials(nonce, f"guess {number}", count=number + 1, **changes)
        caller = Caller(peer)
        await peer.send(caller.text("INVITE", number=1, body=OFFER, rows={"Authorization": guess}))
        await peer.is_left_alone(0.01)
    return int(gateway.counted('gw_sip_invites_total{status="401"}'))


async def test_who_says_no_password_is_asked_for_it_with_the_strongest_algorithm_first(tmp_path: Path):
    async with sip_gateway(tmp_path, PHONES, secrets=SECRETS) as gateway, udp_peer(gateway.at["UDP"]) as peer:
        nonces = await challenged(Caller(peer))

    assert list(nonces) == ["SHA-256", "MD5"]


@pytest.mark.parametrize("algorithm", ["SHA-256", "MD5"])
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
async def test_the_right_password_opens_the_door(tmp_path: Path, algorithm: str, transport: str):
    async with sip_gateway(tmp_path, PHONES, secrets=SECRETS) as gateway:
        way = udp_peer if transport == "UDP" else tcp_peer
        async with way(gateway.at[transport]) as peer, media() as ears:
            assert isinstance(peer, UdpPeer | TcpPeer)
            caller = Caller(peer)
            nonces = await challenged(caller)
            said = credentials(nonces[algorithm], PASSWORD, algorithm=algorithm)

            taken = await caller.invite(ears.sdp(), rows={"Authorization": said})

            assert taken.status == 200
            assert (await caller.hang_up()).status == 200  # which needs no password: it knows the dialog


async def test_what_was_said_once_is_no_password_when_somebody_says_it_again(tmp_path: Path):
    async with sip_gateway(tmp_path, PHONES, secrets=SECRETS) as gateway, udp_peer(gateway.at["UDP"]) as peer:
        caller, thief = Caller(peer), Caller(peer)
        said = credentials((await challenged(caller))["SHA-256"], PASSWORD)
        assert (await calls(caller, said)).status == 200

        again = await calls(thief, said)

        assert again.status == 401
        assert all("stale=TRUE" in row for row in again.headers.rows("WWW-Authenticate"))
        await caller.hang_up()


@pytest.mark.parametrize(
    "nonce", ["", "0", "17a2b-0123456789abcdef-00112233445566778899aabbccddeeff", "-", "x" * 5000]
)
async def test_a_nonce_that_we_did_not_make_is_worth_nothing(tmp_path: Path, nonce: str):
    async with sip_gateway(tmp_path, PHONES, secrets=SECRETS) as gateway, udp_peer(gateway.at["UDP"]) as peer:
        response = await calls(Caller(peer), credentials(nonce, PASSWORD))

    assert response.status == 401


@pytest.mark.parametrize(
    "said",
    [
        "Digest",
        "Basic YW5uYTpvcGVuIHNlc2FtZQ==",
        'Digest username="anna"',
        'Digest username="anna", realm="gateway", nonce="", uri="", response=""',
        'Digest username="anna", realm="elsewhere", nonce="1", uri="x", response="y"',
        'Digest username="", realm="gateway", nonce="1", uri="x", response="y", qop=auth, nc=zz, cnonce="',
        "Digest " + ",".join(f'a{number}="{number}"' for number in range(250)),
        "\x80\xff",
    ],
)
async def test_what_is_no_digest_is_challenged_as_if_nothing_had_been_said(tmp_path: Path, said: str):
    async with sip_gateway(tmp_path, PHONES, secrets=SECRETS) as gateway, udp_peer(gateway.at["UDP"]) as peer:
        response = await calls(Caller(peer), said)

    assert response.status == 401


@pytest.mark.parametrize("user", ["anna", "nobody"])
async def test_guessing_is_slow_and_does_not_tell_who_exists(tmp_path: Path, user: str):
    async with sip_gateway(tmp_path, PHONES, secrets=SECRETS) as gateway, udp_peer(gateway.at["UDP"]) as peer:
        answered = await guesses(gateway, peer, 40, user=user)

        assert answered == 5
        assert gateway.counted('gw_sip_dropped_total{reason="guesses"}') == 35
        assert len(gateway.logged("stranger.dropped")) == 5


@pytest.mark.parametrize("method", ["OPTIONS", "REGISTER", "MESSAGE", "NONSENSE", "INVITE"])
async def test_a_scan_hears_five_challenges_whatever_it_asks(tmp_path: Path, method: str):
    async with sip_gateway(tmp_path, PHONES, secrets=SECRETS) as gateway, udp_peer(gateway.at["UDP"]) as peer:
        for _ in range(30):
            await peer.send(Caller(peer).text(method, number=1))

        with trio.fail_after(2):
            heard = [await peer.hear() for _ in range(5)]
        assert [each.status for each in heard if isinstance(each, Response)] == [401] * 5
        assert await peer.is_left_alone()
        assert len(gateway.logged("stranger.dropped")) == 5


@pytest.mark.parametrize("method", ["BYE", "CANCEL", "ACK"])
async def test_a_scan_for_calls_that_there_are_not_hears_nothing(tmp_path: Path, method: str):
    async with sip_gateway(tmp_path, PHONES, secrets=SECRETS) as gateway, udp_peer(gateway.at["UDP"]) as peer:
        await peer.send(Caller(peer).text(method, number=1))

        assert await peer.is_left_alone()


async def test_a_scan_with_what_is_malformed_hears_nothing_and_is_logged(tmp_path: Path):
    async with sip_gateway(tmp_path, PHONES, secrets=SECRETS) as gateway, udp_peer(gateway.at["UDP"]) as peer:
        await peer.send(TORTURE["badinv01"])

        assert await peer.is_left_alone()
        (line,) = gateway.logged("stranger.dropped")
        assert line["line"].startswith("Malformed: ")


async def test_who_has_proven_himself_is_answered_whatever_he_asks(tmp_path: Path):
    async with sip_gateway(tmp_path, PHONES, secrets=SECRETS) as gateway, udp_peer(gateway.at["UDP"]) as peer:
        caller = Caller(peer)
        said = credentials((await challenged(caller))["SHA-256"], PASSWORD)
        assert (await calls(caller, said)).status == 200

        await peer.send(Caller(peer).text("OPTIONS", number=1))

        heard = await peer.hear()
        assert isinstance(heard, Response)
        assert heard.status == 200
        await caller.hang_up()


async def test_who_guesses_keeps_nobody_else_out(tmp_path: Path):
    async with (
        sip_gateway(tmp_path, PHONES, secrets=SECRETS) as gateway,
        udp_peer(gateway.at["UDP"], "127.0.0.9") as guesser,
        udp_peer(gateway.at["UDP"]) as peer,
    ):
        await guesses(gateway, guesser, 20)
        caller = Caller(peer)

        said = credentials((await challenged(caller))["SHA-256"], PASSWORD)

        assert (await calls(caller, said)).status == 200
        await caller.hang_up()
