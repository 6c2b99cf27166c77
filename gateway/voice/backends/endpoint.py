"""Where a voice of others is, and how one gets in: URL, header, key."""

import ipaddress
import re
from typing import Literal
from urllib.parse import quote, urlsplit

import msgspec

from gateway.config import ConfigError, Secret

__all__ = ["MODEL_ALIAS", "Endpoint", "RealtimeSettings"]

# The name that plans know the usual model by. No server has a model of exactly this name.
MODEL_ALIAS = "gpt-4o-realtime"

# RFC 9110 §5.1, §5.5: a token, and visible characters.
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([ -~]*\{key\}[ -~]*)")


class RealtimeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`{model}` in `url` becomes the agent's model, or `model` where it names none; `{key}` in `auth_header` the key.

    `dialect`: `beta` for servers that know only the old events. `audio`: `pcmu` is G.711 at 8 000 Hz both ways,
    as a phone has it. `input_rate`: of PCM towards the voice, Hz. `transcription_model`: what writes down the
    caller's words; empty: nothing does.
    """

    url: str = "wss://api.openai.com/v1/realtime?model={model}"
    model: str = "gpt-realtime"
    auth_header: str = "Authorization: Bearer {key}"
    dialect: Literal["ga", "beta"] = "ga"
    audio: Literal["pcm", "pcmu"] = "pcm"
    input_rate: Literal[8000, 16000, 24000] = 24000
    transcription_model: str = "gpt-4o-mini-transcribe"


class Endpoint:
    """The server that settings and key lead to. Raises `ConfigError` for those that lead nowhere, or astray."""

    def __init__(self, settings: RealtimeSettings, key: Secret | None) -> None:
        self.host, loopback = _checked_url(settings.url)
        self.model = settings.model
        if "{model}" in settings.url and not settings.model:
            raise ConfigError(
                'voice.realtime.model = "": expected the model that answers, such as gpt-realtime'
            )
        if settings.audio == "pcmu" and settings.input_rate == 16_000:
            raise ConfigError(
                "voice.realtime.input_rate = 16000: expected 8000, for audio = 'pcmu' has no other"
            )
        self._url = settings.url
        self._header = _checked_header(settings.auth_header)
        self._key = key
        if key is not None:
            _check_key(key)
        elif not loopback:
            raise ConfigError(
                f"OPENAI_API_KEY is missing: the voice `realtime` at {self.host} wants a key. Set it, or name its "
                "file in OPENAI_API_KEY_FILE, or choose another voice in voice.backend"
            )

    def url(self, agent_model: str | None) -> str:
        model = self.model if agent_model in (None, "", MODEL_ALIAS) else agent_model
        return self._url.replace("{model}", quote(model or "", safe=""))

    def headers(self) -> list[tuple[str, str]]:
        """What lets us in; nothing where no key is needed."""
        if self._key is None:
            return []
        name, value = self._header
        return [(name, value.replace("{key}", self._key.reveal()))]


def _checked_url(template: str) -> tuple[str, bool]:
    """The host, and whether it is this machine."""
    shown = f"voice.realtime.url = {template!r}"
    if not re.fullmatch(r"[!-~]+", template):
        raise ConfigError(f"{shown}: a URL has neither spaces nor letters beyond ASCII")
    braces = re.sub(r"\{model\}", "", template)
    if "{" in braces or "}" in braces:
        raise ConfigError(f"{shown}: only {{model}} can stand in braces; a key goes into auth_header")
    try:
        url = urlsplit(template.replace("{model}", "model"))
        host, _port = url.hostname or "", url.port
    except ValueError as error:
        raise ConfigError(f"{shown}: {error}") from None
    if url.scheme not in ("ws", "wss") or not host:
        raise ConfigError(f"{shown}: expected wss:// and a host, or ws:// for one on this machine")
    if "@" in url.netloc:  # not shown: what stands there is a password
        raise ConfigError("voice.realtime.url names a user: the key belongs in OPENAI_API_KEY")
    loopback = _is_loopback(host)
    if url.scheme == "ws" and not loopback:
        raise ConfigError(
            f"{shown}: key and calls would travel in clear; expected wss://, ws:// is for this machine"
        )
    return host, loopback


def _checked_header(template: str) -> tuple[str, str]:
    header = _HEADER.fullmatch(template)
    if header is None:  # not shown: somebody may have written the key there
        raise ConfigError(
            "voice.realtime.auth_header: expected 'Name: value' with {key} in it, such as 'api-key: {key}'"
        )
    return header[1], header[2]


def _check_key(key: Secret) -> None:
    if not re.fullmatch(r"[ -~]+", key.reveal()):
        raise ConfigError("OPENAI_API_KEY has line breaks or other characters that a header cannot carry")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
