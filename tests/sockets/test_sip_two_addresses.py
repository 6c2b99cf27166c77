"""A machine with two addresses: who calls one of them hears, and is heard, at that one."""

from ipaddress import ip_network

import pytest
import structlog
import trio

from gateway.carriers.sip.door import SipDoor
from gateway.carriers.sip.setting_texts import Listen, PortRange
from gateway.carriers.sip.settings import SipSettings, TrunkSettings
from gateway.contracts import CallLeg
from gateway.incoming import Admit, NewCall
from gateway.telemetry.metrics import Metrics
from gateway.wire.sdp.description import decode
from gateway.wire.sip.message import Response
from gateway.wire.sip.parser import parse_datagram

ADDRESSES = ("127.0.0.1", "127.0.0.2")
OFFER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


async def answers(leg: CallLeg, _new: NewCall) -> None:
    await leg.answer()
    await trio.sleep_forever()


async def answer_to(called: str, port: int) -> Response:
    """The 200 to an INVITE."""
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as socket:
        await socket.bind(("127.0.0.1", 0))
        here = socket.getsockname()[1]
        head = [
            f"INVITE sip:100@{called}:{port} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{here};branch=z9hG4bK{called};rport",
            "Max-Forwards: 70",
            "From: <sip:caller@127.0.0.1>;tag=a",
            f"To: <sip:100@{called}>",
            f"Call-ID: to-{called}",
            "CSeq: 1 INVITE",
            f"Contact: <sip:caller@127.0.0.1:{here}>",
            "Content-Type: application/sdp",
            f"Content-Length: {len(OFFER)}",
        ]
        await socket.sendto("\r\n".join([*head, "", OFFER]).encode(), (called, port))
        while True:
            response = parse_datagram((await socket.recvfrom(4000))[0])
            if isinstance(response, Response) and response.status >= 200:
                return response


@pytest.mark.parametrize("called", ADDRESSES)
async def test_audio_is_taken_where_the_call_came(called: str):
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            door = SipDoor(
                SipSettings(
                    listen=tuple(Listen("UDP", each, 0) for each in ADDRESSES), rtp_ports=PortRange(0, 0)
                ),
                {"here": TrunkSettings(networks=(ip_network("127.0.0.0/8"),))},
                {},
                admit=lambda _new: Admit(),
                host=answers,
                spawn=nursery.start_soon,
                destinations={},
                metrics=Metrics(),
                log=structlog.get_logger(),
            )
            await nursery.start(door.run)
            port = next(at.port for _, at in door.bound if at.host == called)

            response = await answer_to(called, port)
            nursery.cancel_scope.cancel()

    description = decode(response.body)
    assert (response.status, description.media[0].port % 2) == (200, 0)
    assert f"c=IN IP4 {called}" in response.body.decode()
