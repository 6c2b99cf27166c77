"""One hop of a request's way, and so of its response's. RFC 3261 §20.42, RFC 3581, RFC 5118 §4.5."""

import re

import msgspec

from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.grammar import LWS, TOKEN, check_token
from gateway.wire.sip.hosts import HOST, check_host, check_port, read_host, read_port, same_host, write_host
from gateway.wire.sip.parameters import NO_PARAMETERS, Parameters

__all__ = ["MAGIC_COOKIE", "Via"]

MAGIC_COOKIE = "z9hG4bK"  # RFC 3261 §8.1.1.7

_VIA = re.compile(
    rf"({TOKEN}){LWS}/{LWS}({TOKEN}){LWS}/{LWS}({TOKEN})[ \t]++({HOST})(?:{LWS}:{LWS}([0-9]++))?+(.*)",
    re.DOTALL,
)


class Via(msgspec.Struct, frozen=True, kw_only=True):
    """`transport`: in capitals. `host` and `port`: sent-by, which need not be where the message came from.

    Raises ValueError for parts that could not be written.
    """

    transport: str
    host: str
    port: int | None = None
    parameters: Parameters = NO_PARAMETERS
    protocol: str = "SIP/2.0"

    def __post_init__(self) -> None:
        for token in (self.transport, *self.protocol.split("/")):
            check_token(token)
        check_host(self.host)
        check_port(self.port)

    @classmethod
    def parse(cls, text: str) -> "Via":
        found = _VIA.fullmatch(text)
        if not found:
            raise SipSyntaxError("No protocol, transport and host")
        name, version, transport, host, port, parameters = found.groups()
        via = cls(
            protocol=f"{name}/{version}",
            transport=transport.upper(),
            host=read_host(host),
            port=None if port is None else read_port(port),
            parameters=Parameters.parse(parameters),
        )
        if via.parameters.get("rport"):
            read_port(via.parameters.get("rport") or "")
        return via

    @property
    def branch(self) -> str | None:
        return self.parameters.get("branch")

    @property
    def transaction(self) -> str | None:
        """The branch, if it names a transaction as RFC 3261 does.

        None: match as RFC 2543 did (§17.2.3). The cookie alone names nothing. RFC 4475 §3.2.1.
        """
        branch = self.branch or ""
        named = branch[: len(MAGIC_COOKIE)].lower() == MAGIC_COOKIE.lower() and len(branch) > len(
            MAGIC_COOKIE
        )
        return branch if named else None

    @property
    def received(self) -> str | None:
        """Where it came from, without brackets; None if that is sent-by."""
        received = self.parameters.get("received")
        return received and received.removeprefix("[").removesuffix("]")

    @property
    def rport(self) -> int | None:
        """The port it came from: None if nobody asked, 0 if it is asked for. RFC 3581 §3."""
        rport = self.parameters.get("rport")
        return None if rport is None else int(rport or 0)

    def stamped(self, host: str, port: int) -> "Via":
        """As the server that got it from `host` and `port` hands it up. RFC 3261 §18.2.1, RFC 3581 §4."""
        parameters = self.parameters
        if self.rport is not None:
            parameters = parameters.having("rport", str(port))
        if self.rport is not None or not same_host(self.host, host):
            parameters = parameters.having("received", host)
        return msgspec.structs.replace(self, parameters=parameters)

    def __str__(self) -> str:
        return f"{self.protocol}/{self.transport} {write_host(self.host, self.port)}{self.parameters}"
