"""X-Twilio-Signature, against the vectors of Twilio's documentation and Twilio's own validator."""

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]  # no stubs exist

from gateway.carriers.twilio.public_url import PublicUrl
from gateway.carriers.twilio.signature import SignatureCheck, sign

TOKEN = "12345"
FORM = (
    ("CallSid", "CA1234567890ABCDE"),
    ("Caller", "+12349013030"),
    ("Digits", "1234"),
    ("From", "+12349013030"),
    ("To", "+18005551212"),
)
FORM_SIGNATURE = "0/KCTR6DLpKmkAf8muzZqo1nDgQ="
WEBSOCKET_SIGNATURE = "h1GDe9X4/sxGZmaZfzZVvygMML0="


def check(url: str = "https://gw.example.com", tokens: Sequence[str] = (TOKEN,)) -> SignatureCheck:
    return SignatureCheck(tokens, PublicUrl(url))


def test_the_documented_form_has_the_documented_signature() -> None:
    assert check("https://mycompany.com").accepts_form("/myapp.php?foo=1&bar=2", FORM, FORM_SIGNATURE)


def test_the_known_upgrade_has_the_known_signature_over_wss() -> None:
    assert check("https://example.com").accepts_upgrade("/audiostream", WEBSOCKET_SIGNATURE)
    assert not check("https://example.com").accepts_form("/audiostream", (), WEBSOCKET_SIGNATURE)


def test_a_changed_field_target_or_signature_is_refused() -> None:
    mine = check("https://mycompany.com")

    assert not mine.accepts_form("/myapp.php?foo=1&bar=2", (*FORM, ("Extra", "")), FORM_SIGNATURE)
    assert not mine.accepts_form("/myapp.php?foo=1&bar=3", FORM, FORM_SIGNATURE)
    assert not mine.accepts_form("/myapp.php?foo=1&bar=2", FORM, FORM_SIGNATURE.swapcase())


@pytest.mark.parametrize("signature", ["", "=", "é", "\udce9", "0/KCTR6DLpKmkAf8muzZqo1nDgQ", "x" * 10_000])
def test_any_text_may_stand_where_the_signature_should(signature: str) -> None:
    assert not check().accepts_upgrade("/twilio/media/x", signature)


def test_while_a_token_is_rotated_the_old_and_the_new_one_count() -> None:
    url = "https://gw.example.com/twilio/voice"
    rotating = check(tokens=("old", "new"))

    assert rotating.accepts_form("/twilio/voice", FORM, sign("old", url, FORM))
    assert rotating.accepts_form("/twilio/voice", FORM, sign("new", url, FORM))
    assert not rotating.accepts_form("/twilio/voice", FORM, sign("older", url, FORM))


@pytest.mark.parametrize("tokens", [(), ("",), ("a", "")])
def test_without_a_token_there_is_no_check(tokens: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="token"):
        check(tokens=tokens)


@pytest.mark.parametrize(
    "url", ["https://gw.example.com", "https://gw.example.com:443", "https://gw.example.com:8443"]
)
def test_twilio_may_sign_with_the_port_or_without(url: str) -> None:
    port = ":8443" if url.endswith(":8443") else ":443"
    mine = check(url)

    for signed in ("gw.example.com", "gw.example.com" + port):
        assert mine.accepts_form("/twilio/voice", FORM, sign(TOKEN, f"https://{signed}/twilio/voice", FORM))
        assert mine.accepts_upgrade("/twilio/media/x", sign(TOKEN, f"wss://{signed}/twilio/media/x"))


def test_the_port_of_wss_is_443_where_the_vendors_helper_says_80() -> None:
    assert not check().accepts_upgrade(
        "/twilio/media/x", sign(TOKEN, "wss://gw.example.com:80/twilio/media/x")
    )


