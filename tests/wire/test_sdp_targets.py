"""Where a description may have us send audio: to one host that can be reached from here, which is not ourselves."""

from typing import Any

import pytest

from gateway.wire.sdp.agreement import NotAcceptable, OurMedia
from tests.wire.sdp_peers import OURS, description, our_side

LINE = "m=audio 4000 RTP/AVP 0"


@pytest.mark.parametrize(
    "line",
    [
        "c=IN IP4 127.0.0.1",
        "c=IN IP4 127.8.8.8",
        "c=IN IP4 255.255.255.255",
        "c=IN IP4 239.1.1.1",
        "c=IN IP6 ::1",
        "c=IN IP6 2001:db8::1",  # we have no socket that it could go by
    ],
)
def test_audio_goes_to_no_address_of_this_machine_of_crowds_or_of_another_version(line: str):
    with pytest.raises(NotAcceptable, match="could send to"):
        our_side().answer(description(LINE, line))


def test_audio_does_not_go_to_where_it_comes_from():
    with pytest.raises(NotAcceptable):
        our_side().answer(description(f"m=audio {OURS.port} RTP/AVP 0", f"c=IN IP4 {OURS.address}"))


@pytest.mark.parametrize("ours", [{"address": "127.0.0.1"}, {"address": "198.51.100.1", "near": True}])
def test_on_one_machine_two_who_use_its_own_address_can_talk(ours: dict[str, Any]):
    session = our_side(OurMedia(**ours, port=10_000))

    session.answer(description(LINE, "c=IN IP4 127.0.0.1"))

    assert session.agreed is not None
    assert session.agreed.address == "127.0.0.1"


def test_of_two_lines_the_one_is_taken_that_can_be_sent_to():
    session = our_side()

    session.answer(
        description(LINE, "c=IN IP6 2001:db8::1", "m=audio 4002 RTP/AVP 0", "c=IN IP4 203.0.113.9")
    )

    assert session.agreed is not None
    assert (session.agreed.address, session.agreed.port) == ("203.0.113.9", 4002)


@pytest.mark.parametrize("where", ["127.0.0.1", "224.0.0.1", "::1"])
def test_reports_that_could_not_go_where_they_are_wanted_go_to_the_audios_address(where: str):
    session = our_side()
    kind = "IP6" if ":" in where else "IP4"

    session.answer(description(LINE, "c=IN IP4 203.0.113.9", f"a=rtcp:53 IN {kind} {where}"))

    assert session.agreed is not None
    assert session.agreed.rtcp_address == "203.0.113.9"
