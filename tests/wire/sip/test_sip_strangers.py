"""Who may speak to us, on an explicit clock."""

import itertools
import json
import logging
import re
from collections.abc import Callable, Iterator
from configparser import RawConfigParser
from io import StringIO
from ipaddress import ip_network
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry.log import configure
from gateway.wire.sip.flow import Address, Flow
from gateway.wire.sip.strangers import Sighting, Strangers, TokenBuckets, first_line

FAIL2BAN = Path(__file__).parents[3] / "ops" / "packaging" / "fail2ban"
OURS = Address("192.0.2.1", 5060)


def flow_from(host: str) -> Flow:
    return Flow("UDP", OURS, Address(host, 5060))


def strangers(**networks: str) -> Strangers:
    return Strangers({name: [ip_network(network)] for name, network in networks.items()})


# -- who is heard


def test_who_is_in_a_trunks_network_is_heard():
    assert strangers(carrier="198.51.100.0/24").admits("198.51.100.7", 0.0)


def test_who_is_in_none_is_not():
    assert not strangers(carrier="198.51.100.0/24").admits("198.51.101.7", 0.0)
    assert not strangers().admits("198.51.100.7", 0.0)


def test_an_ipv4_address_is_the_same_on_an_ipv6_socket():
    assert strangers(carrier="198.51.100.0/24").admits("::ffff:198.51.100.7", 0.0)


def test_ipv6_networks_are_networks():
    known = strangers(carrier="2001:db8::/32")

    assert known.admits("2001:db8::7", 0.0)
    assert not known.admits("2001:db9::7", 0.0)


def test_the_trunks_of_a_source_are_those_whose_networks_hold_it_the_narrowest_first():
    known = strangers(
        anybody="0.0.0.0/0", carrier="198.51.100.0/24", pbx="198.51.100.7/32", other="10.0.0.0/8"
    )

    assert known.trunks_of("198.51.100.7") == ("pbx", "carrier", "anybody")
    assert known.trunks_of("2001:db8::7") == ()


def test_where_we_sent_a_request_is_heard_for_as_long_as_a_call_may_last():
    known = strangers()

    known.expect("203.0.113.5", 0.0)

    assert known.admits("203.0.113.5", 4 * 3600.0 - 1)
    assert not known.admits("203.0.113.5", 4 * 3600.0)


def test_to_be_heard_is_not_to_be_of_a_trunk():
    known = strangers()
    known.expect("203.0.113.5", 0.0)

    assert known.trunks_of("203.0.113.5") == ()


# -- who is not


def test_a_stranger_is_counted_and_told():
    known = strangers()

    seen = known.turned_away(b"OPTIONS sip:100@192.0.2.1 SIP/2.0", flow_from("203.0.113.5"), 0.0)

    assert seen == Sighting("203.0.113.5", 5060, "UDP", "OPTIONS sip:100@192.0.2.1 SIP/2.0", 1)
    assert known.dropped == 1


def test_a_stranger_who_goes_on_is_told_five_times_and_then_every_10_s():
    known = strangers()

    told_at = [
        second for second in range(40) if known.turned_away(b"x", flow_from("203.0.113.5"), float(second))
    ]

    assert told_at[:5] == [0, 1, 2, 3, 4]
    assert all(9 <= later - earlier <= 11 for earlier, later in itertools.pairwise([1, *told_at[5:]]))
    assert len(told_at) == 8


def test_what_was_not_told_is_told_as_a_number():
    known = strangers()
    seen = [known.turned_away(b"x", flow_from("203.0.113.5"), 0.0) for _ in range(100)]

    late = known.turned_away(b"x", flow_from("203.0.113.5"), 10.0)

    assert sum(each is not None for each in seen) == 5
    assert late is not None
    assert late.dropped == 96


def test_a_storm_from_everywhere_is_told_50_times_and_then_10_times_a_second():
    known = strangers()

    told = [
        known.turned_away(b"x", flow_from(f"203.0.{number // 250}.{number % 250}"), number / 1000)
        for number in range(2000)
    ]

    assert 60 <= sum(each is not None for each in told) <= 70


def test_a_storm_from_everywhere_costs_no_more_memory_than_that_of_the_most_sources():
    known = Strangers({}, most_sources=100)

    for number in range(5000):
        host = f"10.0.{number // 250}.{number % 250}"
        known.turned_away(b"x", flow_from(host), 0.0)
        known.may_challenge(host, 0.0)
        known.expect(host, 0.0)

    assert known.dropped == 5000
    assert all(len(each) <= 100 for each in vars(known).values() if hasattr(each, "__len__"))