@pytest.mark.parametrize(
    ("url", "signed"),
    [
        ("https://[2001:db8::1]", "https://[2001:db8::1]:443/x"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]/x"),
        ("https://user:pw@gw.example.com", "https://user:pw@gw.example.com:443/x"),
        ("https://user:pw@gw.example.com:8443", "https://user:pw@gw.example.com/x"),
    ],
)
def test_ports_of_addresses_and_logins_are_found_where_the_vendors_helper_fails(
    url: str, signed: str
) -> None:
    assert check(url).accepts_form("/x", (), sign(TOKEN, signed))


def test_a_path_that_a_proxy_takes_off_is_part_of_what_is_signed() -> None:
    signature = sign(TOKEN, "https://example.com/gw/twilio/voice", FORM)

    assert check("https://example.com/gw/").accepts_form("/twilio/voice", FORM, signature)
    assert not check("https://example.com").accepts_form("/twilio/voice", FORM, signature)


# -- Twilio's own validator as the oracle


class Fields(dict[str, str]):
    """A form as web frameworks hand it to the vendor's validator."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        super().__init__(pairs)
        self._pairs = pairs

    def getall(self, name: str) -> list[str]:
        return [value for key, value in self._pairs if key == name]


_text = st.text(st.characters(codec="utf-8"), max_size=8)
_pairs = st.lists(st.tuples(st.sampled_from(["a", "A", "To", "From", ""]) | _text, _text), max_size=8)
_targets = st.from_regex(r"\A/[a-z/]{0,12}(\?[a-z=&]{1,8})?\Z")
_hosts = st.sampled_from(["gw.example.com", "gw.example.com:443", "gw.example.com:8443", "GW.example.com"])


@given(token=_text.filter(bool), host=_hosts, target=_targets, pairs=_pairs)
@example(token="t", host="gw.example.com", target="/x", pairs=[("a", "2"), ("a", "1"), ("a", "2")])
def test_our_signature_is_the_vendors(
    token: str, host: str, target: str, pairs: list[tuple[str, str]]
) -> None:
    url = f"https://{host}{target}"

    assert sign(token, url, pairs) == RequestValidator(token).compute_signature(url, Fields(pairs))


@given(
    host=_hosts,
    target=_targets,
    pairs=_pairs,
    signed_host=st.sampled_from(
        ["gw.example.com", "gw.example.com:443", "gw.example.com:8443", "evil.example.com"]
    ),
    signed_pairs=st.none() | _pairs,
    token=st.sampled_from([TOKEN, "another"]),
)
def test_a_webhook_is_accepted_exactly_when_the_vendors_validator_accepts_it(
    *,
    host: str,
    target: str,
    pairs: list[tuple[str, str]],
    signed_host: str,
    signed_pairs: list[tuple[str, str]] | None,
    token: str,
) -> None:
    form = Fields(pairs if signed_pairs is None else signed_pairs)
    signature = RequestValidator(token).compute_signature(f"https://{signed_host}{target}", form)

    vendor = RequestValidator(TOKEN).validate(f"https://{host}{target}", Fields(pairs), signature)

    assert check(f"https://{host}").accepts_form(target, pairs, signature) == vendor


# -- where we are found


def test_a_gateway_on_https_streams_on_wss() -> None:
    url = PublicUrl("https://gw.example.com/")

    assert url.http("/twilio/after") == "https://gw.example.com/twilio/after"
    assert url.websocket("/twilio/media/x") == "wss://gw.example.com/twilio/media/x"


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1:8080", "[::1]:8080"])
def test_a_gateway_on_the_loopback_may_do_without_tls(host: str) -> None:
    assert PublicUrl(f"http://{host}").websocket("/x") == f"ws://{host}/x"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "gw.example.com",
        "http://gw.example.com",
        "http://10.0.0.1",
        "ftp://localhost",
        "wss://gw.example.com",
        "https://",
        "https://gw.example.com:",
        "https://gw.example.com/?a=1",
        "https://gw.example.com/#x",
        "https://gw.example.com:99999",
        "https://[::1",
    ],
)
def test_what_twilio_cannot_stream_to_is_no_public_url(url: str) -> None:
    with pytest.raises(ValueError):
        PublicUrl(url)
