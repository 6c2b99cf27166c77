import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.sdp.agreement import Agreed, NotAcceptable, OurMedia, SrtpPolicy
from gateway.wire.sdp.description import decode, encode
from gateway.wire.sdp.media import Direction
from tests.wire.sdp_peers import ASTERISK, OURS, PJSIP, SIPP, description, our_side


def agreed(*offer: str) -> Agreed:
    session = our_side()
    session.answer(description(*offer))
    assert session.agreed is not None
    return session.agreed


# -- answers ------------------------------------------------------------------------------------------


def test_an_answer_is_what_telephones_expect():
    answer = our_side().answer(description(*ASTERISK))

    assert encode(answer).decode().splitlines() == [
        "v=0",
        "o=- 1000 1000 IN IP4 198.51.100.1",
        "s=-",
        "c=IN IP4 198.51.100.1",
        "t=0 0",
        "m=audio 10000 RTP/AVP 0 101",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=ptime:20",
        "a=sendrecv",
    ]


@pytest.mark.parametrize(("offer", "codec", "number"), [(ASTERISK, "pcmu", 0), (SIPP, "pcma", 8)])
def test_the_codec_is_the_one_that_the_offerer_prefers(offer: tuple[str, ...], codec: str, number: int):
    terms = agreed(*offer)

    assert (terms.codec, terms.payload_type) == (codec, number)


def test_events_come_and_go_by_the_number_that_was_offered():
    terms = agreed(*PJSIP)

    assert terms.event_payload_type == 120
    assert terms.receives == {0: "pcmu", 120: "telephone-event"}


def test_events_of_two_clocks_are_those_of_8000_hz():
    terms = agreed(
        "m=audio 4000 RTP/AVP 0 96 97",
        "a=rtpmap:96 telephone-event/48000",
        "a=rtpmap:97 telephone-event/8000",
    )

    assert terms.event_payload_type == 97


def test_without_events_there_are_none():
    terms = agreed("m=audio 4000 RTP/AVP 0")

    assert (terms.event_payload_type, terms.receives) == (None, {0: "pcmu"})


def test_comfort_noise_that_is_offered_may_come():
    assert agreed("m=audio 4000 RTP/AVP 0 13").receives == {0: "pcmu", 13: "cn"}


def test_a_codec_may_have_any_number():
    terms = agreed("m=audio 4000 RTP/AVP 18 97", "a=rtpmap:97 pcma/8000")

    assert (terms.codec, terms.payload_type) == ("pcma", 97)


def test_audio_goes_to_the_address_of_its_own_line():
    terms = agreed("m=audio 4000 RTP/AVP 0", "c=IN IP4 203.0.113.9")

    assert (terms.address, terms.port) == ("203.0.113.9", 4000)


def test_an_address_is_told_as_sockets_write_it():
    session = our_side(OurMedia(address="2001:db8::9", port=10_000))

    session.answer(description("m=audio 4000 RTP/AVP 0", "c=IN IP6 2001:0DB8:0:0::1"))

    assert session.agreed is not None
    assert session.agreed.address == "2001:db8::1"


def test_reports_go_to_the_port_above_unless_the_offer_says_otherwise():
    plain = agreed("m=audio 4000 RTP/AVP 0")
    elsewhere = agreed("m=audio 4000 RTP/AVP 0", "a=rtcp:5555 IN IP4 203.0.113.9")
    shared = agreed("m=audio 4000 RTP/AVP 0", "a=rtcp-mux")

    assert (plain.rtcp_address, plain.rtcp_port) == ("192.0.2.1", 4001)
    assert (elsewhere.rtcp_address, elsewhere.rtcp_port) == ("203.0.113.9", 5555)
    assert (shared.rtcp_address, shared.rtcp_port) == ("192.0.2.1", 4000)


def test_every_medium_has_its_answer_in_its_place():
    offer = description(
        "m=video 5000 RTP/AVP 97",
        "m=image 9 udptl t38",
        *ASTERISK,
        "m=audio 6000 RTP/AVP 8",
        "m=text 0 RTP/AVP 98",
    )

    answer = our_side().answer(offer)

    assert [(media.kind, media.port, media.protocol, media.formats) for media in answer.media] == [
        ("video", 0, "RTP/AVP", ("97",)),
        ("image", 0, "udptl", ("t38",)),
        ("audio", 10_000, "RTP/AVP", ("0", "101")),
        ("audio", 0, "RTP/AVP", ("8",)),
        ("text", 0, "RTP/AVP", ("98",)),
    ]


