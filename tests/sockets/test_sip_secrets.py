"""Whatever a gateway writes of its calls by SIP: no password, digest or key is in it, and nobody's number."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from gateway.carriers.sip.srtp import SrtpSender
from gateway.dialplan.plan import load
from gateway.wire.sdp.crypto import decode as decode_key
from gateway.wire.sip.message import Request
from tests.sockets.sip_digest_guess import challenges_in, credentials
from tests.sockets.sip_gateway import SipGateway, sip_gateway
from tests.sockets.sip_peer_on_sockets import Caller, UdpPeer, media, packet, tcp_peer, udp_peer

CALLER, CALLED, ASSERTED, NAMED = "+15550107001", "+15550107002", "+15550107003", "+15550107004"
PASSWORD, THEIR_PASSWORD = "canary-of-the-phones", "canary-of-the-carrier"
KEY = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
CRYPTO = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n"
NONCE = "a-nonce-of-the-carrier"
TRUNKS = """
[trunks.phones]
networks = ["127.0.0.1/32"]
auth = "digest"
user = "anna"
srtp = "required"

[trunks.carrier]
address = "sip:127.0.0.2:{port}"
networks = ["127.0.0.2/32"]
user = "us"
caller_id = "{caller_id}"
ping_s = 0
"""
SECRETS = {"TRUNK_PHONES_PASSWORD": PASSWORD, "TRUNK_CARRIER_PASSWORD": THEIR_PASSWORD}
TALKATIVE = {
    "P-Asserted-Identity": f'"{ASSERTED}" <sip:{ASSERTED}@h>',
    "User-Agent": f"Phone of {NAMED}",
    "Subject": f"call {NAMED}",
    "Reason": f'Q.850;cause=16;text="{NAMED} hung up"',
}


def hashes(user: str, realm: str, password: str) -> Iterator[str]:
    for name in ("md5", "sha256"):
        yield hashlib.new(name, f"{user}:{realm}:{password}".encode(), usedforsecurity=False).hexdigest()


def written(gateway: SipGateway) -> dict[str, bytes]:
    """All that is left of calls, and what was said of them meanwhile."""
    files = {
        str(path.relative_to(gateway.folder)): path.read_bytes()
        for path in gateway.folder.rglob("*")
        if path.is_file()
    }
    return {**files, "log": gateway.log.getvalue().encode(), "metrics": gateway.metrics.expose()}


def found(gateway: SipGateway, *secrets: str) -> list[tuple[str, str]]:
    """Which secret is in what. Of numbers their digits, however they are written."""
    return [
        (secret, name)
        for secret in secrets
        for name, data in written(gateway).items()
        if secret.lstrip("+").encode() in data
    ]


def numbers() -> tuple[str, ...]:
    return tuple(number.removeprefix("+1") for number in (CALLER, CALLED, ASSERTED, NAMED))


def trunks(port: int = 5060) -> str:
    return TRUNKS.format(port=port, caller_id=CALLER)


async def test_a_call_by_password_and_with_srtp_leaves_no_secret_and_no_number(tmp_path: Path):
    async with (
        sip_gateway(tmp_path, trunks(), secrets=SECRETS) as gateway,
        tcp_peer(gateway.at["TCP"]) as peer,
    ):
        async with media() as ears:
            caller = Caller(peer, number=CALLED, who=CALLER)
            offer = ears.sdp(more=CRYPTO).replace("RTP/AVP", "RTP/SAVP")
            challenge = await caller.invite(offer, rows=TALKATIVE)
            nonces = challenges_in(challenge.headers.rows("WWW-Authenticate"))
            wrong = credentials(nonces["SHA-256"], "wrong", uri=caller.uri)
            await caller.invite(offer, rows={**TALKATIVE, "Authorization": wrong})
            right = credentials(nonces["SHA-256"], PASSWORD, uri=caller.uri, count=2)
            answer = await caller.invite(offer, rows={**TALKATIVE, "Authorization": right})
            assert answer.status == 200
            our_key = re.search(rb"inline:([\w+/=]+)", answer.body)
            assert our_key is not None
            assert caller.media is not None
            sender = SrtpSender(decode_key(CRYPTO.strip().removeprefix("a=crypto:")))
            for number in range(25):
                await ears.send_raw(sender.protect(packet(number, bytes(160))) or b"", caller.media)
                await trio.sleep(0.01)
            await caller.request("INFO", body=f"Signal={NAMED}\r\n", body_type="application/dtmf-relay")
            await caller.request("BYE", rows=TALKATIVE)
        (record,) = await gateway.records(1)
        responses = [text for said in (wrong, right) for text in re.findall(r'response="(\w+)"', said)]

        assert record["media"]["received_packets"] > 10  # it could be read: the keys were in use
        assert (
            found(gateway, PASSWORD, *hashes("anna", "gateway", PASSWORD), *responses, *nonces.values()) == []
        )
        assert found(gateway, KEY, KEY[:20], our_key[1].decode(), our_key[1].decode()[:20]) == []
        assert found(gateway, *numbers()) == []


async def test_a_guessed_password_is_in_no_line_of_the_log(tmp_path: Path):
    async with (
        sip_gateway(tmp_path, trunks(), secrets=SECRETS) as gateway,
        udp_peer(gateway.at["UDP"]) as peer,
    ):
        for number in range(10):
            said = credentials("nonce-canary", f"guess-canary-{number}", uri=f"sip:{CALLED}@127.0.0.1")
            caller = Caller(peer, number=CALLED, who=CALLER)
            await peer.send(caller.text("INVITE", number=1, rows={**TALKATIVE, "Authorization": said}))
        await peer.is_left_alone()

        assert gateway.logged("stranger.dropped")
        assert found(gateway, "canary", "response=", *numbers()) == []


async def answers_as_a_carrier(peer: UdpPeer, gone: trio.Event) -> list[str]:
    """Ask for a password, take the call, hear it out. The digests that were said."""
    said: list[str] = []
    while not gone.is_set():
        request = await peer.hear()
        if not isinstance(request, Request) or request.method == "ACK":
            continue
        credentials_said = request.headers.get("Authorization")
        said += re.findall(r'response="(\w+)"', str(credentials_said))
        rows, body, line = "", "", "200 OK"
        if request.method == "INVITE" and not said:
            line, rows = "401 No", f'WWW-Authenticate: Digest realm="far", nonce="{NONCE}", qop="auth"\r\n'
        elif request.method == "INVITE":
            body = "v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
            rows = "Content-Type: application/sdp\r\n"
        else:
            gone.set()
        to = request.headers["To"] + ("" if "tag=" in request.headers["To"] else ";tag=far")
        kept = "".join(f"{name}: {request.headers[name]}\r\n" for name in ("Via", "From", "Call-ID", "CSeq"))
        contact = (
            f"Contact: <sip:{CALLED}@127.0.0.2:{peer.address.port}>\r\nTo: {to}\r\nServer: of {NAMED}\r\n"
        )
        await peer.send(
            f"SIP/2.0 {line}\r\n{kept}{contact}{rows}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
    return said


async def test_a_call_of_ours_with_our_password_leaves_no_secret_and_no_number(tmp_path: Path):
    said: list[str] = []
    async with udp_peer(None, "127.0.0.2") as carrier:
        async with sip_gateway(tmp_path, trunks(carrier.address.port), secrets=SECRETS) as gateway:
            carrier.calls(gateway.at["UDP"])
            gone = trio.Event()
            plan = load(tmp_path / "plan.toml").plans["echo"]
            async with trio.open_nursery() as nursery:

                async def answer() -> None:
                    said.extend(await answers_as_a_carrier(carrier, gone))

                async def call() -> None:
                    await gateway.gateway.call(f"sip:{CALLED}@carrier", plan)

                nursery.start_soon(answer)
                nursery.start_soon(call)
                await trio.sleep(0.3)
                gateway.hang_up_all()
            (record,) = await gateway.records(1)

            assert (record["direction"], record["reason"]) == ("outbound", "operator")
            assert said
            assert found(gateway, THEIR_PASSWORD, *hashes("us", "far", THEIR_PASSWORD), *said, NONCE) == []
            assert found(gateway, *numbers()) == []


@pytest.mark.parametrize("keep", [True, False])
async def test_numbers_are_kept_where_the_settings_say_so_and_nowhere_in_the_log(tmp_path: Path, keep: bool):
    settings = f"[traces]\nkeep_numbers = {str(keep).lower()}\n[trunks.open]\nnetworks = ['127.0.0.1/32']\n"
    async with (
        sip_gateway(tmp_path, settings) as gateway,
        udp_peer(gateway.at["UDP"]) as peer,
        media() as ears,
    ):
        caller = Caller(peer, number=CALLED, who=CALLER)
        await caller.invite(ears.sdp())
        await caller.hang_up()
        (record,) = await gateway.records(1)

        assert (record["caller"] == CALLER, record["called"] == CALLED) == (keep, keep)
        assert not any(name == "log" for _, name in found(gateway, *numbers()))
