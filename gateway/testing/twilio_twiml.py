"""TwiML as Twilio reads it, strictly: whatever this fake would have to guess at is an error.

Twilio itself ignores an attribute that it does not know, with warning 12200; a test is better told.
"""

import xml.etree.ElementTree as ET
from collections.abc import Callable

import msgspec

__all__ = [
    "Connect",
    "Dial",
    "Hangup",
    "Pause",
    "Redirect",
    "Reject",
    "Say",
    "Stream",
    "TwimlInvalid",
    "Verb",
]
__all__ += ["parse_twiml"]

MAX_TWIML_BYTES = 64 * 1024  # 11750
MAX_PARAMETER_CHARS = 500

DOCUMENT_TOO_LARGE = 11750
DOCUMENT_UNPARSABLE = 12100
SCHEMA_VIOLATED = 12200


class TwimlInvalid(Exception):
    """The gateway answered with TwiML that Twilio would not carry out. `code`: Twilio's error code for it."""

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """The noun of `<Connect>`: a bidirectional Media Stream."""

    url: str
    name: str | None = None
    status_callback: str | None = None
    parameters: dict[str, str]


class Connect(msgspec.Struct, frozen=True, kw_only=True):
    stream: Stream
    action: str | None = None


class Dial(msgspec.Struct, frozen=True, kw_only=True):
    """`destinations`: numbers and SIP URIs, all rung at once. `attributes`: as written."""

    destinations: tuple[str, ...]
    action: str | None = None
    attributes: dict[str, str]


class Hangup(msgspec.Struct, frozen=True):
    pass


class Reject(msgspec.Struct, frozen=True):
    reason: str = "rejected"


class Say(msgspec.Struct, frozen=True):
    text: str


class Pause(msgspec.Struct, frozen=True):
    length_s: float = 1.0


class Redirect(msgspec.Struct, frozen=True):
    url: str


Verb = Connect | Dial | Hangup | Reject | Say | Pause | Redirect


def parse_twiml(body: bytes) -> tuple[Verb, ...]:
    """The verbs of a TwiML document, in order. Raises `TwimlInvalid`."""
    if len(body) > MAX_TWIML_BYTES:
        raise TwimlInvalid(DOCUMENT_TOO_LARGE, f"the document is larger than {MAX_TWIML_BYTES} bytes")
    try:
        root = ET.fromstring(body)  # noqa: S314 -- at most 64 kB, of the gateway under test
    except ET.ParseError as error:
        raise TwimlInvalid(DOCUMENT_UNPARSABLE, f"no XML: {error}: {body[:200]!r}") from error
    if root.tag != "Response":
        raise TwimlInvalid(DOCUMENT_UNPARSABLE, f"the root is <{root.tag}>, not <Response>")
    _attributes(root)
    _no_text(root)
    verbs = tuple(_verb(element) for element in root)
    if any(isinstance(verb, Reject) for verb in verbs[1:]):
        raise TwimlInvalid(SCHEMA_VIOLATED, "<Reject> answers no call, so it must come first")
    return verbs


def _verb(element: ET.Element) -> Verb:
    try:
        read = _VERBS[element.tag]
    except KeyError:
        raise TwimlInvalid(SCHEMA_VIOLATED, f"<{element.tag}> is no verb that this fake knows") from None
    return read(element)


def _connect(element: ET.Element) -> Connect:
    attributes = _attributes(element, "action", "method")
    _no_text(element)
    if [child.tag for child in element] != ["Stream"]:
        raise TwimlInvalid(SCHEMA_VIOLATED, "<Connect> holds exactly one <Stream> here")
    return Connect(stream=_stream(element[0]), action=attributes.get("action"))


