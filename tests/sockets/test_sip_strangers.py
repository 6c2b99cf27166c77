"""Bad input and strangers, as a gateway that runs meets them: nobody's call is disturbed by either."""

import random
import re
import shutil
from pathlib import Path

import pytest
import trio

from tests.sockets.sip_gateway import SipGateway, sip_gateway
from tests.sockets.sip_peer_on_sockets import Caller, talking, tcp_peer, udp_peer
from tests.wire.sip.corpus import CALL_FLOWS, IPV6, TORTURE

FRIENDS = """
[trunks.friends]
networks = ["127.0.0.1/32", "127.0.45.0/24"]
calls_per_s = 1000
"""
STRANGER = "127.0.0.9"
FAIL2BAN = Path(__file__).parents[2] / "ops/packaging/fail2ban/filter.d/voice-gateway-sip.conf"

# What RFC 4475 and RFC 5118 say of those that are not taken, or what is left to who is asked: 405 for a registrar's,
# 481 within dialogs that there are not, 488 where there is no G.711. Responses and what never ends get nothing.
ANSWERS = {
    **dict.fromkeys(("badaspec", "baddate", "badinv01", "escruri", "insuf", "ltgtruri", "lwsruri"), 400),
    **dict.fromkeys(("lwsstart", "mcl01", "mismatch01", "multi01", "ncl", "quotbal", "regbadct"), 400),
    **dict.fromkeys(("scalar02", "trws", "ipv6-bad", "inv2543"), 400),
    **dict.fromkeys(("cparam01", "cparam02", "dblreq", "escnull", "mpart01", "regaut01", "regescrt"), 405),
    **dict.fromkeys(("unksm2", "ipv6-good", "port-ambiguous", "port-unambiguous"), 405),
    **dict.fromkeys(("novelsc", "unkscm"), 416),
    **dict.fromkeys(("esc02", "intmeth", "mismatch02"), 501),
    **dict.fromkeys(("wsinv", "mult-ip-in-header", "via-received-param-with-delim"), 481),
    **dict.fromkeys(("badbranch", "lwsdisp", "semiuri", "transports", "zeromf"), 200),
    **dict.fromkeys(("ipv6-bug-abnf-3-colons", "ipv6-correct-abnf-2-colons"), 200),
    "via-received-param-no-delim": 200,
    **dict.fromkeys(("esc01", "longreq"), 200),  # calls
    **dict.fromkeys(("bcast", "bigcode", "noreason", "scalarlg", "unreason"), None),
    **dict.fromkeys(("baddn", "clerr", "test"), None),
    "badvers": 505,
    "bext01": 420,
    "invut": 415,
    "sdp01": 406,
    "ipv4-mapped-ipv6": 488,
    "ipv6-in-sdp": 488,
}
EITHER = {"mult-ip-in-sdp"}  # which of its addresses can be sent to is the machine's
CORPUS = {**TORTURE, **IPV6}


def mutations(count: int, seed: int) -> list[bytes]:
    """Messages of the corpora with some of their bytes, lines or words changed."""
    rng = random.Random(seed)
    sources = [*CORPUS.values(), *CALL_FLOWS.values()]
    words = [
        b"\r\n",
        b"\0",
        b'"',
        b"<",
        b";",
        b",",
        b"\xff",
        b"sip:",
        b"9" * 30,
        b"BYE",
        b"CANCEL",
        b"tag=",
        b"c=IN IP4 ",
    ]
    made = []
    for number in range(count):
        data = bytearray(rng.choice(sources))
        for _ in range(rng.choice((1, 1, 2, 5))):
            at = rng.randrange(len(data))
            lines = bytes(data).split(b"\r\n")
            match rng.randrange(5):
                case 0:
                    data[at] = rng.randrange(256)
                case 1:
                    data[at:at] = rng.choice(words)
                case 2:
                    del data[at : at + rng.randrange(1, 20)]
                case 3:
                    data = bytearray(
                        b"\r\n".join((*lines[:2], *rng.choice(sources).split(b"\r\n")[1:4], *lines[2:]))
                    )
                case 4:
                    del lines[rng.randrange(len(lines))]
                    data = bytearray(b"\r\n".join(lines)) or bytearray(b"x")
        made.append(re.sub(rb"(?i)(branch=z9hG4bK|Call-ID: *)", rb"\g<1>%d-" % number, bytes(data))[:60_000])
    return made


