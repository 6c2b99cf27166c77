"""Where the brain is: settings that lead nowhere, or a key astray, are found before the first call."""

from pathlib import Path

import pytest

from gateway.config import ConfigError, Secret
from gateway.settings import read_settings
from gateway.testing.live import inline
from gateway.voice.backends import BACKENDS
from gateway.voice.backends.chat_endpoint import ChatEndpoint
from gateway.voice.backends.embedded import EmbeddedBackend, EmbeddedSettings

KEY = Secret("sk-canary-Zx81Kc4nN0b0dySaysThis")
HERE = "http://127.0.0.1:11434/v1/chat/completions"
THERE = "https://models.example.com/v1/chat/completions"
NEAR = "http://10.0.0.5:11434/v1/chat/completions"


@pytest.mark.parametrize(
    ("url", "key"),
    [
        (HERE, None),
        (HERE, KEY),
        ("http://localhost:8080/v1/chat/completions", KEY),
        ("http://[::1]:8080/v1/chat/completions", KEY),
        (NEAR, None),
        (THERE, KEY),
        ("https://x.openai.azure.com/openai/v1/chat/completions?api-version=preview", KEY),
    ],
)
def test_a_server_and_a_key_that_may_go_there_are_taken(url: str, key: Secret | None):
    endpoint = ChatEndpoint(url, "a-model", key)

    assert endpoint.url == url
    assert endpoint.headers() == ({"authorization": f"Bearer {KEY.reveal()}"} if key else {})


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("127.0.0.1:11434", "expected https:// or http:// and a host"),
        ("ws://127.0.0.1/v1/chat/completions", "expected https:// or http:// and a host"),
        ("http:///v1/chat/completions", "expected https:// or http:// and a host"),
        ("http://127.0.0.1:11434", "expected the whole URL, which ends in /chat/completions"),
        ("http://127.0.0.1:11434/v1", "expected the whole URL, which ends in /chat/completions"),
        ("http://127.0.0.1:99999/v1/chat/completions", "Port out of range"),
        ("http://127.0.0.1/v1/chat/completions#x", "no spaces, no letters beyond ASCII and no #"),
        ("http://127.0.0.1/v1 /chat/completions", "no spaces, no letters beyond ASCII and no #"),
        ("http://[::1/v1/chat/completions", "Invalid IPv6 URL"),
    ],
)
def test_a_url_that_leads_nowhere_is_refused_with_one_that_would(url: str, why: str):
    with pytest.raises(ConfigError) as refused:
        ChatEndpoint(url, "a-model", None)

    assert str(refused.value).startswith(f"voice.embedded.brain = {url!r}: ")
    assert why in str(refused.value)


def test_a_key_does_not_travel_in_clear():
    with pytest.raises(ConfigError) as refused:
        ChatEndpoint(NEAR, "a-model", KEY)

    assert str(refused.value) == (
        f"voice.embedded.brain = {NEAR!r}: OPENAI_API_KEY would travel in clear; expected https://, "
        "http:// with a key is for a server on this machine"
    )


def test_a_server_of_others_wants_a_key():
    with pytest.raises(ConfigError) as refused:
        ChatEndpoint(THERE, "a-model", None)

    assert str(refused.value).startswith(
        "OPENAI_API_KEY is missing: voice.embedded.brain at models.example.com wants a key."
    )


@pytest.mark.parametrize(
    "url",
    [
        f"https://{KEY.reveal()}@models.example.com/v1/chat/completions",
        f"https://user:{KEY.reveal()}@models.example.com/v1/chat/completions",
        f"{THERE}?key={KEY.reveal()}",
        f"{THERE}?api_key={KEY.reveal()}",
    ],
)
def test_a_key_in_a_url_is_refused_and_not_shown(url: str):
    with pytest.raises(ConfigError, match="belongs in OPENAI_API_KEY") as refused:
        ChatEndpoint(url, "a-model", None)

    assert KEY.reveal()[:8] not in str(refused.value)


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "umläut"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(key: str):
    with pytest.raises(ConfigError) as refused:
        ChatEndpoint(THERE, "a-model", Secret(key))

    assert "OPENAI_API_KEY" in str(refused.value)
    assert key not in str(refused.value)


def test_a_brain_without_a_model_is_refused():
    with pytest.raises(
        ConfigError, match=r'voice\.embedded\.brain_model = "": expected the model that answers'
    ):
        EmbeddedBackend(EmbeddedSettings(brain=HERE), inline)


def test_a_model_without_a_brain_is_refused():
    with pytest.raises(
        ConfigError, match=r"voice\.embedded\.brain_model = 'llama': voice\.embedded\.brain is missing"
    ):
        EmbeddedBackend(EmbeddedSettings(brain_model="llama"), inline)


def test_the_table_of_voices_hands_the_key_on():
    with pytest.raises(ConfigError, match="would travel in clear"):
        BACKENDS["embedded"].make(EmbeddedSettings(brain=NEAR, brain_model="llama"), inline, KEY)


def test_a_brain_is_set_in_the_file_or_in_the_environment(tmp_path: Path):
    file = tmp_path / "gateway.toml"
    file.write_text(f'[voice.embedded]\nbrain = "{THERE}"\nbrain_model = "a-model"\n')

    settings, _ = read_settings(file, {"GATEWAY_VOICE__EMBEDDED__BRAIN": HERE})

    assert settings.voice.embedded == EmbeddedSettings(brain=HERE, brain_model="a-model")


def test_what_is_left_of_a_key_gives_nothing_away():
    endpoint = ChatEndpoint(THERE, "a-model", KEY)

    assert endpoint.quotes_key(f"wrong: {KEY.reveal()}")
    assert endpoint.quotes_key(f"wrong: {KEY.reveal()[5:16]}***")
    assert not endpoint.quotes_key("wrong: sk-*****")


def test_a_word_in_place_of_a_key_is_no_secret():
    assert not ChatEndpoint(HERE, "a-model", Secret("ollama")).quotes_key("ollama is loading")
