from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gateway.carriers.sip.setting_texts import Listen, PortRange, read_address, read_network
from gateway.carriers.sip.settings import TrunkSettings
from gateway.config import ConfigError
from gateway.settings import Secrets, Settings, read_settings
from gateway.wire.sdp.agreement import SrtpPolicy
from gateway.wire.sip.uri import SipUri

TOKEN = {"TWILIO_AUTH_TOKEN": "a-token"}

# Every name that the environment may carry, a text for it, and what becomes of it.
NAMES: dict[str, tuple[str, object]] = {
    "GATEWAY_HTTP__HOST": ("127.0.0.2", "127.0.0.2"),
    "GATEWAY_HTTP__PORT": ("9000", 9000),
    "GATEWAY_HTTP__PUBLIC_URL": ("https://gateway.example", "https://gateway.example"),
    "GATEWAY_HTTP__CERTIFICATE": ("/tls/cert.pem", "/tls/cert.pem"),
    "GATEWAY_HTTP__KEY": ("/tls/key.pem", "/tls/key.pem"),
    "GATEWAY_PRIVATE__HOST": ("127.0.0.3", "127.0.0.3"),
    "GATEWAY_PRIVATE__PORT": ("9001", 9001),
    "GATEWAY_VOICE__BACKEND": ("echo", "echo"),
    "GATEWAY_VOICE__ALTERNATIVES": ("scripted, echo", ("scripted", "echo")),
    "GATEWAY_VOICE__DEAD_AIR_S": ("1", 1.0),
    "GATEWAY_VOICE__IDLE_S": ("0", 0.0),
    "GATEWAY_VOICE__RENEW_S": ("60", 60.0),
    "GATEWAY_VOICE__EMBEDDED__SCRIPTS": ("/scripts", "/scripts"),
    "GATEWAY_VOICE__EMBEDDED__WORKERS": ("3", 3),
    "GATEWAY_VOICE__EMBEDDED__BRAIN": ("http://127.0.0.1/x", "http://127.0.0.1/x"),
    "GATEWAY_VOICE__EMBEDDED__BRAIN_MODEL": ("llama", "llama"),
    "GATEWAY_VOICE__SCRIPTED__HEARS": ("yes, no", ("yes", "no")),
    "GATEWAY_VOICE__REALTIME__URL": ("wss://voice.example/v1", "wss://voice.example/v1"),
    "GATEWAY_VOICE__REALTIME__MODEL": ("gpt-realtime-mini", "gpt-realtime-mini"),
    "GATEWAY_VOICE__REALTIME__AUTH_HEADER": ("api-key: {key}", "api-key: {key}"),
    "GATEWAY_VOICE__REALTIME__DIALECT": ("beta", "beta"),
    "GATEWAY_VOICE__REALTIME__AUDIO": ("pcmu", "pcmu"),
    "GATEWAY_VOICE__REALTIME__INPUT_RATE": ("16000", 16000),
    "GATEWAY_VOICE__REALTIME__TRANSCRIPTION_MODEL": ("whisper-1", "whisper-1"),
    "GATEWAY_BARGE_IN__MIN_SPEECH_MS": ("500", 500),
    "GATEWAY_BARGE_IN__MIN_WORDS": ("2", 2),
    "GATEWAY_CALLS__FOLDER": ("/var/calls", "/var/calls"),
    "GATEWAY_CALLS__MAX_ACTIVE": ("7", 7),
    "GATEWAY_CALLS__LONGEST_S": ("600", 600.0),
    "GATEWAY_CALLS__DRAIN_S": ("0", 0.0),
    "GATEWAY_TRACES__KEEP_NUMBERS": ("true", True),
    "GATEWAY_DIALPLAN__PATH": ("/plans", "/plans"),
    "GATEWAY_LOG__LEVEL": ("debug", "debug"),
    "GATEWAY_SIP__LISTEN": ("tcp:[::1]:5070", (Listen("TCP", "::1", 5070),)),
    "GATEWAY_SIP__EXTERNAL_HOST": ("203.0.113.7", "203.0.113.7"),
    "GATEWAY_SIP__RTP_PORTS": ("30000-30999", PortRange(30_000, 30_999)),
    "GATEWAY_SIP__CERTIFICATE": ("/tls/cert.pem", "/tls/cert.pem"),
    "GATEWAY_SIP__KEY": ("/tls/key.pem", "/tls/key.pem"),
    "GATEWAY_SIP__CA": ("/tls/ca.pem", "/tls/ca.pem"),
}
# The same of a trunk, which needs a way in.
OF_A_TRUNK: dict[str, tuple[str, object]] = {
    "ADDRESS": ("sip:carrier.example;transport=tcp", read_address("sip:carrier.example;transport=tcp")),
    "NETWORKS": (
        "198.51.100.0/24, 2001:db8::/32",
        (read_network("198.51.100.0/24"), read_network("2001:db8::/32")),
    ),
    "AUTH": ("digest", "digest"),
    "USER": ("anna", "anna"),
    "REALM": ("carrier.example", "carrier.example"),
    "REGISTER": ("true", True),
    "REGISTRAR": ("sip:reg.example", read_address("sip:reg.example")),
    "CALLER_ID": ("+15550001000", "+15550001000"),
    "CODECS": ("pcma", ("pcma",)),
    "SRTP": ("required", SrtpPolicy.REQUIRED),
    "HEADERS": ("X-Account, Diversion", ("X-Account", "Diversion")),
    "CALLS": ("7", 7),
    "CALLS_PER_S": ("3", 3),
    "TRANSFERS": ("true", True),
    "PING_S": ("0", 0.0),
}
LISTENS = {"GATEWAY_SIP__LISTEN": "udp:127.0.0.1:5060"}
TRUNK = {"GATEWAY_TRUNKS__ACME__NETWORKS": "192.0.2.0/24"}
PASSWORD = {"TRUNK_ACME_PASSWORD": "word"}