def _stream(element: ET.Element) -> Stream:
    attributes = _attributes(element, "url", "name", "track", "statusCallback", "statusCallbackMethod")
    _no_text(element)
    if "url" not in attributes:
        raise TwimlInvalid(SCHEMA_VIOLATED, "<Stream> has no url")
    if attributes.get("track", "inbound_track") != "inbound_track":
        raise TwimlInvalid(SCHEMA_VIOLATED, "a bidirectional stream has the inbound_track alone")
    parameters = {}
    for child in element:
        if child.tag != "Parameter":
            raise TwimlInvalid(SCHEMA_VIOLATED, f"<{child.tag}> in <Stream>")
        pair = _attributes(child, "name", "value")
        _no_text(child)
        if len(pair) < 2 or sum(map(len, pair.values())) >= MAX_PARAMETER_CHARS:
            raise TwimlInvalid(
                SCHEMA_VIOLATED, f"a <Parameter> has name and value, together < {MAX_PARAMETER_CHARS}"
            )
        parameters[pair["name"]] = pair["value"]
    return Stream(
        url=attributes["url"],
        name=attributes.get("name"),
        status_callback=attributes.get("statusCallback"),
        parameters=parameters,
    )


_DIAL_ATTRIBUTES = (
    "action",
    "answerOnBridge",
    "callReason",
    "callerId",
    "hangupOnStar",
    "method",
    "record",
    "recordingStatusCallback",
    "recordingStatusCallbackEvent",
    "recordingStatusCallbackMethod",
    "recordingTrack",
    "referMethod",
    "referUrl",
    "ringTone",
    "sequential",
    "timeLimit",
    "timeout",
    "trim",
)


def _dial(element: ET.Element) -> Dial:
    attributes = _attributes(element, *_DIAL_ATTRIBUTES)
    destinations = [element.text.strip()] if element.text and element.text.strip() else []
    for child in element:
        if child.tag not in {"Number", "Sip"} or len(child) or (child.tail or "").strip():
            raise TwimlInvalid(SCHEMA_VIOLATED, f"<{child.tag}> in <Dial>")
        _attributes(child, "statusCallback", "statusCallbackEvent", "statusCallbackMethod", "sendDigits")
        destinations.append((child.text or "").strip())
    if not all(destinations) or not destinations:
        raise TwimlInvalid(SCHEMA_VIOLATED, "<Dial> names nobody")
    return Dial(
        destinations=tuple(destinations), action=attributes.pop("action", None), attributes=attributes
    )


def _reject(element: ET.Element) -> Reject:
    reason = _attributes(element, "reason").get("reason", "rejected")
    _no_children(element)
    _no_text(element)
    if reason not in {"rejected", "busy"}:
        raise TwimlInvalid(SCHEMA_VIOLATED, f"<Reject reason> is rejected or busy, not {reason!r}")
    return Reject(reason)


def _hangup(element: ET.Element) -> Hangup:
    _attributes(element)
    _no_children(element)
    _no_text(element)
    return Hangup()


def _say(element: ET.Element) -> Say:
    _attributes(element, "voice", "language", "loop")
    _no_children(element)
    return Say((element.text or "").strip())


def _pause(element: ET.Element) -> Pause:
    length = _attributes(element, "length").get("length", "1")
    _no_children(element)
    _no_text(element)
    if not length.isdecimal():
        raise TwimlInvalid(SCHEMA_VIOLATED, f"<Pause length> is whole seconds, not {length!r}")
    return Pause(float(length))


def _redirect(element: ET.Element) -> Redirect:
    _attributes(element, "method")
    _no_children(element)
    return Redirect((element.text or "").strip())


_VERBS: dict[str, Callable[[ET.Element], Verb]] = {
    "Connect": _connect,
    "Dial": _dial,
    "Hangup": _hangup,
    "Pause": _pause,
    "Redirect": _redirect,
    "Reject": _reject,
    "Say": _say,
}


def _attributes(element: ET.Element, *known: str) -> dict[str, str]:
    unknown = [name for name in element.attrib if name not in known]
    if unknown:
        raise TwimlInvalid(SCHEMA_VIOLATED, f"<{element.tag}> has no attribute {unknown[0]}")
    for name, value in element.attrib.items():
        if name.lower().endswith("method") and value != "POST":
            raise TwimlInvalid(SCHEMA_VIOLATED, f"<{element.tag} {name}>: this fake requests by POST only")
    return dict(element.attrib)


def _no_text(element: ET.Element) -> None:
    if any((text or "").strip() for text in (element.text, *(child.tail for child in element))):
        raise TwimlInvalid(SCHEMA_VIOLATED, f"<{element.tag}> holds text")


def _no_children(element: ET.Element) -> None:
    if len(element):
        raise TwimlInvalid(SCHEMA_VIOLATED, f"<{element.tag}> holds <{element[0].tag}>")
