import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.errors import RemoteProtocolError
from gateway.wire.sdp import crypto
from gateway.wire.sdp.crypto import Crypto, hide_keys

KEY = bytes(range(30))
INLINE = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd"
SUITE = "AES_CM_128_HMAC_SHA1_80"


def test_a_key_is_read():
    read = crypto.decode(f"1 {SUITE} inline:{INLINE}")

    assert read == Crypto(tag=1, suite=SUITE, key=KEY)
    assert read.usable


@pytest.mark.parametrize(
    ("behind", "lifetime", "mki"),
    [
        ("|2^20", 2**20, None),
        ("|1048576", 2**20, None),
        ("|2^31|1:4", 2**31, (1, 4)),
        ("|1:32", None, (1, 32)),
    ],
)
def test_lifetime_and_key_number_are_known_by_their_form(
    behind: str, lifetime: int | None, mki: tuple[int, int] | None
):
    read = crypto.decode(f"1 {SUITE} inline:{INLINE}{behind}")

    assert (read.lifetime, read.mki) == (lifetime, mki)


@pytest.mark.parametrize(
    "value",
    [
        f"1 AES_256_CM_HMAC_SHA1_80 inline:{INLINE}",  # PJSIP has it first
        f"1 {SUITE} inline:{INLINE}|1:4",  # its packets would carry the key's number
        f"1 {SUITE} inline:{INLINE}|2^10",  # over after 20 seconds
        f"1 {SUITE} inline:{INLINE[:-4]}",  # too short a key
        f"1 {SUITE} inline:{INLINE} UNENCRYPTED_SRTP",
        f"1 {SUITE} inline:{INLINE} KDR=1",
    ],
)
def test_what_we_cannot_do_is_read_and_not_used(value: str):
    assert not crypto.decode(value).usable


def test_advice_and_what_may_be_ignored_does_not_stand_in_the_way():
    assert crypto.decode(f"1 {SUITE} inline:{INLINE}|2^48 WSH=64 -X=1").usable


def test_a_key_without_its_padding_is_read():
    assert crypto.decode("1 AEAD_AES_128_GCM inline:" + "A" * 38).usable


@pytest.mark.parametrize(
    "value",
    [
        "",
        f"1 {SUITE}",
        f"x {SUITE} inline:{INLINE}",
        f"1 {SUITE} clear:{INLINE}",
        f"1 {SUITE} inline:{INLINE};inline:{INLINE}",
        f"1 {SUITE} inline:{INLINE}|forever",
        f"1 {SUITE} inline:no-base64!",
        f"1 {SUITE} inline:A",
    ],
)
def test_what_is_no_key_is_a_remote_protocol_error_that_does_not_tell_it(value: str):
    with pytest.raises(RemoteProtocolError) as raised:
        crypto.decode(value)

    assert INLINE not in str(raised.value)


@given(st.text(max_size=80) | st.text(max_size=40).map(lambda text: f"1 {SUITE} inline:{text}"))
def test_any_text_is_a_key_or_a_remote_protocol_error(value: str):
    try:
        read = crypto.decode(value)
    except RemoteProtocolError:
        return

    assert isinstance(read.usable, bool)


@given(
    st.builds(
        Crypto,
        tag=st.integers(0, 10**9 - 1),
        suite=st.sampled_from(sorted(crypto.SUITES)),
        key=st.binary(min_size=1, max_size=50),
        lifetime=st.none() | st.integers(1, 2**48),
        mki=st.none() | st.tuples(st.integers(0, 10**6), st.integers(1, 128)),
        parameters=st.lists(st.sampled_from(["WSH=64", "KDR=1"]), max_size=2).map(tuple),
    )
)
def test_a_key_comes_back_as_it_was_written(one: Crypto):
    assert crypto.decode(crypto.encode(one)) == one


def test_a_key_is_in_no_repr():
    one = Crypto(tag=1, suite=SUITE, key=KEY)

    assert repr(KEY)[2:-1] not in repr([one])
    assert "hidden" in repr(msgspec.structs.replace(one, tag=2))


def test_what_is_logged_has_no_key():
    text = (
        f"a=crypto:1 {SUITE} inline:{INLINE}|2^20|1:4\r\na=crypto:2 {SUITE} inline:{INLINE}\r\na=sendrecv\r\n"
    )

    hidden = hide_keys(text)

    assert INLINE not in hidden
    assert hidden.count("inline:hidden") == 2
    assert hidden.endswith("\r\na=sendrecv\r\n")


@pytest.mark.parametrize("written", ["INLINE:", "Inline:", "inline: "])
def test_what_is_logged_has_no_key_however_it_was_written(written: str):
    assert INLINE not in hide_keys(f"a=crypto:1 {SUITE} {written}{INLINE}")
