"""What can be set: one struct a section of `gateway.toml`, each key also as `GATEWAY_SECTION__KEY`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from gateway.carriers.sip.checks import flaws_of, password_variable
from gateway.carriers.sip.settings import SipSettings, TrunkName, TrunkSettings
from gateway.carriers.twilio.public_url import PublicUrl
from gateway.config import ConfigError, Secret, load, secret, settings_file
from gateway.voice.settings import VoiceSettings

__all__ = ["Secrets", "Settings", "read_settings"]

PortNumber = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Positive = Annotated[float, msgspec.Meta(gt=0)]


class Http(msgspec.Struct, frozen=True, kw_only=True):
    """The public door. `public_url`: where Twilio finds it. `certificate`, `key`: PEM files, for TLS of our own."""

    host: str = "127.0.0.1"
    port: PortNumber = 8080
    public_url: str = ""
    certificate: str = ""
    key: str = ""


class Private(msgspec.Struct, frozen=True, kw_only=True):
    """The private door: health and metrics, for this machine and its operators."""

    host: str = "127.0.0.1"
    port: PortNumber = 8081


class BargeIn(msgspec.Struct, frozen=True, kw_only=True):
    """What it takes to interrupt an agent that speaks: speech that lasts `min_speech_ms` and has `min_words`.

    What takes less is no interruption, and the agent goes on where it was. Each of the two counts by itself;
    with neither every word interrupts at once. A key always does.
    """

    min_speech_ms: Annotated[int, msgspec.Meta(ge=0, le=5000)] = 0
    min_words: Annotated[int, msgspec.Meta(ge=0, le=20)] = 0


class Calls(msgspec.Struct, frozen=True, kw_only=True):
    """`folder`: where each call's trace, recording and record go; empty: nowhere. `drain_s`: how long calls may
    go on after SIGTERM.
    """

    folder: str = "calls"
    max_active: Annotated[int, msgspec.Meta(ge=1)] = 100
    longest_s: Positive = 4 * 3600
    drain_s: Annotated[float, msgspec.Meta(ge=0)] = 3600


class Traces(msgspec.Struct, frozen=True, kw_only=True):
    """`keep_numbers`: write phone numbers into traces and records, instead of stable pseudonyms."""

    keep_numbers: bool = False


class DialplanPath(msgspec.Struct, frozen=True, kw_only=True):
    """`path`: a TOML file or a folder of them."""

    path: str = "dialplans/reception.toml"


class Log(msgspec.Struct, frozen=True, kw_only=True):
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    http: Http = Http()
    private: Private = Private()
    voice: VoiceSettings = VoiceSettings()
    barge_in: BargeIn = BargeIn()
    calls: Calls = Calls()
    traces: Traces = Traces()
    dialplan: DialplanPath = DialplanPath()
    log: Log = Log()
    sip: SipSettings = SipSettings()
    trunks: dict[TrunkName, TrunkSettings] = {}


class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """From the environment, or from the file that NAME_FILE names; never from a settings file.

    `trunk_passwords`: by trunk, those that have one.
    """

    twilio_auth_token: Secret | None = None
    twilio_account_sid: Secret | None = None
    openai_api_key: Secret | None = None
    trunk_passwords: dict[str, Secret] = {}

    def twilio_auth_tokens(self) -> list[str]:
        """The primary token, and, while tokens are changed, the secondary one after a comma."""
        if self.twilio_auth_token is None:
            return []
        parts = self.twilio_auth_token.reveal().split(",")
        return [part.strip() for part in parts if part.strip()]


def read_settings(path: Path | None, environ: Mapping[str, str]) -> tuple[Settings, Secrets]:
    """Settings and secrets of this process, complete and consistent. Raises `ConfigError`."""
    settings = load(Settings, path=settings_file(path, environ), environ=environ)
    secrets = Secrets(
        twilio_auth_token=secret("TWILIO_AUTH_TOKEN", environ),
        twilio_account_sid=secret("TWILIO_ACCOUNT_SID", environ),
        openai_api_key=secret("OPENAI_API_KEY", environ),
        trunk_passwords={
            name: password
            for name in settings.trunks
            if (password := secret(password_variable(name), environ)) is not None
        },
    )
    _check(settings, secrets)
    return settings, secrets


def _check(settings: Settings, secrets: Secrets) -> None:
    if 0 < settings.voice.idle_s < 1:
        raise ConfigError(f"voice.idle_s = {settings.voice.idle_s:g}: expected at least 1, or 0 for never")
    voices = (settings.voice.backend, *settings.voice.alternatives)
    if (
        settings.barge_in.min_words
        and "realtime" in voices
        and not settings.voice.realtime.transcription_model
    ):
        raise ConfigError(
            f"barge_in.min_words = {settings.barge_in.min_words}: nobody writes the caller's words down, because "
            "voice.realtime.transcription_model is empty; name a model there, or leave min_words at 0"
        )
    http = settings.http
    if bool(http.certificate) != bool(http.key):
        missing = "http.key" if http.certificate else "http.certificate"
        raise ConfigError(f"{missing} is missing: TLS needs http.certificate and http.key")
    if http.public_url:
        try:
            PublicUrl(http.public_url)
        except ValueError as error:
            raise ConfigError(f"http.public_url = {http.public_url!r}: {error}") from None
    if flaws := flaws_of(settings.sip, settings.trunks, secrets.trunk_passwords.keys()):
        raise ConfigError("\n".join(flaws))
    if secrets.twilio_auth_token is not None:
        _check_twilio(http, secrets)
        return
    open_by = "http.public_url" if http.public_url else "" if _is_loopback(http.host) else "http.host"
    if open_by:
        value = http.public_url or http.host
        raise ConfigError(
            f"{open_by} = {value!r} opens the gateway to the public, but TWILIO_AUTH_TOKEN is not set: "
            "nobody could tell Twilio's requests from forged ones. Set it, or keep http.host on 127.0.0.1"
        )


def _check_twilio(http: Http, secrets: Secrets) -> None:
    if not secrets.twilio_auth_tokens():
        raise ConfigError("TWILIO_AUTH_TOKEN has commas and no token between them")
    if not http.public_url and not _is_loopback(http.host):
        raise ConfigError(
            f"http.host = {http.host!r}: http.public_url is missing; "
            "set http.public_url to the https origin that Twilio calls"
        )


def _is_loopback(host: str) -> bool:
    return host in {"localhost", "::1"} or host.startswith("127.")