def test_a_medium_that_is_refused_anyway_need_not_be_right():
    offer = description(
        *(
            "m=video 5000 RTP/AVP",
            "m=video 5002 RTP/AVP 97",
            "c=IN IP4",
            "m=audio 0 RTP/AVP",
            "c=none",
            "m=video x RTP/AVP 97",
        ),
        *ASTERISK,
    )

    answer = our_side().answer(offer)

    assert [(media.kind, media.port, media.formats) for media in answer.media] == [
        ("video", 0, ("0",)),
        ("video", 0, ("97",)),
        ("audio", 0, ("0",)),
        ("video", 0, ("97",)),
        ("audio", 10_000, ("0", "101")),
    ]


def test_a_protocol_may_be_written_in_small_letters_and_is_answered_so():
    answer = our_side().answer(description("m=image 0 udptl t38", "m=audio 4000 rtp/avp 0"))

    assert [media.protocol for media in answer.media] == ["udptl", "rtp/avp"]


def test_an_answer_may_write_our_protocol_in_small_letters():
    session = our_side()
    session.offer()

    assert session.take_answer(description("m=audio 4000 Rtp/Avp 0")).codec == "pcmu"


@pytest.mark.parametrize(
    ("lines", "lacking"),
    [
        ((), "no medium"),
        (("m=video 5000 RTP/AVP 97",), "no audio"),
        (("m=audio 0 RTP/AVP 0",), "no audio"),
        (("m=audio 4000 RTP/AVP 18 9",), "no G.711"),
        (("m=audio 4000 RTP/AVP 96", "a=rtpmap:96 PCMU/16000"), "no G.711"),
        (("m=audio 4000 RTP/AVP 96", "a=rtpmap:96 PCMU/8000/2"), "no G.711"),
        (("m=audio 4000 UDP/TLS/RTP/SAVPF 0",), "UDP/TLS/RTP/SAVPF"),
        (("m=audio 4000 RTP/AVP 0", "c=IN IP4 phone.example.com"), "IP address"),
        (("m=audio 4000 RTP/AVP 0", "c=IN IP4 224.2.1.1/127"), "IP address"),
    ],
)
def test_what_cannot_be_agreed_says_what_lacked(lines: tuple[str, ...], lacking: str):
    session = our_side()

    with pytest.raises(NotAcceptable, match=lacking):
        session.answer(description(*lines))

    assert session.agreed is None


def test_an_offer_without_any_address_is_not_acceptable():
    offer = decode(b"v=0\no=- 1 1 IN IP4 h\nm=audio 4000 RTP/AVP 0\n")

    with pytest.raises(NotAcceptable, match="IP address"):
        our_side().answer(offer)


# -- versions -----------------------------------------------------------------------------------------


def test_an_answer_to_the_same_offer_is_the_same_version():
    session = our_side()

    first = session.answer(description(*ASTERISK))
    second = session.answer(description(*ASTERISK))

    assert encode(second) == encode(first)


def test_an_answer_that_differs_is_the_next_version():
    session = our_side()

    first = session.answer(description(*ASTERISK))
    second = session.answer(description(*ASTERISK[:-1], "a=sendonly"))

    assert second.origin.version == first.origin.version + 1
    assert second.origin.session_id == first.origin.session_id


def test_an_offer_that_fails_changes_nothing():
    session = our_side()
    first = session.answer(description(*ASTERISK))
    stood = session.agreed

    with pytest.raises(NotAcceptable):
        session.answer(description("m=audio 4000 RTP/AVP 18"))

    assert session.agreed is stood
    assert encode(session.answer(description(*ASTERISK))) == encode(first)


# -- offers -------------------------------------------------------------------------------------------


def test_our_offer_has_both_laws_and_events():
    offer = our_side().offer()

    assert encode(offer).decode().splitlines()[5:] == [
        "m=audio 10000 RTP/AVP 0 8 101",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=ptime:20",
        "a=sendrecv",
    ]


def test_an_answer_to_ours_is_taken():
    session = our_side()
    session.offer()

    terms = session.take_answer(
        description(
            "m=audio 16000 RTP/AVP 8 101", "a=rtpmap:8 PCMA/8000", "a=rtpmap:101 telephone-event/8000"
        )
    )

    assert session.agreed is terms
    assert (terms.codec, terms.address, terms.port) == ("pcma", "192.0.2.1", 16_000)
    assert terms.receives == {8: "pcma", 101: "telephone-event"}


def test_each_side_is_sent_its_own_numbers():
    session = our_side()
    session.offer()

    terms = session.take_answer(description("m=audio 16000 RTP/AVP 0 96", "a=rtpmap:96 telephone-event/8000"))

    assert terms.event_payload_type == 96
    assert terms.receives[101] == "telephone-event"


def test_we_send_what_the_answer_prefers_and_take_all_that_it_has():
    session = our_side()
    session.offer()

    terms = session.take_answer(description("m=audio 16000 RTP/AVP 8 0"))

    assert terms.codec == "pcma"
    assert terms.receives == {0: "pcmu", 8: "pcma"}


