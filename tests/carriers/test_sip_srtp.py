"""SRTP both ways: what one side protects the other opens, and nothing else is opened."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.carriers.sip.srtp import SrtpReceiver, SrtpSender
from gateway.wire import rtcp
from gateway.wire.sdp.crypto import SUITES, Crypto

VECTOR = json.loads((Path(__file__).parent / "data" / "srtp_vectors.json").read_text())[0]
SUITE = "AES_CM_128_HMAC_SHA1_80"
REPORT = rtcp.encode((rtcp.ReceiverReport(ssrc=1),))
TURN = 0x10000


def crypto(seed: int = 0, suite: str = SUITE) -> Crypto:
    return Crypto(tag=1, suite=suite, key=random.Random(seed).randbytes(SUITES[suite]))


def packet(sequence: int, ssrc: int = 1) -> bytes:
    head = b"\x80\x00" + (sequence % TURN).to_bytes(2) + (sequence * 160 % 2**32).to_bytes(4)
    return head + ssrc.to_bytes(4) + b"\x55" * 160


class Far:
    """Their side. It begins each key as the RFC of SDES has it that names a new address: at turn 0."""

    def __init__(self, seed: int = 0) -> None:
        self.sender = SrtpSender(crypto(seed))

    def rtp(self, sequence: int, ssrc: int = 1) -> bytes:
        data = self.sender.protect(packet(sequence, ssrc))
        assert data is not None
        return data

    def rtcp(self) -> bytes:
        data = self.sender.protect(REPORT, rtcp=True)
        assert data is not None
        return data


def turned(far: Far, ours: SrtpReceiver, to: int) -> None:
    """So many packets pass, of which every 10 000th is enough to keep count."""
    for sequence in [*range(0, to, 10_000), to]:
        assert ours.unprotect(far.rtp(sequence)) == packet(sequence)


def test_a_packet_is_protected_as_libsrtp_has_it_for_the_key_of_the_rfc():
    key = Crypto(tag=1, suite=SUITE, key=bytes.fromhex(VECTOR["master_key_salt"]))

    protected = SrtpSender(key).protect(bytes.fromhex(VECTOR["plain"]))

    assert protected == bytes.fromhex(VECTOR["protected"])
    assert SrtpReceiver(key).unprotect(protected) == bytes.fromhex(VECTOR["plain"])


@pytest.mark.parametrize(
    ("suite", "tag_bytes", "rtcp_tag_bytes"),
    [
        ("AES_CM_128_HMAC_SHA1_80", 10, 14),
        ("AES_CM_128_HMAC_SHA1_32", 4, 14),  # RFC 4568 §6.2.2: that of RTCP stays at 80 bits
        ("AEAD_AES_128_GCM", 16, 20),
        ("AEAD_AES_256_GCM", 16, 20),
    ],
)
def test_every_suite_protects_rtp_and_rtcp(suite: str, tag_bytes: int, rtcp_tag_bytes: int):
    sender, receiver = SrtpSender(crypto(suite=suite)), SrtpReceiver(crypto(suite=suite))

    rtp, report = sender.protect(packet(1)), sender.protect(REPORT, rtcp=True)

    assert rtp is not None
    assert report is not None
    assert (len(rtp) - len(packet(1)), len(report) - len(REPORT)) == (tag_bytes, rtcp_tag_bytes)
    assert (receiver.unprotect(rtp), receiver.unprotect(report, rtcp=True)) == (packet(1), REPORT)
    assert packet(1)[12:] not in rtp


def test_the_sequence_number_may_turn_again_and_again():
    far, ours = Far(), SrtpReceiver(crypto())

    turned(far, ours, 5 * TURN)

    assert ours.failures == 0


def test_what_came_before_is_refused():
    far, ours = Far(), SrtpReceiver(crypto())
    data, report = far.rtp(7), far.rtcp()

    first = [ours.unprotect(data), ours.unprotect(report, rtcp=True)]
    again = [ours.unprotect(data), ours.unprotect(report, rtcp=True)]

    assert (first, again, ours.failures) == ([packet(7), REPORT], [None, None], 2)


def test_packets_out_of_order_are_taken():
    far, ours = Far(), SrtpReceiver(crypto())
    sent = [far.rtp(65_530 + n) for n in range(12)]
    random.Random(3).shuffle(sent)

    opened = [ours.unprotect(data) for data in sent]

    assert (None in opened, ours.failures) == (False, 0)


def test_another_key_opens_nothing():
    ours = SrtpReceiver(crypto(1))

    opened = [ours.unprotect(Far(2).rtp(n)) for n in range(100)]

    assert (set(opened), ours.failures) == ({None}, 100)


def test_their_source_may_become_another_and_come_back():
    far, ours = Far(), SrtpReceiver(crypto())
    turned(far, ours, 2 * TURN)

    others = [ours.unprotect(far.rtp(n, ssrc=2)) for n in range(10)]
    back = ours.unprotect(far.rtp(2 * TURN + 1))

    assert others == [packet(n, ssrc=2) for n in range(10)]
    assert back == packet(2 * TURN + 1)


def test_any_number_of_sources_is_taken_and_few_are_remembered():
    far, ours = Far(), SrtpReceiver(crypto())

    opened = [ours.unprotect(far.rtp(5, ssrc)) for ssrc in range(1, 200)]
    forgotten, remembered = ours.unprotect(Far().rtp(5, ssrc=1)), ours.unprotect(Far().rtp(5, ssrc=199))

    assert (None in opened, forgotten is None, remembered is None) == (False, False, True)


# -- other keys


def test_the_same_key_again_changes_nothing():
    far, ours = Far(), SrtpReceiver(crypto())
    turned(far, ours, TURN + 5)
    seen = far.rtp(TURN + 6)
    ours.unprotect(seen)

    ours.take(crypto())
    far.sender.take(crypto())

    assert (ours.unprotect(seen), ours.unprotect(far.rtp(TURN + 7))) == (None, packet(TURN + 7))


def test_under_another_key_the_turns_go_on():
    far, ours = Far(), SrtpReceiver(crypto())
    turned(far, ours, 3 * TURN + 5)

    ours.take(crypto(1))
    far.sender.take(crypto(1))

    opened = [ours.unprotect(far.rtp(3 * TURN + n)) for n in range(6, 100)]
    assert (None in opened, ours.failures) == (False, 0)


def test_the_first_packet_under_another_key_may_be_the_first_of_a_turn():
    far, ours = Far(), SrtpReceiver(crypto())
    turned(far, ours, TURN - 1)

    ours.take(crypto(1))
    far.sender.take(crypto(1))

    assert ours.unprotect(far.rtp(TURN)) == packet(TURN)


def test_under_another_key_the_turns_may_begin_anew():
    far, ours = Far(), SrtpReceiver(crypto())
    turned(far, ours, 3 * TURN + 5)

    ours.take(crypto(1))
    begun_anew = Far(1)

    opened = [ours.unprotect(begun_anew.rtp(n)) for n in (*range(6, 100), *range(5000, TURN + 100, 5000))]
    assert (None in opened, ours.failures) == (False, 0)


def test_turns_that_began_anew_are_those_that_the_next_key_goes_on_with():
    far, ours = Far(), SrtpReceiver(crypto())
    turned(far, ours, 3 * TURN + 5)
    ours.take(crypto(1))
    begun_anew = Far(1)
    for sequence in (*range(6, TURN, 9000), TURN + 20):
        ours.unprotect(begun_anew.rtp(sequence))

    ours.take(crypto(2))
    begun_anew.sender.take(crypto(2))

    assert ours.unprotect(begun_anew.rtp(TURN + 21)) == packet(TURN + 21)


def test_what_is_under_way_under_the_old_key_is_taken_until_the_new_one_is_in_use():
    far, ours = Far(), SrtpReceiver(crypto())
    ours.unprotect(far.rtp(1))
    under_way = [far.rtp(2), far.rtp(3), far.rtp(4)]

    ours.take(crypto(1))
    old = [ours.unprotect(data) for data in under_way[:2]]
    new = ours.unprotect(Far(1).rtp(5))
    late = ours.unprotect(under_way[2])

    assert (old, new, late) == ([packet(2), packet(3)], packet(5), None)


def test_numbers_that_turn_without_end_do_not_make_another_key_costly():
    far, ours = Far(), SrtpReceiver(crypto())
    for sequence in range(0, 100 * TURN, 0x7000):
        ours.unprotect(far.rtp(sequence))

    ours.take(crypto(1))

    assert ours.unprotect(Far(1).rtp(5)) == packet(5)


def test_a_report_does_not_tell_which_turn_it_is():
    far, ours = Far(), SrtpReceiver(crypto())
    turned(far, ours, 3 * TURN)
    ours.take(crypto(1))
    begun_anew = Far(1)

    report = ours.unprotect(begun_anew.rtcp(), rtcp=True)

    assert (report, ours.unprotect(begun_anew.rtp(1))) == (REPORT, packet(1))


def test_a_key_that_was_replaced_before_it_was_used_is_forgotten():
    far, ours = Far(), SrtpReceiver(crypto())
    ours.unprotect(far.rtp(1))
    ours.take(crypto(1))
    ours.take(crypto(2))

    opened = [ours.unprotect(data) for data in (Far(1).rtp(2), far.rtp(2), Far(2).rtp(2))]

    assert opened == [None, packet(2), packet(2)]


def test_another_suite_is_another_key():
    gcm = crypto(suite="AEAD_AES_128_GCM")
    sender, receiver = SrtpSender(crypto()), SrtpReceiver(crypto())
    receiver.unprotect(sender.protect(packet(1)) or b"")

    sender.take(gcm)
    receiver.take(gcm)

    assert receiver.unprotect(sender.protect(packet(2)) or b"") == packet(2)


# -- what is none


@given(st.binary(max_size=2000), st.booleans())
def test_any_bytes_are_counted(data: bytes, rtcp: bool):
    ours = SrtpReceiver(crypto())

    assert (ours.unprotect(data, rtcp=rtcp), ours.failures) == (None, 1)


@pytest.mark.parametrize("size", [0, 7, 1490, 65_507])
def test_what_cannot_be_protected_is_counted(size: int):
    ours = SrtpSender(crypto())

    assert (ours.protect(bytes(size)), ours.protect(bytes(size), rtcp=True), ours.failures) == (None, None, 2)


def test_no_key_is_shown():
    key = crypto().key

    shown = repr((SrtpSender(crypto()), SrtpReceiver(crypto())))

    assert not any(form in shown for form in (repr(key), repr(key)[2:-1], key.hex()))