# What a key needs beside it.
BESIDE: dict[str, dict[str, str]] = {
    "GATEWAY_HTTP__CERTIFICATE": {"GATEWAY_HTTP__KEY": "/tls/key.pem"},
    "GATEWAY_HTTP__KEY": {"GATEWAY_HTTP__CERTIFICATE": "/tls/cert.pem"},
    "GATEWAY_SIP__CERTIFICATE": {"GATEWAY_SIP__KEY": "/tls/key.pem"},
    "GATEWAY_SIP__KEY": {"GATEWAY_SIP__CERTIFICATE": "/tls/cert.pem"},
    "GATEWAY_SIP__LISTEN": TRUNK,
    "AUTH": {"USER": "anna"} | PASSWORD,
    "USER": PASSWORD,
    "REALM": {"USER": "anna"} | PASSWORD,
    "REGISTER": {"USER": "anna", "ADDRESS": "sip:carrier.example"} | PASSWORD,
    "REGISTRAR": {"USER": "anna", "REGISTER": "true"} | PASSWORD,
}


def of_acme(**values: str) -> dict[str, str]:
    """A trunk `acme` that somebody may call by, and more of its keys; a password is what it is."""
    keys = {key if key in PASSWORD else f"GATEWAY_TRUNKS__ACME__{key}": text for key, text in values.items()}
    return LISTENS | TRUNK | keys


def values(settings: msgspec.Struct, name: str = "GATEWAY") -> Iterator[tuple[str, object]]:
    """Every key and its value, by the name that the environment has for it."""
    for field in msgspec.structs.fields(settings):
        value = getattr(settings, field.name)
        key = f"{name}{'_' if name == 'GATEWAY' else '__'}{field.encode_name.upper()}"
        if isinstance(value, msgspec.Struct) and not isinstance(value, SipUri):
            yield from values(value, key)
        elif isinstance(value, dict):
            for each, table in value.items():
                yield from values(table, f"{key}__{each.upper()}")
        else:
            yield key, value