async def status_of(gateway: SipGateway, data: bytes, host: str) -> int | None:
    """What a message is answered over TCP, by a connection and an address of its own; None: nothing."""
    async with tcp_peer(gateway.at["TCP"], host) as peer:
        await peer.send(data)
        with trio.move_on_after(0.4):
            return await peer.status()
    return None


# -- bad input, of those who may speak


async def test_every_torture_message_gets_what_its_rfc_says_and_a_call_goes_on_beside(tmp_path: Path):
    statuses: dict[str, int | None] = {}
    async with sip_gateway(tmp_path, FRIENDS) as gateway, udp_peer(gateway.at["UDP"]) as friend:
        async with talking(friend) as talk, trio.open_nursery() as nursery:

            async def ask(name: str, host: str) -> None:
                statuses[name] = await status_of(gateway, CORPUS[name], host)

            for number, name in enumerate(CORPUS, 1):
                nursery.start_soon(ask, name, f"127.0.45.{number}")
                await trio.sleep(0.005)
        gateway.hang_up_all()

    assert {name: status for name, status in statuses.items() if name not in EITHER} == ANSWERS
    assert statuses["mult-ip-in-sdp"] in {200, 488}
    assert talk.is_undisturbed


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
async def test_messages_that_went_bad_on_their_way_break_nothing_and_no_call(tmp_path: Path, transport: str):
    async with sip_gateway(tmp_path, FRIENDS) as gateway, udp_peer(gateway.at["UDP"]) as friend:
        async with talking(friend) as talk, udp_peer(gateway.at["UDP"], "127.0.45.1") as stammerer:
            for number, data in enumerate(mutations(200, seed=len(transport))):
                if transport == "UDP":
                    await stammerer.send(data)
                else:
                    async with tcp_peer(gateway.at["TCP"], "127.0.45.2") as peer:
                        await peer.send(data)
                        await trio.sleep(0.001)
                if number % 10 == 9:
                    await trio.sleep(0.02)
            gateway.hang_up_all(but=talk.caller.call_id)
        gateway.hang_up_all()

        assert talk.is_undisturbed
        assert not gateway.has_a_bug


# -- strangers


async def test_a_stranger_hears_not_a_byte_whatever_he_says(tmp_path: Path):
    async with sip_gateway(tmp_path, FRIENDS) as gateway, udp_peer(gateway.at["UDP"], STRANGER) as stranger:
        for data in [*CORPUS.values(), *mutations(100, seed=3), b"\0" * 20, b"x"]:
            await stranger.send(data)
        await stranger.send(Caller(stranger).text("OPTIONS"))

        assert await stranger.is_left_alone()
        assert gateway.counted('gw_sip_dropped_total{reason="stranger"}') >= len(CORPUS) + 100
        assert gateway.counted('gw_sip_invites_total{status="200"}') == 0


async def test_a_stranger_who_connects_is_closed_and_hears_not_a_byte(tmp_path: Path):
    async with sip_gateway(tmp_path, FRIENDS) as gateway:
        async with tcp_peer(gateway.at["TCP"], STRANGER) as stranger:
            await stranger.send(Caller(stranger).text("OPTIONS"))

            with trio.fail_after(2):
                assert await stranger.everything() == b""
        assert gateway.logged("stranger.dropped")[0]["line"].startswith("OPTIONS sip:")


