"""The three webhooks: who gets in, and what they answer."""

import itertools
from collections.abc import Sequence
from urllib.parse import urlencode

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from gateway.carriers.twilio import twiml
from gateway.carriers.twilio.calls import IncomingCall, TwilioCalls
from gateway.carriers.twilio.public_url import PublicUrl
from gateway.carriers.twilio.signature import SignatureCheck, sign
from gateway.carriers.twilio.webhooks import AfterRoute, SignedForms, StatusRoute, VoiceRoute
from gateway.incoming import Admit
from gateway.net.doors import Answer, Head, PostRoute

TOKEN = "canary-token"
ORIGIN = "https://gw.example.com"
CALL = "CA" + "2" * 32
ACCOUNT = "AC" + "1" * 32
FORM = (
    ("CallSid", CALL),
    ("AccountSid", ACCOUNT),
    ("From", "+15550100001"),
    ("To", "+15550100002"),
    ("CallStatus", "ringing"),
    ("CallerName", ""),
)
URLENCODED = "application/x-www-form-urlencoded"


class Gateway:
    """The routes, and what they reported."""

    def __init__(self) -> None:
        self.refused: list[str] = []
        self.incoming: list[IncomingCall] = []
        self.streams: list[tuple[str, str, str]] = []
        numbers = itertools.count(1)
        self.calls = TwilioCalls(self._admit, lambda token: f"<{token}>", lambda: f"token-{next(numbers)}")
        forms = SignedForms(SignatureCheck([TOKEN], PublicUrl(ORIGIN)), self.refused.append)
        self.routes: dict[str, PostRoute] = {
            "/twilio/voice": VoiceRoute(forms, self.calls),
            "/twilio/after": AfterRoute(forms, self.calls),
            "/twilio/status": StatusRoute(forms, self.calls, lambda *news: self.streams.append(news)),
        }

    def _admit(self, incoming: IncomingCall) -> Admit:
        self.incoming.append(incoming)
        return Admit()

    async def post(self, path: str, fields: Sequence[tuple[str, str]] = FORM) -> Answer:
        """What Twilio gets that posts a form."""
        body = urlencode(fields).encode()
        head = signed_head(path, fields, body)
        return self.routes[path].refuse(head) or await self.routes[path].answer(head, body)


def signed_head(target: str, fields: Sequence[tuple[str, str]], body: bytes) -> Head:
    return head_of(
        target,
        ("content-type", URLENCODED),
        ("content-length", str(len(body))),
        ("x-twilio-signature", sign(TOKEN, ORIGIN + target, fields)),
    )


def head_of(target: str, *headers: tuple[str, str], method: str = "POST") -> Head:
    return Head(method=method, target=target, headers=headers)


def changed(fields: Sequence[tuple[str, str]], **values: str) -> list[tuple[str, str]]:
    return [(name, values.get(name, value)) for name, value in fields]


PATHS = ("/twilio/voice", "/twilio/after", "/twilio/status")


# -- who gets in


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("kind", "replaced"),
    [
        ("content_type", ("content-type", "application/json")),
        ("content_type", ("content-type", "")),
        ("content_length", ("content-length", "")),
        ("content_length", ("content-length", "-1")),
        ("content_length", ("content-length", "65537")),
        ("content_length", ("content-length", "1073741824")),
        ("content_length", ("content-length", "10, 10")),
        ("content_length", ("content-length", "٣")),
        ("unsigned", ("x-twilio-signature", "")),
    ],
)
def test_what_cannot_be_twilios_is_refused_before_its_body_is_read(
    path: str, kind: str, replaced: tuple[str, str]
) -> None:
    gateway = Gateway()
    good = signed_head(path, FORM, b"x")
    headers = dict(good.headers) | dict([replaced])

    answer = gateway.routes[path].refuse(head_of(path, *headers.items()))

    assert answer == Answer(403, b"")
    assert gateway.refused == [kind]


@pytest.mark.parametrize("path", PATHS)
def test_no_other_method_is_let_in(path: str) -> None:
    gateway = Gateway()
    good = signed_head(path, FORM, b"x")

    answer = gateway.routes[path].refuse(head_of(path, *good.headers, method="GET"))

    assert answer == Answer(403, b"")
    assert gateway.refused == ["method"]


@pytest.mark.parametrize("path", PATHS)
def test_a_content_type_may_name_its_charset(path: str) -> None:
    gateway = Gateway()
    headers = dict(signed_head(path, FORM, b"x").headers) | {
        "content-type": f"{URLENCODED.upper()}; charset=UTF-8"
    }

    assert gateway.routes[path].refuse(head_of(path, *headers.items())) is None


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "signature",
    [
        "x",
        sign("another-token", ORIGIN + "/twilio/voice", FORM),
        sign(TOKEN, "https://evil.example.com/twilio/voice", FORM),
        sign(TOKEN, ORIGIN + "/twilio/elsewhere", FORM),
        sign(TOKEN, ORIGIN + "/twilio/voice", FORM[:-1]),
        "é",
    ],
)
async def test_a_wrong_signature_is_refused_and_nothing_happens(path: str, signature: str) -> None:
    gateway = Gateway()
    head = head_of(path, ("content-type", URLENCODED), ("x-twilio-signature", signature))

    answer = await gateway.routes[path].answer(head, urlencode(FORM).encode())

    assert answer == Answer(403, b"")
    assert gateway.refused == ["signature"]
    assert gateway.incoming == []


