"""Where the model is that answers for the embedded voice, and how one gets in: URL, model, key."""

import ipaddress
import re
from urllib.parse import urlsplit

from gateway.config import ConfigError, Secret

__all__ = ["ChatEndpoint"]

_EXAMPLE = "http://127.0.0.1:11434/v1/chat/completions"
_PATH_END = "/chat/completions"


class ChatEndpoint:
    """The server that settings and key lead to. Raises `ConfigError` for those that lead nowhere, or astray.

    `url`, `model`: `voice.embedded.brain` and `voice.embedded.brain_model`. `host`: for people.
    """

    def __init__(self, url: str, model: str, key: Secret | None) -> None:
        self.url = url
        self.model = model
        self.host, self.is_encrypted, is_here = _checked_url(url)
        self._key = key
        if not model:
            raise ConfigError(
                'voice.embedded.brain_model = "": expected the model that answers, by the name that the server of '
                "voice.embedded.brain has for it"
            )
        if key is None and self.is_encrypted and not is_here:
            raise ConfigError(
                f"OPENAI_API_KEY is missing: voice.embedded.brain at {self.host} wants a key. Set it, or name its "
                "file in OPENAI_API_KEY_FILE; any word will do where none is wanted"
            )
        if key is not None and not self.is_encrypted and not is_here:
            raise ConfigError(
                f"voice.embedded.brain = {url!r}: OPENAI_API_KEY would travel in clear; expected https://, "
                "http:// with a key is for a server on this machine"
            )
        if key is not None and not re.fullmatch(r"[!-~]+", key.reveal()):
            raise ConfigError("OPENAI_API_KEY has spaces or other characters that a bearer token cannot have")

    def headers(self) -> dict[str, str]:
        """What lets us in; nothing where no key is needed. RFC 6750 §2.1."""
        return {"authorization": f"Bearer {self._key.reveal()}"} if self._key is not None else {}

    def quotes_key(self, text: str) -> bool:
        """Whether a text of the server holds enough of our key to be worth something."""
        key = self._key.reveal() if self._key is not None else ""
        return any(key[at : at + _TELLING_CHARS] in text for at in range(len(key) - _TELLING_CHARS + 1))


# Keys begin with what everybody knows ("sk-proj-"), so less gives nothing away. A shorter key is none, but a word
# for a server without keys.
_TELLING_CHARS = 10


def _checked_url(url: str) -> tuple[str, bool, bool]:
    """The host, whether what goes there is encrypted, and whether it is this machine."""
    shown = f"voice.embedded.brain = {url!r}"
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ConfigError(f"{shown}: {error}; expected a URL such as {_EXAMPLE}") from None
    # Not shown: what stands there is a password or a key.
    if "@" in parts.netloc:
        raise ConfigError("voice.embedded.brain names a user: a key belongs in OPENAI_API_KEY")
    if re.search(r"key|token|secret|\bsig", parts.query, re.IGNORECASE):
        raise ConfigError("voice.embedded.brain has a key behind its `?`: it belongs in OPENAI_API_KEY")
    if not re.fullmatch(r"[!-~]+", url) or parts.fragment:
        raise ConfigError(f"{shown}: a URL of a server has no spaces, no letters beyond ASCII and no #")
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError(f"{shown}: expected https:// or http:// and a host, such as {_EXAMPLE}")
    if not parts.path.rstrip("/").endswith(_PATH_END):
        raise ConfigError(f"{shown}: expected the whole URL, which ends in {_PATH_END}, such as {_EXAMPLE}")
    return parts.netloc, parts.scheme == "https", _is_loopback(host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
