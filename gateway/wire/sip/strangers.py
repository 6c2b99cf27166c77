"""Who may speak to us, and how little the others get. A core.

A public SIP port is scanned all day. A source that is in nobody's networks is dropped at its first line, unread and
unanswered: any answer would tell the scanner that here is somebody, and could be sent to third parties (UDP sources
are easily forged). What was dropped is counted; some of it is told, for a log line that a firewall can act upon.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, NamedTuple

from gateway.wire.sip.flow import Flow, Transport
from gateway.wire.sip.grammar import text_of

__all__ = ["Sighting", "Strangers", "TokenBuckets", "first_line"]

Network = IPv4Network | IPv6Network

# What the longest call takes: its other end may hang up then, from where we once called it.
_EXPECTED_S: Final = 4 * 3600.0
# A bucket is some 200 bytes. Whoever has more addresses than this can also have what they all may have.
_MOST_SOURCES: Final = 10_000
# Fail2ban bans at the fifth line; who goes on is told from time to time.
_TOLD: Final = (0.1, 5)
_ALL_TOLD: Final = (10.0, 50)  # whatever the number of sources
_CHALLENGES: Final = (0.2, 5)
_LONGEST_LINE: Final = 120


class TokenBuckets:
    """One bucket for each key: `burst` tokens, and `rate_hz` new ones a second. The least used of too many is full again."""

    def __init__(self, rate_hz: float, burst: int, *, most_keys: int = _MOST_SOURCES) -> None:
        self._rate_hz = rate_hz
        self._burst = burst
        self._most_keys = most_keys
        self._levels: OrderedDict[str, tuple[float, float]] = (
            OrderedDict()
        )  # tokens, and when there were so many

    def take(self, key: str, now: float) -> bool:
        """A token, if there is one."""
        tokens = self._tokens(key, now)
        self._set(key, tokens - 1 if tokens >= 1 else tokens, now)
        return tokens >= 1

    def give_back(self, key: str, now: float) -> None:
        """A token that was well used."""
        self._set(key, min(self._tokens(key, now) + 1, self._burst), now)

    def __len__(self) -> int:
        return len(self._levels)

    def _tokens(self, key: str, now: float) -> float:
        tokens, at = self._levels.get(key, (float(self._burst), now))
        return min(tokens + (now - at) * self._rate_hz, self._burst)

    def _set(self, key: str, tokens: float, now: float) -> None:
        self._levels[key] = (tokens, now)
        self._levels.move_to_end(key)
        if len(self._levels) > self._most_keys:
            self._levels.popitem(last=False)


class Sighting(NamedTuple):
    """For one line in the log, `stranger.dropped`. `source`: its IP address. `line`: what it began with, printable.

    `dropped`: how often since the last one of that source was told.
    """

    source: str
    port: int
    transport: Transport
    line: str
    dropped: int


class Strangers:
    """`networks`: from where each trunk calls, by its name."""

    def __init__(
        self, networks: Mapping[str, Iterable[Network]], *, most_sources: int = _MOST_SOURCES
    ) -> None:
        self.dropped = 0
        self._networks = [(network, name) for name, each in networks.items() for network in each]
        self._networks.sort(key=lambda pair: -pair[0].prefixlen)
        self._most_sources = most_sources
        self._expected: OrderedDict[str, float] = OrderedDict()  # host -> until when
        self._told = TokenBuckets(*_TOLD, most_keys=most_sources)
        self._all_told = TokenBuckets(*_ALL_TOLD, most_keys=1)
        self._challenges = TokenBuckets(*_CHALLENGES, most_keys=most_sources)
        self._untold: OrderedDict[str, int] = OrderedDict()

    def trunks_of(self, host: str) -> tuple[str, ...]:
        """The trunks that may call from there, those of the narrowest network first."""
        address = _address(host)
        return tuple(dict.fromkeys(name for network, name in self._networks if address in network))

    def admits(self, host: str, now: float) -> bool:
        """Whether what comes from there is read at all: from a trunk's networks, or where we sent something to."""
        address = _address(host)
        return self.expects(host, now) or any(address in network for network, _ in self._networks)

    def expects(self, host: str, now: float) -> bool:
        """Whether we sent something there, not too long ago."""
        return now < self._expected.get(_key(host), now)

    def expect(self, host: str, now: float) -> None:
        """We send a request there: its answers are heard, and what comes of it in the hours of a call."""
        key = _key(host)
        self._expected[key] = now + _EXPECTED_S
        self._expected.move_to_end(key)
        if len(self._expected) > self._most_sources:
            self._expected.popitem(last=False)

    def turned_away(self, first_line: bytes, flow: Flow, now: float) -> Sighting | None:
        """Something came from a stranger, and was dropped. None: enough lines tell of him."""
        self.dropped += 1
        source = _key(flow.remote.host)
        dropped = self._untold.pop(source, 0) + 1
        if self._told.take(source, now) and self._all_told.take("", now):
            return Sighting(source, flow.remote.port, flow.transport, _printable(first_line), dropped)
        self._untold[source] = dropped
        if len(self._untold) > self._most_sources:
            self._untold.popitem(last=False)
        return None

    def may_challenge(self, host: str, now: float) -> bool:
        """Whether a request without the right credentials is worth a 401; else it is dropped.

        Five at once, then one in 5 s: passwords are not to be guessed here, nor others to be flooded by our answers.
        """
        return self._challenges.take(_key(host), now)

    def authenticated(self, host: str, now: float) -> None:
        """The credentials of a request were right: the challenge before it does not count."""
        self._challenges.give_back(_key(host), now)


def first_line(data: bytes) -> bytes:
    """The beginning of what came, as far as it is looked at for a stranger."""
    return data[: 2 * _LONGEST_LINE].lstrip(b"\r\n").partition(b"\r")[0].partition(b"\n")[0][:_LONGEST_LINE]


def _printable(line: bytes) -> str:
    """Nothing that could end a line in the log, or be taken for something else by who reads it."""
    return "".join(
        each if " " <= each <= "~" and each not in '"\\' else "?" for each in text_of(line)[:_LONGEST_LINE]
    )


def _key(host: str) -> str:
    return str(_address(host))


def _address(host: str) -> IPv4Address | IPv6Address:
    """IPv4 is IPv4, even where an IPv6 socket shows it as `::ffff:192.0.2.1`."""
    address = ip_address(host)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