@pytest.mark.parametrize(
    "forged",
    [
        ("host", "evil.example.com"),
        ("forwarded", "host=evil.example.com;proto=https"),
        ("x-forwarded-host", "evil.example.com"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-port", "8443"),
        ("x-original-host", "evil.example.com"),
        ("x-original-url", "/twilio/elsewhere"),
    ],
)
async def test_cve_2026_28465_headers_say_nothing_about_the_url_that_was_signed(
    forged: tuple[str, str],
) -> None:
    gateway = Gateway()
    body = urlencode(FORM).encode()
    theirs = sign(TOKEN, "https://evil.example.com/twilio/voice", FORM)
    forger = head_of("/twilio/voice", forged, ("x-twilio-signature", theirs))
    honest = head_of("/twilio/voice", forged, *signed_head("/twilio/voice", FORM, body).headers)

    assert (await gateway.routes["/twilio/voice"].answer(forger, body)).status == 403
    assert (await gateway.routes["/twilio/voice"].answer(honest, body)).status == 200


@pytest.mark.parametrize(
    "fields",
    [
        changed(FORM, CallSid="CA123"),
        changed(FORM, CallSid="../../etc/passwd"),
        changed(FORM, CallSid="CA" + "g" * 32),
        changed(FORM, CallSid=CALL + "\n"),
        changed(FORM, CallSid="CA" + "٣" * 32),
        changed(FORM, AccountSid="CA" + "1" * 32),
        FORM[1:],
        (),
    ],
)
async def test_a_signed_form_without_proper_identifiers_is_refused(fields: Sequence[tuple[str, str]]) -> None:
    gateway = Gateway()

    answer = await gateway.post("/twilio/voice", fields)

    assert answer == Answer(403, b"")
    assert gateway.refused == ["form"]


@pytest.mark.parametrize("body", [b"CallSid=%ff", b"CallSid=\xff", b"&".join([b"a=b"] * 201)])
async def test_a_body_that_is_no_bounded_utf8_form_is_refused(body: bytes) -> None:
    gateway = Gateway()

    answer = await gateway.routes["/twilio/voice"].answer(signed_head("/twilio/voice", (), body), body)

    assert answer == Answer(403, b"")
    assert gateway.refused == ["form"]


@given(body=st.binary(max_size=200), path=st.sampled_from(PATHS))
def test_any_unsigned_body_is_refused(body: bytes, path: str) -> None:
    gateway = Gateway()

    answer = trio.run(gateway.routes[path].answer, head_of(path, ("x-twilio-signature", "x")), body)

    assert answer == Answer(403, b"")
    assert gateway.refused in (["form"], ["signature"])


# -- what they answer


async def test_a_call_that_comes_in_is_described_and_answered_in_twiml() -> None:
    gateway = Gateway()

    answer = await gateway.post("/twilio/voice")

    assert answer == Answer(200, b"<token-1>", twiml.CONTENT_TYPE)
    assert gateway.incoming == [
        IncomingCall(
            call_sid=CALL,
            account_sid=ACCOUNT,
            caller="+15550100001",
            called="+15550100002",
            params=dict(FORM),
        )
    ]


async def test_cve_2026_32053_a_webhook_that_is_replayed_gets_the_same_bytes_and_one_call() -> None:
    gateway = Gateway()

    answers = [await gateway.post("/twilio/voice") for _ in range(3)]

    assert len(set(map(bytes, [answer.body for answer in answers]))) == 1
    assert len(gateway.incoming) == 1


async def test_a_query_that_the_number_is_configured_with_is_signed_too() -> None:
    gateway = Gateway()
    body = urlencode(FORM).encode()
    head = signed_head("/twilio/voice?tenant=1", FORM, body)

    answer = await gateway.routes["/twilio/voice"].answer(head, body)

    assert answer.status == 200


async def test_of_a_repeated_field_the_first_counts_and_all_are_signed() -> None:
    gateway = Gateway()

    answer = await gateway.post("/twilio/voice", (*FORM, ("From", "+15559999999"), ("From", "+15550100001")))

    assert answer.status == 200
    assert gateway.incoming[0].caller == "+15550100001"


async def test_after_a_stream_that_ended_the_call_is_ended_as_well() -> None:
    gateway = Gateway()
    await gateway.post("/twilio/voice")
    stream = gateway.calls.begin("token-1", 0.0)
    assert stream is not None
    gateway.calls.finish(stream, "hangup")

    answers = [await gateway.post("/twilio/after", changed(FORM, CallStatus="in-progress")) for _ in range(2)]

    assert answers == [Answer(200, twiml.hang_up().encode(), twiml.CONTENT_TYPE)] * 2


async def test_news_of_a_stream_are_passed_on() -> None:
    gateway = Gateway()
    news = (
        ("CallSid", CALL),
        ("AccountSid", ACCOUNT),
        ("StreamEvent", "stream-error"),
        ("StreamError", "31920"),
    )

    answer = await gateway.post("/twilio/status", news)

    assert answer == Answer(204, b"")
    assert gateway.streams == [(CALL, "stream-error", "31920")]


async def test_news_of_a_call_that_is_over_spare_the_hanging_up() -> None:
    gateway = Gateway()
    await gateway.post("/twilio/voice")
    stream = gateway.calls.begin("token-1", 0.0)
    assert stream is not None
    gateway.calls.finish(stream, "hangup")

    answer = await gateway.post("/twilio/status", changed(FORM, CallStatus="completed"))

    assert answer == Answer(204, b"")
    assert gateway.streams == []
    assert gateway.calls.last_word(stream, 1.0) is None
