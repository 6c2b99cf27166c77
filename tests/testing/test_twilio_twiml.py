"""TwiML as the fake reads it; Twilio's own library writes the documents where it can."""

import pytest
from twilio.twiml.voice_response import Connect as TwilioConnect  # type: ignore[import-untyped]  # no stubs exist
from twilio.twiml.voice_response import VoiceResponse

from gateway.testing.twilio_twiml import (
    Connect,
    Dial,
    Hangup,
    Pause,
    Redirect,
    Reject,
    Say,
    Stream,
    TwimlInvalid,
    parse_twiml,
)


def test_a_stream_written_by_twilios_library_is_read_in_full() -> None:
    connect = TwilioConnect(action="https://g.example/after", method="POST")
    stream = connect.stream(url="wss://g.example/media", name="n", status_callback="https://g.example/status")
    stream.parameter(name="call", value="a & b")
    response = VoiceResponse()
    response.append(connect)

    verbs = parse_twiml(str(response).encode())

    assert verbs == (
        Connect(
            action="https://g.example/after",
            stream=Stream(
                url="wss://g.example/media",
                name="n",
                status_callback="https://g.example/status",
                parameters={"call": "a & b"},
            ),
        ),
    )


def test_the_simple_verbs_written_by_twilios_library_are_read() -> None:
    response = VoiceResponse()
    response.say("Hello", voice="Polly.Joanna", language="en-US")
    response.pause(length=2)
    response.redirect("/next")
    response.hangup()

    verbs = parse_twiml(str(response).encode())

    assert verbs == (Say("Hello"), Pause(2.0), Redirect("/next"), Hangup())


def test_a_dial_names_numbers_and_sip_uris() -> None:
    response = VoiceResponse()
    dial = response.dial(caller_id="+15550100001", timeout=20, action="/dialled")
    dial.number("+15550100003")
    dial.sip("sip:desk@pbx.example")

    verbs = parse_twiml(str(response).encode())

    attributes = {"callerId": "+15550100001", "timeout": "20"}
    destinations = ("+15550100003", "sip:desk@pbx.example")
    assert verbs == (Dial(destinations=destinations, action="/dialled", attributes=attributes),)


def test_a_dial_may_hold_a_bare_number() -> None:
    verbs = parse_twiml(b"<Response><Dial> +15550100003 </Dial></Response>")

    assert verbs == (Dial(destinations=("+15550100003",), attributes={}),)


@pytest.mark.parametrize("reason", ["rejected", "busy"])
def test_reject_has_two_reasons(reason: str) -> None:
    response = VoiceResponse()
    response.reject(reason=reason)

    verbs = parse_twiml(str(response).encode())

    assert verbs == (Reject(reason),)


def test_an_empty_response_is_a_document_without_verbs() -> None:
    assert parse_twiml(b"<?xml version='1.0' encoding='UTF-8'?><Response/>") == ()


STREAM = "<Response><Connect><Stream url='wss://g/m'{}>{}</Stream></Connect></Response>"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", 12100),
        ("hello", 12100),
        ("<Response>", 12100),
        ("<response/>", 12100),
        ("<Response version='1'/>", 12200),
        ("<Response>text</Response>", 12200),
        ("<Response><Hangup/>text</Response>", 12200),
        ("<Response><hangup/></Response>", 12200),
        ("<Response><Hangup reason='1'/></Response>", 12200),
        ("<Response><Hangup><Say/></Hangup></Response>", 12200),
        ("<Response><Connect/></Response>", 12200),
        ("<Response><Connect><Room>r</Room></Connect></Response>", 12200),
        ("<Response><Connect action='/a' method='GET'><Stream url='wss://g/m'/></Connect></Response>", 12200),
        ("<Response><Connect><Stream/></Connect></Response>", 12200),
        ("<Response><Connect><Stream url='wss://g/m'/><Stream url='wss://g/m'/></Connect></Response>", 12200),
        (STREAM.format(" track='both_tracks'", ""), 12200),
        (STREAM.format(" colour='red'", ""), 12200),
        (STREAM.format("", "<Param name='a' value='b'/>"), 12200),
        (STREAM.format("", "<Parameter name='a'/>"), 12200),
        (STREAM.format("", f"<Parameter name='a' value='{'b' * 499}'/>"), 12200),
        ("<Response><Dial/></Response>", 12200),
        ("<Response><Dial><Number/></Dial></Response>", 12200),
        ("<Response><Dial><Fax>1</Fax></Dial></Response>", 12200),
        ("<Response><Reject reason='tired'/></Response>", 12200),
        ("<Response><Say>no</Say><Reject/></Response>", 12200),
        ("<Response><Pause length='-1'/></Response>", 12200),
        ("<Response><Pause length='1.5'/></Response>", 12200),
        (f"<Response><Say>{'a' * 65536}</Say></Response>", 11750),
    ],
)
def test_what_the_fake_would_have_to_guess_at_is_an_error(text: str, code: int) -> None:
    with pytest.raises(TwimlInvalid) as error:
        parse_twiml(text.encode())

    assert error.value.code == code


def test_a_parameter_of_499_characters_is_taken() -> None:
    verbs = parse_twiml(STREAM.format("", f"<Parameter name='a' value='{'b' * 498}'/>").encode())

    assert isinstance(verbs[0], Connect)
    assert verbs[0].stream.parameters == {"a": "b" * 498}


def test_a_document_of_64_kb_is_taken() -> None:
    padding = 64 * 1024 - len("<Response></Response>")

    assert parse_twiml(b"<Response>" + b" " * padding + b"</Response>") == ()
