"""Where Twilio finds this gateway: the one place its URLs come from."""

import ipaddress
from urllib.parse import urlsplit

__all__ = ["PublicUrl"]

_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}


class PublicUrl:
    """The configured origin, and a path before ours where a proxy takes it off again.

    Raises `ValueError` for what Twilio could not reach or would not stream to: anything but https, and http
    where it is not the loopback of a test or a demonstration.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if not parts.hostname or parts.netloc.endswith(":") or parts.query or parts.fragment:
            raise ValueError("the public URL is an https origin such as https://gateway.example.com")
        if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname)):
            raise ValueError("the public URL must be https: Twilio streams to wss only")
        self._scheme = parts.scheme
        self._netloc = parts.netloc
        self._has_port = parts.port is not None
        self._path = parts.path.rstrip("/")

    def http(self, target: str) -> str:
        """The URL of one of our webhooks. `target`: path and query as in the request line."""
        return f"{self._scheme}://{self._netloc}{self._path}{target}"

    def websocket(self, target: str) -> str:
        """The same for a stream: wss, or ws on the loopback."""
        return f"{self._websocket_scheme}://{self._netloc}{self._path}{target}"

    def signed_http(self, target: str) -> tuple[str, ...]:
        """The forms of `http(target)` that Twilio may have signed."""
        return self._with_and_without_port(self._scheme, target)

    def signed_websocket(self, target: str) -> tuple[str, ...]:
        """The forms of `websocket(target)` that Twilio may have signed."""
        return self._with_and_without_port(self._websocket_scheme, target)

    @property
    def _websocket_scheme(self) -> str:
        return "wss" if self._scheme == "https" else "ws"

    def _with_and_without_port(self, scheme: str, target: str) -> tuple[str, ...]:
        # Twilio's own libraries try both, "since signature generation on the back end is inconsistent".
        if self._has_port:
            with_port, without_port = self._netloc, self._netloc.rpartition(":")[0]
        else:
            with_port, without_port = f"{self._netloc}:{_PORTS[scheme]}", self._netloc
        return tuple(f"{scheme}://{netloc}{self._path}{target}" for netloc in (without_port, with_port))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