async def test_a_scan_makes_five_lines_in_the_log_however_long_it_is(tmp_path: Path):
    async with sip_gateway(tmp_path, FRIENDS) as gateway, udp_peer(gateway.at["UDP"], STRANGER) as stranger:
        for _ in range(200):
            await stranger.send(Caller(stranger).text("REGISTER"))
        await stranger.is_left_alone()

        lines = gateway.logged("stranger.dropped")
        assert [(line["source"], line["transport"], line["dropped"]) for line in lines] == [
            (STRANGER, "UDP", 1)
        ] * 5
        assert gateway.counted('gw_sip_dropped_total{reason="stranger"}') == 200


async def test_a_call_is_not_disturbed_by_a_scan(tmp_path: Path):
    async with sip_gateway(tmp_path, FRIENDS) as gateway, udp_peer(gateway.at["UDP"]) as friend:
        async with talking(friend) as talk, udp_peer(gateway.at["UDP"], STRANGER) as stranger:
            for _ in range(60):
                for _ in range(10):
                    await stranger.send(Caller(stranger).text("INVITE"))
                await trio.sleep(0.005)

        assert talk.is_undisturbed


async def test_a_stranger_who_knows_all_of_a_call_can_do_nothing_to_it(tmp_path: Path):
    async with sip_gateway(tmp_path, FRIENDS) as gateway, udp_peer(gateway.at["UDP"]) as friend:
        async with talking(friend) as talk, udp_peer(gateway.at["UDP"], STRANGER) as stranger:
            for method in ("BYE", "CANCEL", "INVITE", "UPDATE", "REFER", "INFO", "ACK"):
                await stranger.send(talk.caller.text(method, number=50))

            assert await stranger.is_left_alone()
            assert len(gateway.gateway.supervisor.active) == 1
        assert talk.is_undisturbed


# -- what Fail2ban reads


def failregex() -> re.Pattern[str]:
    """As Fail2ban compiles it, which has more kinds of hosts."""
    line = next(line for line in FAIL2BAN.read_text().splitlines() if line.startswith("failregex = "))
    return re.compile(line.removeprefix("failregex = ").replace("<HOST>", "(?P<host>[0-9a-fA-F:.]+)"))


INJECTIONS = (
    '"},{"event":"stranger.dropped","source":"192.0.2.1"}',
    '","source":"192.0.2.1"',
    "\\",
    "\x1b[2J",
    "\n{}",
)


async def lines_of_strangers(folder: Path) -> list[str]:
    """What the log says of strangers who write what a reader could take for something else."""
    async with sip_gateway(folder, FRIENDS) as gateway:
        for number, injection in enumerate(INJECTIONS, 10):
            async with udp_peer(gateway.at["UDP"], f"127.0.0.{number}") as stranger:
                await stranger.send(f"OPTIONS sip:{injection} SIP/2.0\r\n\r\n".encode())
                await stranger.is_left_alone()
        return [line for line in gateway.log.getvalue().splitlines() if "stranger" in line]


async def test_each_stranger_is_one_line_that_the_filter_of_fail2ban_reads(tmp_path: Path):
    lines = await lines_of_strangers(tmp_path)

    from_journal = [failregex().search(line) for line in lines]
    from_file = [failregex().search(re.sub(r'"ts":"[^"]*"', "", line, count=1)) for line in lines]

    strangers = [f"127.0.0.{number}" for number in range(10, 10 + len(INJECTIONS))]
    assert [found and found["host"] for found in from_journal] == strangers
    assert [found and found["host"] for found in from_file] == strangers


@pytest.mark.skipif(shutil.which("fail2ban-regex") is None, reason="Fail2ban is not installed")
async def test_fail2ban_itself_finds_every_stranger(tmp_path: Path):
    lines = await lines_of_strangers(tmp_path)
    (tmp_path / "log").write_text("".join(f"{line}\n" for line in lines))

    found = await trio.run_process(
        ["fail2ban-regex", str(tmp_path / "log"), str(FAIL2BAN)], capture_stdout=True, check=False
    )

    assert f"{len(INJECTIONS)} matched" in found.stdout.decode()
