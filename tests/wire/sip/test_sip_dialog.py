"""What two user agents keep of each other. RFC 3261 §12."""

import pytest

from gateway.wire.sip.dialog import Dialog, DialogId, asked_again, path_of
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.fields import FROM, ROUTE, TO
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.name_addr import NameAddr
from gateway.wire.sip.parser import parse_datagram
from gateway.wire.sip.uri import SipUri, parse_uri
from tests.wire.sip.corpus import CALL_FLOWS

LINES = {
    "Via": "SIP/2.0/UDP anna.example;branch=z9hG4bK1",
    "From": '"Anna" <sip:anna@example.com>;tag=a1',
    "To": "<sip:bob@example.com>",
    "Call-ID": "c1@anna.example",
    "CSeq": "7 INVITE",
    "Max-Forwards": "70",
    "Contact": "<sip:anna@anna.example:5070>",
    "Record-Route": "<sip:near.example;lr>, <sip:far.example;lr>",
}


def message(start_line: str, **lines: str) -> Request | Response:
    """`lines`: in place of those in `LINES`; "" leaves one out."""
    said = LINES | {name.replace("_", "-"): text for name, text in lines.items()}
    text = "".join(f"{name}: {text}\r\n" for name, text in said.items() if text)
    return parse_datagram(f"{start_line}\r\n{text}Content-Length: 0\r\n\r\n".encode())


def invite(uri: str = "sip:bob@example.com", **lines: str) -> Request:
    read = message(f"INVITE {uri} SIP/2.0", **lines)
    assert isinstance(read, Request)
    return read


def response(**lines: str) -> Response:
    said = {"To": "<sip:bob@example.com>;tag=b1", "Contact": "<sip:bob@bob.example>"} | lines
    read = message("SIP/2.0 200 OK", **said)
    assert isinstance(read, Response)
    return read


def served(**lines: str) -> Dialog:
    return Dialog.of_invite(invite(**lines), "b1", first_number=40)


def asked(**lines: str) -> Dialog:
    return Dialog.of_response(invite(), response(**lines))


def routes(request: Request) -> list[str]:
    return request.headers.rows("Route")


# -- where it comes from


def test_both_sides_name_it_by_the_call_and_two_tags():
    assert served().id == DialogId("c1@anna.example", "b1", "a1")
    assert asked().id == DialogId("c1@anna.example", "a1", "b1")


def test_its_server_sends_to_the_contact_of_the_invite_by_the_route_as_it_stands_there():
    bye = served().request("BYE")

    assert str(bye.uri) == "sip:anna@anna.example:5070"
    assert routes(bye) == ["<sip:near.example;lr>", "<sip:far.example;lr>"]
    assert str(served().next_hop) == "sip:near.example;lr"


def test_its_client_sends_to_the_contact_of_the_response_by_the_route_in_reverse():
    bye = asked().request("BYE")

    assert str(bye.uri) == "sip:bob@bob.example"
    assert routes(bye) == ["<sip:far.example;lr>", "<sip:near.example;lr>"]
    assert str(asked().next_hop) == "sip:far.example;lr"


def test_its_server_s_requests_swap_the_parties():
    bye = served().request("BYE")

    assert bye.headers["From"] == "<sip:bob@example.com>;tag=b1"
    assert bye.headers["To"] == '"Anna" <sip:anna@example.com>;tag=a1'


def test_a_response_without_a_contact_leaves_the_uri_that_was_called():
    assert str(asked(Contact="").target) == "sip:bob@example.com"


@pytest.mark.parametrize("contact", ["<sip:bob@192.0.2.1:0>", '"Bob <sip:bob@192.0.2.1>', "<>"])
def test_a_response_with_a_contact_that_nobody_can_read_leaves_the_uri_that_was_called(contact: str):
    assert str(asked(Contact=contact).target) == "sip:bob@example.com"


