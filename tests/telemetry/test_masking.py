import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry.masking import MAX_TEXT_CHARS, REDACTED, SECRET_KEYS, clean, clean_text

NUMBER = "+14155551212"
MASKED = "+1415555**12"


def test_a_number_keeps_all_but_two_of_its_digits() -> None:
    assert clean_text(NUMBER) == MASKED


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        (f"call from {NUMBER}, to +442079460958.", f"call from {MASKED}, to +44207946**58."),
        ("From=%2B14155551212&To=x", "From=%2B1415555**12&To=x"),
        ("<sip:14155551212@trunk.example>", "<sip:1415555**12@trunk.example>"),
        ("tel:14155551212;phone-context=x", "tel:1415555**12;phone-context=x"),
        ("ring +1 (415) 555-1212 or 415-555-1212", "ring +1 (415) ***-**** or 415-5**-****"),
        (f"{NUMBER} 200 OK", f"{MASKED} 200 OK"),
    ],
)
def test_a_number_is_masked_inside_longer_text(text: str, cleaned: str) -> None:
    assert clean_text(text) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "CA0123456789abcdef0123456789012345",
        "MZ14155551212141555512121415555121",
        "2026-11-22T22:17:11.027210Z",
        "2026-11-22T22:17:11+00:00",
        "Sun, 22 Nov 2026 22:17:11 +0000",
        "1795385831.027210",
        "1795385831027",
        "at 1732312345.25 s",
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "192.168.100.1000",
        "503-121-12345",
        "1e+10",
    ],
)
def test_identifiers_times_and_plain_numbers_stay(text: str) -> None:
    assert clean_text(text) == text


def test_numbers_that_are_no_text_stay() -> None:
    value = {"at_ms": 14155551212, "now": 1732312345.25, "ok": True, "none": None}

    assert clean(value) == value


def test_a_number_is_masked_in_lists_dicts_keys_and_bytes() -> None:
    value = {"legs": [{"to_uri": f"sip:{NUMBER}@x"}, (NUMBER, 1)], NUMBER: b"From: " + NUMBER.encode()}

    cleaned = clean(value)

    assert cleaned == {"legs": [{"to_uri": f"sip:{MASKED}@x"}, [MASKED, 1]], MASKED: f"From: {MASKED}"}


@pytest.mark.parametrize("number", ["14155551212", 14155551212])
def test_bare_digits_are_a_number_under_a_key_for_numbers(number: object) -> None:
    assert clean({"caller": number, "frames": number}) == {"caller": "1415555**12", "frames": number}


@pytest.mark.parametrize("key", [*sorted(SECRET_KEYS), "Authorization", "X-Twilio-Signature", "API-Key"])
def test_a_value_under_a_secret_key_is_redacted(key: str) -> None:
    assert clean({"headers": {key: "s3cret"}}) == {"headers": {key: REDACTED}}


@pytest.mark.parametrize(
    "text",
    [
        "GET /twilio/media/s3cret HTTP/1.1",
        "wss://gw.example/twilio/media/s3cret?x=1",
        "Authorization: Digest username=x, response=s3cret",
        "{'authorization': 'Bearer s3cret'}",
        "(b'x-twilio-signature', b's3cret')",
        "X-Twilio-Signature: s3cret",
        "Set-Cookie: id=s3cret",
        "used Bearer abcdefs3cret",
        "https://user:s3cret@db.example/x",
        "?token=s3cret&a=b",
        "api_key=s3cret",
        "Incorrect API key provided: sk-proj-s3cret12.",
    ],
)
def test_a_secret_inside_text_is_redacted(text: str) -> None:
    cleaned = clean_text(text)

    assert "s3cret" not in cleaned
    assert REDACTED in cleaned


@pytest.mark.parametrize(
    "text", ["authorization failed", "a token of thanks", "basic audio", "/twilio/media", "risk-free words"]
)
def test_words_about_secrets_stay(text: str) -> None:
    assert clean_text(text) == text


def test_long_text_loses_its_middle() -> None:
    text = "head" + "x" * (2 * MAX_TEXT_CHARS) + "tail"

    cleaned = clean_text(text)

    assert len(cleaned) <= MAX_TEXT_CHARS + 3
    assert cleaned.startswith("head")
    assert cleaned.endswith("tail")


@given(st.text())
def test_any_text_can_be_written_and_is_clean_after_one_pass(text: str) -> None:
    cleaned = clean_text(text)

    assert cleaned.encode().decode() == cleaned
    assert clean_text(cleaned) == cleaned


@given(
    prefix=st.text(alphabet=st.characters(exclude_categories=["Nd"])),
    digits=st.from_regex(r"[1-9]\d{9,14}", fullmatch=True),
)
def test_no_number_survives_whatever_stands_before_it(prefix: str, digits: str) -> None:
    cleaned = json.dumps(clean({"detail": f"{prefix}+{digits} busy"}))

    assert digits not in cleaned
