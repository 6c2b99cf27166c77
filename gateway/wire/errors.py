"""What a peer may do wrong."""

__all__ = ["RemoteProtocolError"]


class RemoteProtocolError(Exception):
    """The peer sent what its protocol does not allow. The text says what, in one line, for people."""