def test_of_a_route_that_cannot_be_read_whole_the_rest_is_gone_by():
    dialog = asked(Record_Route="<sip:near.example;lr>, <sip:lost.example:0;lr>, <sip:far.example;lr>")

    assert routes(dialog.request("BYE")) == ["<sip:far.example;lr>", "<sip:near.example;lr>"]


def test_an_invite_without_a_contact_leaves_the_uri_that_it_says_it_is_from():
    assert str(served(Contact="", From="<sip:anna@example.com>").target) == "sip:anna@example.com"


def test_an_invite_that_says_nowhere_that_a_request_could_be_sent_to_begins_none():
    with pytest.raises(SipSyntaxError, match="Missing Contact"):
        served(Contact="", From="<tel:+15550001>;tag=a1")


def test_an_invite_whose_contact_is_no_sip_uri_begins_none():
    with pytest.raises(SipSyntaxError, match="No SIP URI"):
        served(Contact="<tel:+15550001>")


def test_a_party_of_rfc_2543_has_no_tag():
    assert served(From="<sip:anna@example.com>").id.remote_tag is None


@pytest.mark.parametrize(("uri", "secure"), [("sip:bob@example.com", False), ("sips:bob@example.com", True)])
def test_it_is_secure_if_its_invite_was_for_a_sips_uri(uri: str, secure: bool):
    dialog = Dialog.of_invite(invite(uri, Contact="<sips:anna@anna.example>"), "b1", first_number=0)

    assert dialog.secure is secure


# -- numbers


def test_its_client_goes_on_counting_from_its_invite():
    dialog = asked()

    numbers = [dialog.request(method).headers["CSeq"] for method in ("INFO", "BYE")]

    assert numbers == ["8 INFO", "9 BYE"]


def test_its_server_counts_for_itself():
    assert served().request("BYE").headers["CSeq"] == "41 BYE"


def test_an_ack_has_the_number_of_its_invite():
    dialog = asked()
    dialog.request("INFO")

    assert dialog.ack(invite()).headers["CSeq"] == "7 ACK"


def test_an_ack_has_the_credentials_of_its_invite():
    ack = asked().ack(invite(Proxy_Authorization='Digest username="anna"'))

    assert ack.headers["Proxy-Authorization"] == 'Digest username="anna"'


@pytest.mark.parametrize(("number", "taken"), [(6, False), (7, False), (8, True), (2000, True)])
def test_a_request_that_does_not_come_after_the_last_one_is_out_of_turn(number: int, taken: bool):
    assert served().takes(invite(CSeq=f"{number} INVITE")) is taken


def test_the_first_number_of_who_was_called_may_be_any():
    assert asked().takes(invite(CSeq="1 INVITE"))


# -- the target


def test_a_change_moves_the_target_but_not_the_route():
    dialog = served()

    dialog.refresh(invite(Contact="<sip:anna@moved.example>", Record_Route="<sip:other.example;lr>"))

    bye = dialog.request("BYE")
    assert str(bye.uri) == "sip:anna@moved.example"
    assert routes(bye) == ["<sip:near.example;lr>", "<sip:far.example;lr>"]


def test_a_change_without_a_contact_moves_nothing():
    dialog = served()

    dialog.refresh(invite(Contact=""))

    assert str(dialog.target) == "sip:anna@anna.example:5070"


def test_a_contact_that_is_no_sip_uri_moves_nothing():
    dialog = served()

    dialog.refresh(response(Contact="<tel:+15550001>"))

    assert str(dialog.target) == "sip:anna@anna.example:5070"


def test_the_2xx_says_which_route_counts():
    dialog = asked(Record_Route="<sip:early.example;lr>")

    dialog.confirm(response(Record_Route="<sip:taken.example;lr>"))

    assert routes(dialog.request("BYE")) == ["<sip:taken.example;lr>"]


def test_a_2xx_whose_route_nobody_can_read_leaves_that_of_before():
    dialog = asked(Record_Route="<sip:early.example;lr>")

    dialog.confirm(response(Record_Route="<sip:taken.example:0;lr>"))

    assert routes(dialog.request("BYE")) == ["<sip:early.example;lr>"]


# -- the way


