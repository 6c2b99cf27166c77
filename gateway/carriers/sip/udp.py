"""SIP over one UDP socket: datagrams in batches, and what ICMP says about those that we sent."""

import errno
import socket
import struct
import sys
import time
from typing import Final, NoReturn

import trio

from gateway.carriers.sip.shares import Shares
from gateway.carriers.sip.transport import Message, TransportUser
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.flow import Address, Flow
from gateway.wire.sip.parser import is_keepalive, parse_datagram
from gateway.wire.sip.strangers import first_line

__all__ = ["UdpSocket"]

_DATAGRAM_BYTES: Final = 65_536
# So long is read before others have their turn: a call's audio is late by that, and nobody hears it.
_TURN_S: Final = 0.004
_MOST_ERRORS: Final = 64  # of the kernel, at once
# A burst that comes while the loop is busy for 100 ms; the kernel may allow less.
_RECEIVE_BUFFER_BYTES: Final = 1 << 20
# Linux, ip(7) and ipv6(7); Python has no names for them. Without it nobody learns that a port is closed.
_RECVERR: Final = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}
# Nobody is there, and sending again will not help. A host or network that is unreachable may come back in a second.
_REFUSED: Final = frozenset({errno.ECONNREFUSED, errno.ENOPROTOOPT})
# It takes no message of this size, from here, or to there.
_UNSENDABLE: Final = frozenset(
    {
        errno.EACCES,
        errno.EBADF,
        errno.EHOSTUNREACH,
        errno.EINVAL,
        errno.EMSGSIZE,
        errno.ENETUNREACH,
        errno.EPERM,
    }
)
_ANY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound
# Of the blocks for documentation: nothing is ever sent there, but there is a way there.
_FAR_AWAY: Final = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


class UdpSocket:
    """A bound socket. `local`: its address; where it is bound to all, the one that the default route leaves by.

    `dropped`: datagrams that the kernel would not take to send; they count as lost on the way. `shares`: of the time that
    reading may take.
    """

    def __init__(self, host: str, port: int, shares: Shares) -> None:
        """Raises `OSError` if it cannot be bound. `port` 0: a free one."""
        self.dropped = 0
        self._shares = shares
        self.family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(self.family, socket.SOCK_DGRAM)
        try:
            self._prepare()
            self._socket.bind((host, port))
            bound = Address(*self._socket.getsockname()[:2])
            self.local = (
                bound._replace(host=_outgoing_host(self.family)) if bound.host in _ANY_ADDRESS else bound
            )
        except OSError:
            self._socket.close()
            raise

    async def run(self, user: TransportUser) -> NoReturn:
        """Read until cancelled; then the socket is closed."""
        buffer = memoryview(bytearray(_DATAGRAM_BYTES))
        with self._socket:
            while True:
                await trio.lowlevel.wait_readable(self._socket)
                self._read_for_a_turn(buffer, user)
                rest_s = self._shares.rest_s(trio.current_time())
                if rest_s:
                    await trio.sleep(rest_s)

    def send(self, data: bytes, remote: Address) -> bool:
        """False: it cannot go there at all."""
        for _ in range(2):  # an error that an earlier datagram earned is told to the next one
            try:
                self._socket.sendto(data, remote)
            except BlockingIOError:
                self.dropped += 1
            except OSError as error:
                if error.errno in _UNSENDABLE:
                    return False
                continue
            return True
        self.dropped += 1
        return True

    def flow_to(self, remote: Address) -> Flow:
        return Flow("UDP", self.local, remote)

    def _prepare(self) -> None:
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        if self.family == socket.AF_INET6:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if sys.platform == "linux":
            self._socket.setsockopt(*_RECVERR[self.family], 1)

    def _read_for_a_turn(self, buffer: memoryview, user: TransportUser) -> None:
        end_s = time.thread_time() + _TURN_S
        while self._read_one(buffer, user) and time.thread_time() < end_s:
            pass

    def _read_one(self, buffer: memoryview, user: TransportUser) -> bool:
        """Whether there may be more."""
        try:
            size_bytes, sender = self._socket.recvfrom_into(buffer)
        except BlockingIOError:
            self._read_errors(user)
            return False
        except OSError:  # what ICMP said; the queue says of whom
            self._read_errors(user)
            return True
        self._hear(bytes(buffer[:size_bytes]), self.flow_to(Address(*sender[:2])), user)
        return True

    def _hear(self, data: bytes, flow: Flow, user: TransportUser) -> None:
        if is_keepalive(data):
            return
        if not user.admits(flow):
            user.turned_away(first_line(data), flow)
            return
        now = trio.current_time()
        if not self._shares.has_time(flow.remote.host, now):
            user.flooded(flow)
            return
        began_s = time.thread_time()
        try:
            message: Message = parse_datagram(data)
        except SipSyntaxError as error:
            message = error
        user.received(message, flow)
        self._shares.spent(flow.remote.host, time.thread_time() - began_s, now)

    def _read_errors(self, user: TransportUser) -> None:
        """Tell of those to whom a datagram of ours was not delivered. Linux, ip(7), `IP_RECVERR`."""
        if sys.platform != "linux":
            return
        gone: dict[Address, None] = {}
        for _ in range(_MOST_ERRORS):
            try:
                _, details, _, sent_to = self._socket.recvmsg(1, 512, socket.MSG_ERRQUEUE)
            except OSError:  # the queue is empty
                break
            if any(struct.unpack_from("=I", each)[0] in _REFUSED for _, _, each in details):
                gone[Address(*sent_to[:2])] = None
        for address in gone:
            user.broken(self.flow_to(address), "nobody is at that port")


def _outgoing_host(family: socket.AddressFamily) -> str:
    """Our address on the default route; that of this machine alone where there is none."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((_FAR_AWAY[family], 9))
        except OSError:
            return "::1" if family == socket.AF_INET6 else "127.0.0.1"
        return str(probe.getsockname()[0])