@pytest.mark.parametrize(
    ("lines", "lacking"),
    [
        ((), "leaves out"),
        (("m=audio 0 RTP/AVP 0",), "refuses"),
        (("m=audio 4000 RTP/SAVP 0",), "RTP/SAVP"),
        (("m=audio 4000 RTP/AVP 18",), "no codec"),
    ],
)
def test_an_answer_that_fits_no_offer_is_not_acceptable(lines: tuple[str, ...], lacking: str):
    session = our_side()
    session.offer()

    with pytest.raises(NotAcceptable, match=lacking):
        session.take_answer(description(*lines))

    assert session.agreed is None


def test_a_second_offer_waits_for_the_answer_to_the_first():
    session = our_side()
    session.offer()

    with pytest.raises(ValueError, match="no answer yet"):
        session.offer()


def test_an_offer_that_crosses_ours_is_not_answered():
    session = our_side()
    session.offer()

    with pytest.raises(ValueError, match="waits for its answer"):
        session.answer(description(*ASTERISK))


def test_the_answer_of_early_media_may_be_followed_by_that_of_another_fork():
    session = our_side()
    session.offer()

    early = session.take_answer(description("m=audio 16000 RTP/AVP 8"))
    final = session.take_answer(description("m=audio 18000 RTP/AVP 0", address="192.0.2.50"))

    assert (early.codec, early.port) == ("pcma", 16_000)
    assert (final.codec, final.address, final.port) == ("pcmu", "192.0.2.50", 18_000)
    assert session.agreed is final


def test_after_an_answer_that_does_not_fit_the_offer_still_waits():
    session = our_side()
    session.offer()
    with pytest.raises(NotAcceptable):
        session.take_answer(description("m=audio 4000 RTP/AVP 18"))

    assert session.take_answer(description("m=audio 16000 RTP/AVP 8")).codec == "pcma"


def test_an_answer_nobody_asked_for_is_our_error():
    with pytest.raises(ValueError, match="without an offer"):
        our_side().take_answer(description(*ASTERISK))


# -- sessions that go on ------------------------------------------------------------------------------


def test_an_offer_of_ours_that_was_refused_leaves_all_as_it_was():
    session = our_side()
    session.answer(description(*ASTERISK))
    stood = session.agreed
    session.ours = msgspec.structs.replace(OURS, direction=Direction.SENDONLY)
    session.offer()

    session.withdraw()

    assert session.agreed is stood
    assert session.answer(description(*ASTERISK)).media[0].port == OURS.port


def test_an_offer_of_ours_keeps_the_lines_and_numbers_of_the_session():
    session = our_side()
    session.answer(description("m=video 5000 RTP/AVP 97", *PJSIP))

    offer = session.offer()

    assert [(media.kind, media.port) for media in offer.media] == [("video", 0), ("audio", 10_000)]
    assert offer.media[1].find("telephone-event") == 120


def test_media_that_moves_is_offered_as_another_version():
    session = our_side()
    before = session.answer(description(*ASTERISK))

    session.ours = msgspec.structs.replace(OURS, port=12_000)
    offer = session.offer()

    assert offer.media[0].port == 12_000
    assert offer.origin.version == before.origin.version + 1


def test_the_peer_may_move_its_media():
    session = our_side()
    first = session.answer(description(*ASTERISK))

    second = session.answer(
        description("m=audio 20000 RTP/AVP 0 101", *ASTERISK[1:], address="192.0.2.99", version=2)
    )

    assert session.agreed is not None
    assert (session.agreed.address, session.agreed.port) == ("192.0.2.99", 20_000)
    assert encode(second) == encode(first)


def test_the_codec_may_change():
    session = our_side()
    session.answer(description(*ASTERISK))

    session.answer(description(*SIPP, version=2))

    assert session.agreed is not None
    assert session.agreed.codec == "pcma"


@given(
    st.lists(
        st.sampled_from(
            (*ASTERISK, *PJSIP, "m=audio 1 RTP/SAVP 8 0", "c=IN IP4 0.0.0.0", "a=inactive", "m=video 0 X 1")
        ),
        max_size=12,
    ),
    st.sampled_from(list(SrtpPolicy)),
)
def test_any_offer_is_answered_line_by_line_or_not_acceptable(lines: list[str], policy: SrtpPolicy):
    media = [line for line in lines if line.startswith("m=")]
    offer = description(*(media[:1] + lines if media else []))
    session = our_side(OurMedia(address="198.51.100.1", port=10_000, srtp=policy))

    try:
        answer = session.answer(offer)
    except NotAcceptable:
        assert session.agreed is None
        return

    assert len(answer.media) == len(offer.media)
    assert sum(media.port > 0 for media in answer.media) == 1
    assert decode(encode(answer)) == answer
    assert session.agreed is not None
    assert (session.agreed.srtp is not None) >= (policy is SrtpPolicy.REQUIRED)