def path(target: str, *hops: str) -> tuple[str, list[str], str]:
    found = path_of(parse_uri(target), tuple(NameAddr.parse(hop) for hop in hops))
    return str(found.uri), [str(route) for route in found.routes], str(found.next_hop)


def test_without_a_route_a_request_goes_to_its_target():
    assert path("sip:bob@bob.example") == ("sip:bob@bob.example", [], "sip:bob@bob.example")


def test_a_loose_router_gets_the_target_as_request_uri():
    assert path("sip:bob@bob.example", "<sip:one.example;lr>", "<sip:two.example>") == (
        "sip:bob@bob.example",
        ["<sip:one.example;lr>", "<sip:two.example>"],
        "sip:one.example;lr",
    )


def test_a_strict_router_gets_its_own_uri_and_the_target_behind_all_others():
    # RFC 3261 §12.2.1.1 has this example.
    assert path(
        "sip:user@remoteua",
        "<sip:proxy1>",
        "<sip:proxy2>",
        "<sip:proxy3;lr>",
        "<sip:proxy4>",
    ) == (
        "sip:proxy1",
        ["<sip:proxy2>", "<sip:proxy3;lr>", "<sip:proxy4>", "<sip:user@remoteua>"],
        "sip:proxy1",
    )


def test_a_strict_router_before_a_loose_one_is_where_the_request_goes_first():
    assert path("sip:user@remoteua", "<sip:strict>", "<sip:loose;lr>")[2] == "sip:strict"


def test_a_request_uri_has_nothing_that_it_must_not_have():
    assert path("sip:bob@bob.example;method=INVITE;x=1?Subject=hi")[0] == "sip:bob@bob.example;x=1"


def test_a_number_is_called_by_its_tel_uri():
    assert path("tel:+15550001", "<sip:trunk.example;lr>") == (
        "tel:+15550001",
        ["<sip:trunk.example;lr>"],
        "sip:trunk.example;lr",
    )


def test_a_number_that_is_called_without_a_proxy_stays_as_it_is():
    assert path("tel:+15550001") == ("tel:+15550001", [], "tel:+15550001")


def test_a_route_that_is_no_sip_uri_is_none():
    assert served(Record_Route="<tel:+15550001>").routes == ()


# -- as others drew it


def drawn(number: int) -> Request | Response:
    """A message of RFC 3665 §3.2: a call through two proxies."""
    return parse_datagram(CALL_FLOWS[f"rfc3665 3.02_session-establishment-through-two-proxies {number}"])


def test_an_ack_goes_by_both_proxies_as_rfc_3665_has_it():
    invite, taken, ack = drawn(4), drawn(14), drawn(15)
    assert isinstance(invite, Request)
    assert isinstance(taken, Response)

    ours = Dialog.of_response(invite, taken).ack(invite)

    assert ours.headers[ROUTE] == ack.headers[ROUTE]
    assert ours.headers[TO] == ack.headers[TO]
    assert ours.headers["CSeq"] == ack.headers["CSeq"]


def test_a_bye_goes_back_by_both_proxies_as_rfc_3665_has_it():
    invite, taken, bye = drawn(7), drawn(12), drawn(18)
    assert isinstance(invite, Request)
    tag = taken.headers[TO].tag or ""

    ours = Dialog.of_invite(invite, tag, first_number=0).request("BYE")

    assert ours.headers[ROUTE] == bye.headers[ROUTE]
    assert (ours.headers[FROM], ours.headers[TO]) == (bye.headers[FROM], bye.headers[TO])


# -- asked again


def test_what_is_asked_again_is_the_same_with_another_number_and_without_credentials():
    request = Request(
        "INVITE", SipUri(host="h"), invite(Authorization='Digest username="a"').headers, b"offer"
    )

    again = asked_again(request, 9)

    assert again.headers["CSeq"] == "9 INVITE"
    assert again.body == b"offer"
    assert "Authorization" not in again.headers
    assert "Via" not in again.headers
    assert again.headers["From"] == request.headers["From"]