def error(path: Path | None = None, /, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_settings(path, environ)
    return str(caught.value)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without a settings file."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# -- what can be set


def test_without_file_and_environment_both_doors_are_on_loopback_and_the_embedded_voice_answers():
    settings, secrets = read_settings(None, {})

    assert (settings.http.host, settings.http.port) == ("127.0.0.1", 8080)
    assert (settings.private.host, settings.private.port) == ("127.0.0.1", 8081)
    assert settings.voice.backend == "embedded"
    assert (settings.calls.folder, settings.calls.max_active) == ("calls", 100)
    assert not settings.traces.keep_numbers
    assert secrets == Secrets()


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_the_environment_sets_its_key_and_no_other(name: str):
    text, value = NAMES[name]
    environ = TOKEN | {name: text}
    environ |= BESIDE.get(name, {})

    settings, _ = read_settings(None, environ)

    changed = dict(values(settings)).items() - dict(values(Settings())).items()
    assert (name, value) in changed
    assert {key for key, _ in changed if "TRUNKS" not in key} == {key for key in environ if key in NAMES}


@pytest.mark.parametrize("key", OF_A_TRUNK)
def test_a_name_in_the_environment_sets_a_key_of_a_trunk_and_no_other(key: str):
    text, value = OF_A_TRUNK[key]
    beside = BESIDE.get(key, {})
    before, _ = read_settings(None, of_acme())

    settings, _ = read_settings(None, of_acme(**beside, **{key: text}))

    changed = dict(values(settings)).items() - dict(values(before)).items()
    assert (f"GATEWAY_TRUNKS__ACME__{key}", value) in changed
    assert len(changed) == 1 + len(beside.keys() - PASSWORD.keys())


def test_every_key_there_is_can_be_set_by_the_environment():
    of_acme_ = {f"GATEWAY_TRUNKS__ACME__{key}" for key in OF_A_TRUNK}

    assert {name for name, _ in values(Settings())} == NAMES.keys()
    assert {name for name, _ in values(Settings(trunks={"acme": TrunkSettings()}))} == NAMES.keys() | of_acme_


def test_the_file_in_the_working_folder_is_read_without_being_named(elsewhere: Path):
    (elsewhere / "gateway.toml").write_text('[voice]\nbackend = "echo"\n[calls]\nmax_active = 3\n')

    settings, _ = read_settings(None, {"GATEWAY_CALLS__MAX_ACTIVE": "4"})

    assert (settings.voice.backend, settings.calls.max_active) == ("echo", 4)


def test_secrets_come_from_the_environment_or_from_a_file_and_are_not_shown(elsewhere: Path):
    (elsewhere / "sid").write_text("AC123\n")
    environ = {"TWILIO_AUTH_TOKEN": "a,b", "TWILIO_ACCOUNT_SID_FILE": str(elsewhere / "sid")}

    _, secrets = read_settings(None, environ)

    assert secrets.twilio_auth_token is not None
    assert secrets.twilio_account_sid is not None
    assert secrets.twilio_auth_token.reveal() == "a,b"
    assert secrets.twilio_account_sid.reveal() == "AC123"
    assert "AC123" not in repr(secrets)


# -- what is refused


@pytest.mark.parametrize(
    ("name", "text", "key"),
    [
        ("GATEWAY_HTTP__HOST", "0.0.0.0", "http.host"),
        ("GATEWAY_HTTP__HOST", "::", "http.host"),
        ("GATEWAY_HTTP__HOST", "192.0.2.7", "http.host"),
        ("GATEWAY_HTTP__PUBLIC_URL", "https://gateway.example", "http.public_url"),
    ],
)
def test_a_gateway_that_is_open_to_the_public_needs_an_auth_token(name: str, text: str, key: str):
    message = error(**{name: text})

    assert message.startswith(f"{key} = '{text}' opens the gateway to the public")
    assert "TWILIO_AUTH_TOKEN is not set" in message
    assert "\n" not in message


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.53", "::1", "localhost"])
def test_on_loopback_no_auth_token_is_needed(host: str):
    settings, secrets = read_settings(None, {"GATEWAY_HTTP__HOST": host})

    assert settings.http.host == host
    assert secrets.twilio_auth_token is None


def test_an_empty_auth_token_is_none():
    assert "TWILIO_AUTH_TOKEN is not set" in error(GATEWAY_HTTP__HOST="0.0.0.0", TWILIO_AUTH_TOKEN=" ")


@pytest.mark.parametrize(("given", "missing"), [("certificate", "key"), ("key", "certificate")])
def test_half_of_what_tls_needs_is_refused(given: str, missing: str):
    message = error(**{f"GATEWAY_HTTP__{given.upper()}": "/tls/x.pem"})

    assert message == f"http.{missing} is missing: TLS needs http.certificate and http.key"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("GATEWAY_HTTP__PORZ", ['did you mean "port"?', "public_url"]),
        ("GATEWAY_HTPP__PORT", ['did you mean "http"?', "sip, traces, trunks, voice"]),
        ("GATEWAY_VOICE__EMBEDDED__VOICE", ["no such key", "brain, brain_model, scripts, workers"]),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(name: str, words: list[str]):
    message = error(**{name: "1"})

    assert message.startswith(f"{name}: no such ")
    assert all(word in message for word in words)


def test_an_unknown_key_of_a_file_is_refused_with_its_line_and_without_its_value(elsewhere: Path):
    path = elsewhere / "mine.toml"
    path.write_text('[http]\nport = 1\nauth_token = "hush"\n')

    message = error(path)

    assert message.startswith(f"{path}:3: http.auth_token: no such key")
    assert "hush" not in message


@pytest.mark.parametrize(
    ("name", "text", "right"),
    [
        ("GATEWAY_HTTP__PORT", "http", "a whole number"),
        ("GATEWAY_HTTP__PORT", "70000", "a whole number <= 65535"),
        ("GATEWAY_VOICE__DEAD_AIR_S", "0.5", "a number >= 1"),
        ("GATEWAY_VOICE__IDLE_S", "-1", "a number >= 0"),
        ("GATEWAY_VOICE__RENEW_S", "59", "a number >= 60"),
        ("GATEWAY_BARGE_IN__MIN_SPEECH_MS", "-1", "a whole number >= 0"),
        ("GATEWAY_BARGE_IN__MIN_SPEECH_MS", "5001", "a whole number <= 5000"),
        ("GATEWAY_BARGE_IN__MIN_WORDS", "-1", "a whole number >= 0"),
        ("GATEWAY_BARGE_IN__MIN_WORDS", "21", "a whole number <= 20"),
        ("GATEWAY_CALLS__MAX_ACTIVE", "0", "a whole number >= 1"),
        ("GATEWAY_CALLS__LONGEST_S", "0", "a number > 0"),
        ("GATEWAY_CALLS__DRAIN_S", "-1", "a number >= 0"),
        ("GATEWAY_TRACES__KEEP_NUMBERS", "perhaps", "true or false"),
        ("GATEWAY_LOG__LEVEL", "loud", "one of debug, info, warning, error"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_what_would_be_right(name: str, text: str, right: str):
    assert error(**{name: text}).startswith(f'{name} = "{text}": expected {right}')


def test_an_agent_that_would_ask_too_soon_whether_somebody_is_there_is_refused():
    assert error(GATEWAY_VOICE__IDLE_S="0.5") == "voice.idle_s = 0.5: expected at least 1, or 0 for never"


def test_words_that_nobody_writes_down_cannot_be_counted():
    said = error(
        GATEWAY_BARGE_IN__MIN_WORDS="2",
        GATEWAY_VOICE__ALTERNATIVES="realtime",
        GATEWAY_VOICE__REALTIME__TRANSCRIPTION_MODEL="",
    )

    assert said == (
        "barge_in.min_words = 2: nobody writes the caller's words down, because "
        "voice.realtime.transcription_model is empty; name a model there, or leave min_words at 0"
    )


@pytest.mark.parametrize(("key", "most"), [("MIN_SPEECH_MS", 5000), ("MIN_WORDS", 20)])
def test_what_it_takes_to_interrupt_may_be_as_much_as_the_settings_say(key: str, most: int):
    settings, _ = read_settings(None, {f"GATEWAY_BARGE_IN__{key}": str(most)})

    assert getattr(settings.barge_in, key.lower()) == most


def test_by_default_every_word_interrupts_and_there_is_one_voice():
    settings, _ = read_settings(None, {})

    assert (settings.barge_in.min_speech_ms, settings.barge_in.min_words) == (0, 0)
    assert settings.voice.alternatives == ()
    assert (settings.voice.dead_air_s, settings.voice.idle_s, settings.voice.renew_s) == (10, 6, 3300)


def test_a_list_of_alternatives_stands_in_the_file(elsewhere: Path):
    (elsewhere / "gateway.toml").write_text('[voice]\nalternatives = ["scripted", "echo"]\n')

    settings, _ = read_settings(None, {})

    assert settings.voice.alternatives == ("scripted", "echo")


def test_every_flaw_is_told_at_once():
    lines = error(
        GATEWAY_HTTP__PORT="x", GATEWAY_CALLS__MAX_ACTIVE="0", GATEWAY_TRACES__KEEP="1"
    ).splitlines()

    assert [line.partition(" ")[0].rstrip(":") for line in sorted(lines)] == [
        "GATEWAY_CALLS__MAX_ACTIVE",
        "GATEWAY_HTTP__PORT",
        "GATEWAY_TRACES__KEEP",
    ]


def test_an_auth_token_and_a_file_of_it_are_one_too_many():
    assert error(TWILIO_AUTH_TOKEN="a", TWILIO_AUTH_TOKEN_FILE="b").endswith("keep one")
