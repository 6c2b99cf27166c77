"""The fake's signature against Twilio's own validator, and its HTTP against broken servers."""

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]  # no stubs exist

from gateway.testing.twilio_requests import WebhookFailed, post_form, sign

URL = "https://gateway.example/twilio/voice?a=b"


def test_twilios_documented_example_is_signed_as_documented() -> None:
    form = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+12349013030",
        "Digits": "1234",
        "From": "+12349013030",
        "To": "+18005551212",
    }

    signature = sign("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", form)

    assert signature == "0/KCTR6DLpKmkAf8muzZqo1nDgQ="


def test_an_upgrade_is_signed_with_its_wss_url_alone() -> None:
    assert sign("12345", "wss://example.com/audiostream") == "h1GDe9X4/sxGZmaZfzZVvygMML0="


@given(st.text(min_size=1), st.dictionaries(st.text(min_size=1), st.text(), max_size=8))
def test_whatever_is_signed_twilios_validator_accepts(token: str, form: dict[str, str]) -> None:
    signature = sign(token, URL, form)

    assert RequestValidator(token).compute_signature(URL, form) == signature


async def test_a_form_is_posted_as_twilio_posts_it() -> None:
    ours, theirs = trio.testing.memory_stream_pair()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(theirs.send_all, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        answer = await post_form(ours, URL, {"From": "+1 5", "City": ""}, [("X-Twilio-Signature", "s")])
        request = bytes(await theirs.receive_some()).decode()

    head, _, body = request.partition("\r\n\r\n")
    assert head.startswith("POST /twilio/voice?a=b HTTP/1.1\r\nHost: gateway.example\r\n")
    assert "Content-Type: application/x-www-form-urlencoded; charset=UTF-8" in head
    assert "User-Agent: TwilioProxy/1.1" in head
    assert "X-Twilio-Signature: s" in head
    assert body == "From=%2B1+5&City="
    assert (answer.status, answer.content_type, answer.body) == (200, "", b"hi")


@pytest.mark.parametrize(
    "reply", [b"", b"SIP/2.0 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi"]
)
async def test_a_peer_that_does_not_speak_http_to_the_end_is_11200(reply: bytes) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.send_all(reply)
    await theirs.send_stream.aclose()

    with pytest.raises(WebhookFailed) as failed:
        await post_form(ours, URL, {}, [])

    assert failed.value.code == 11200


async def test_of_an_endless_answer_little_more_than_64_kb_is_read() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.send_all(b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * 1_000_000)

    answer = await post_form(ours, URL, {}, [])

    assert 64 * 1024 < len(answer.body) <= 2_000_000