@given(st.binary(max_size=400))
def test_whatever_a_stranger_sends_his_line_is_printable_and_short(data):
    seen = strangers().turned_away(first_line(data), flow_from("203.0.113.5"), 0.0)

    assert seen is not None
    assert len(seen.line) <= 120
    assert re.fullmatch(r"[ -~]*", seen.line)
    assert not set(seen.line) & {'"', "\\"}


def test_only_the_first_line_of_a_message_is_looked_at():
    assert first_line(b"\r\n\r\nINVITE sip:1@h SIP/2.0\r\nVia: x\r\n") == b"INVITE sip:1@h SIP/2.0"
    assert first_line(b"INVITE\nVia") == b"INVITE"
    assert first_line(b"x" * 70_000) == b"x" * 120


# -- who is challenged


def test_guesses_get_five_challenges_and_then_one_in_5_s():
    known = strangers()

    asked_at = [second for second in range(20) if known.may_challenge("203.0.113.5", float(second))]

    assert asked_at == [0, 1, 2, 3, 4, 5, 10, 15]


def test_who_answers_challenges_rightly_is_challenged_as_often_as_he_calls():
    known = strangers()

    for number in range(100):
        assert known.may_challenge("203.0.113.5", number / 100)
        known.authenticated("203.0.113.5", number / 100)


def test_one_who_guesses_takes_nothing_from_another():
    known = strangers()
    for _ in range(100):
        known.may_challenge("203.0.113.5", 0.0)

    assert known.may_challenge("203.0.113.6", 0.0)


# -- tokens


def test_a_bucket_is_never_fuller_than_full():
    buckets = TokenBuckets(1.0, 2)

    assert [buckets.take("a", at) for at in (0.0, 100.0, 100.0, 100.0, 100.5, 101.0)] == [
        *(True, True, True),
        *(False, False, True),
    ]


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.floats(0, 5)), max_size=60))
def test_no_key_ever_gets_more_than_its_rate_and_burst(takes):
    buckets = TokenBuckets(2.0, 3)
    now, taken = 0.0, dict.fromkeys("abcde", 0)
    for key, pause_s in takes:
        now += pause_s
        taken[key] += buckets.take(key, now)

    assert all(count <= 3 + 2 * now + 1e-6 for count in taken.values())


# -- the line that a firewall acts upon


def failregex() -> str:
    config = RawConfigParser()
    config.read(FAIL2BAN / "filter.d" / "voice-gateway-sip.conf")
    return config["Definition"]["failregex"].replace("<HOST>", r"(?P<host>[0-9A-Fa-f.:]+)")


Logged = Callable[[Sighting], str]


@pytest.fixture
def logged() -> Iterator[Logged]:
    """A stranger's line, as the gateway writes it. The process's own logging is put back."""
    stream, root = StringIO(), logging.getLogger()
    handlers, level = list(root.handlers), root.level
    log = configure(stream, pretty=False)

    def line_of(seen: Sighting) -> str:
        log.warning("stranger.dropped", **seen._asdict())
        return stream.getvalue().splitlines()[-1]

    yield line_of
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize("source", ["203.0.113.5", "2001:db8::5"])
@pytest.mark.parametrize("prefix", ["", "vm voice-gateway[4711]: "])
def test_fail2ban_finds_the_source_in_our_line(source, prefix, logged):
    line = logged(Sighting(source, 5060, "UDP", "OPTIONS sip:100@192.0.2.1 SIP/2.0", 3))

    found = re.search(failregex(), prefix + line)

    assert found is not None
    assert found["host"] == source


def test_fail2ban_finds_it_as_well_when_it_has_cut_out_the_time(logged):
    line = logged(Sighting("203.0.113.5", 5060, "UDP", "OPTIONS sip:100@192.0.2.1 SIP/2.0", 3))

    assert re.search(failregex(), re.sub('"ts":"[^"]*"', "", line)) is not None


def test_a_stranger_cannot_write_another_source_into_our_line(logged):
    forged = b'","event":"stranger.dropped","source":"192.0.2.99"'
    seen = strangers().turned_away(forged, flow_from("203.0.113.5"), 0.0)
    assert seen is not None

    found = re.search(failregex(), logged(seen))

    assert found is not None
    assert found["host"] == "203.0.113.5"


def test_no_other_line_is_taken_for_it():
    line = json.dumps(
        {"ts": "2026-01-01T00:00:00Z", "level": "info", "event": "call.ended", "source": "203.0.113.5"}
    )

    assert re.search(failregex(), line) is None


def test_the_jail_uses_the_filter():
    config = RawConfigParser()
    config.read(FAIL2BAN / "jail.d" / "voice-gateway-sip.conf")

    assert config["voice-gateway-sip"]["filter"] == "voice-gateway-sip"
