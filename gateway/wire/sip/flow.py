"""Between which two addresses a message goes. Only transports make flows; everybody may compare them."""

from typing import Literal, NamedTuple

__all__ = ["DEFAULT_PORTS", "Address", "Flow", "Transport"]

Transport = Literal["UDP", "TCP", "TLS"]

DEFAULT_PORTS: dict[Transport, int] = {"UDP": 5060, "TCP": 5060, "TLS": 5061}  # RFC 3261 §19.1.2


class Address(NamedTuple):
    """`host`: an IP address as text, IPv6 without brackets."""

    host: str
    port: int


class Flow(NamedTuple):
    """`local`: ours. `connection`: which one, of those that there ever were; 0 for UDP, which has none."""

    transport: Transport
    local: Address
    remote: Address
    connection: int = 0

    @property
    def reliable(self) -> bool:
        """Whether the transport itself sends again what was lost."""
        return self.transport != "UDP"
