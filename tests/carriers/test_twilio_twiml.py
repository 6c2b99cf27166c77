"""TwiML: whatever is put in, the tree is the one that was meant."""

from xml.etree.ElementTree import Element, fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.twiml.voice_response import Connect, VoiceResponse  # type: ignore[import-untyped]  # no stubs exist

from gateway.carriers.twilio import twiml


def tree(document: str) -> Element:
    return fromstring(document)  # our own document


def shape(element: Element) -> object:
    return (element.tag, [shape(child) for child in element])


def test_a_stream_is_connected_as_the_vendors_library_writes_it() -> None:
    response = VoiceResponse()
    connect = Connect(action="https://gw/after", method="POST")
    connect.stream(url="wss://gw/media/x", status_callback="https://gw/status", status_callback_method="POST")
    response.append(connect)

    document = twiml.connect_stream(
        action_url="https://gw/after", stream_url="wss://gw/media/x", status_url="https://gw/status"
    )

    ours, theirs = tree(document), tree(str(response))
    assert shape(ours) == shape(theirs)
    assert [e.attrib for e in ours.iter()] == [e.attrib for e in theirs.iter()]


def test_hanging_up_is_one_verb() -> None:
    assert shape(tree(twiml.hang_up())) == ("Response", [("Hangup", [])])


def test_an_apology_is_said_before_hanging_up() -> None:
    response = tree(twiml.apologize("Sorry & good-bye", language="en-GB"))

    assert shape(response) == ("Response", [("Say", []), ("Hangup", [])])
    assert response[0].text == "Sorry & good-bye"
    assert response[0].attrib == {"language": "en-GB"}


def test_a_number_is_dialled_with_the_callers_number() -> None:
    dial = tree(twiml.dial("+15551230000", caller_id="+15557654321"))[0]

    assert (dial.tag, dial.attrib) == ("Dial", {"callerId": "+15557654321"})
    assert [(child.tag, child.text) for child in dial] == [("Number", "+15551230000")]


def test_a_sip_uri_is_dialled_as_one() -> None:
    dial = tree(twiml.dial("sips:desk@pbx.example.com;a=b", caller_id=None))[0]

    assert dial.attrib == {}
    assert [(child.tag, child.text) for child in dial] == [("Sip", "sips:desk@pbx.example.com;a=b")]


@pytest.mark.parametrize("reason", ["busy", "rejected"])
def test_a_rejected_call_hears_why(reason: str) -> None:
    response = tree(twiml.reject("busy" if reason == "busy" else "rejected"))

    assert shape(response) == ("Response", [("Reject", [])])
    assert response[0].attrib == {"reason": reason}


_evil = st.text() | st.sampled_from(
    [
        '"><Dial>+19005550100</Dial>',
        "]]><Dial/>",
        "</Number></Dial><Dial>",
        "&lt;&#x0;",
        "\x00\x0b\ud800\uffff",
        "'\n\t",
    ]
)


@given(number=_evil, caller_id=_evil)
def test_no_value_becomes_an_element(number: str, caller_id: str) -> None:
    response = tree(twiml.dial(number, caller_id=caller_id))

    verb = "Sip" if number.startswith(("sip:", "sips:")) else "Number"
    assert shape(response) == ("Response", [("Dial", [(verb, [])])])
    assert set(response[0].attrib) == {"callerId"}


@given(url=_evil, text=_evil)
def test_no_url_and_no_text_becomes_an_element(url: str, text: str) -> None:
    stream = tree(twiml.connect_stream(action_url=url, stream_url=url, status_url=url))
    sorry = tree(twiml.apologize(text))

    assert shape(stream) == ("Response", [("Connect", [("Stream", [])])])
    assert shape(sorry) == ("Response", [("Say", []), ("Hangup", [])])


def test_an_answer_is_small_enough_for_the_rest_api() -> None:
    url = "https://" + "a" * 200 + ".example.com/twilio/"

    document = twiml.connect_stream(action_url=url, stream_url=url, status_url=url)

    assert len(document) < 4000
