import pytest

from gateway.config import ConfigError, Secret
from gateway.testing.live import inline
from gateway.voice.backends import BACKENDS
from gateway.voice.backends.realtime import RealtimeBackend, RealtimeSettings

KEY = Secret("sk-0123456789abcdef")


def refusal_of(key: Secret | None = KEY, **settings: object) -> str:
    with pytest.raises(ConfigError) as caught:
        RealtimeBackend(RealtimeSettings(**settings), key)  # type: ignore[arg-type]
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://api.openai.com/v1/realtime", "expected wss:// and a host"),
        ("api.openai.com/v1/realtime?model={model}", "expected wss:// and a host"),
        ("wss:///v1/realtime", "expected wss:// and a host"),
        ("wss://", "expected wss:// and a host"),
        ("", "neither spaces nor letters beyond ASCII"),
        ("wss://voice.example/a b", "neither spaces nor letters beyond ASCII"),
        ("wss://voice.example/\r\nX: 1", "neither spaces nor letters beyond ASCII"),
        ("wss://stimme.exämple/", "neither spaces nor letters beyond ASCII"),
        ("wss://[::1/", "Invalid IPv6 URL"),
        ("wss://voice.example:port/", "could not be cast to integer"),
        ("wss://voice.example:70000/", "out of range"),
        ("wss://voice.example/?key={key}", "only {model} can stand in braces"),
        ("wss://voice.example/?m={}", "only {model} can stand in braces"),
        ("ws://api.openai.com/v1/realtime", "would travel in clear; expected wss://"),
        ("ws://127.example.com/", "would travel in clear; expected wss://"),
        ("ws://localhost.example.com/", "would travel in clear; expected wss://"),
        ("ws://10.0.0.5:8080/v1/realtime", "would travel in clear; expected wss://"),
        ("ws://0.0.0.0/", "would travel in clear; expected wss://"),
    ],
)
def test_a_url_that_leads_nowhere_or_astray_is_refused_with_what_would_be_right(url: str, why: str):
    message = refusal_of(url=url)

    assert message.startswith(f"voice.realtime.url = {url!r}: ")
    assert why in message


def test_a_user_in_the_url_is_refused_and_not_shown():
    message = refusal_of(url="wss://user:secret@voice.example/")

    assert message == "voice.realtime.url names a user: the key belongs in OPENAI_API_KEY"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "api-key",
        "api-key:{key}",
        "api-key: sk-0123456789",
        "{key}",
        ": {key}",
        "api key: {key}",
        "api-key: {key}\r\nX-Evil: 1",
        "api-key: ü{key}",
    ],
)
def test_a_header_without_name_or_key_is_refused_and_not_shown(header: str):
    message = refusal_of(auth_header=header)

    assert message == (
        "voice.realtime.auth_header: expected 'Name: value' with {key} in it, such as 'api-key: {key}'"
    )


@pytest.mark.parametrize("url", ["wss://voice.example/", "wss://10.0.0.5/"])
def test_without_a_key_a_server_elsewhere_is_refused(url: str):
    message = refusal_of(None, url=url)

    assert message.startswith("OPENAI_API_KEY is missing: ")
    assert "OPENAI_API_KEY_FILE" in message


@pytest.mark.parametrize(
    "url",
    ["ws://localhost:8080/", "ws://127.0.0.1/", "ws://127.0.0.53/", "ws://[::1]:8080/", "wss://localhost/"],
)
def test_without_a_key_a_server_on_this_machine_is_taken(url: str):
    assert RealtimeBackend(RealtimeSettings(url=url), None).traits.name == "realtime"


@pytest.mark.parametrize("key", ["two\nlines", "tab\tbed", "schlüssel", "\x7f"])
def test_a_key_that_no_header_can_carry_is_refused(key: str):
    assert refusal_of(Secret(key)).startswith("OPENAI_API_KEY has line breaks or other characters")


def test_a_model_that_the_url_has_a_place_for_must_be_named():
    assert refusal_of(model="") == (
        'voice.realtime.model = "": expected the model that answers, such as gpt-realtime'
    )
    assert (
        RealtimeBackend(RealtimeSettings(model="", url="wss://voice.example/"), KEY).traits.name == "realtime"
    )


def test_g711_has_no_other_rate_than_its_own():
    assert refusal_of(audio="pcmu", input_rate=16000) == (
        "voice.realtime.input_rate = 16000: expected 8000, for audio = 'pcmu' has no other"
    )
    assert RealtimeBackend(RealtimeSettings(audio="pcmu", input_rate=8000), KEY).traits.input.rate_hz == 8000


def test_it_stands_in_the_table_and_is_given_its_key():
    kind = BACKENDS["realtime"]

    assert kind.make(kind.settings(), inline, KEY).traits.name == "realtime"
    with pytest.raises(ConfigError, match="OPENAI_API_KEY is missing"):
        kind.make(kind.settings(), inline)
