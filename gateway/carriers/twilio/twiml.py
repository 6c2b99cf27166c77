"""TwiML, Twilio's XML. Every document is built as a tree, so that no value can become an element."""

import re
from typing import Literal
from xml.etree.ElementTree import Element, SubElement, tostring

__all__ = ["CONTENT_TYPE", "apologize", "connect_stream", "dial", "hang_up", "reject"]

CONTENT_TYPE = "text/xml; charset=utf-8"
SORRY = "We are sorry. This call cannot go on. Please call again later."

# XML 1.0 §2.2: what is no Char cannot be written, not even escaped.
_NO_CHAR = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def connect_stream(*, action_url: str, stream_url: str, status_url: str) -> str:
    """Connect the caller with our stream. When that has ended, Twilio asks `action_url` how to go on."""
    response = Element("Response")
    connect = _add(response, "Connect", action=action_url, method="POST")
    _add(connect, "Stream", url=stream_url, statusCallback=status_url, statusCallbackMethod="POST")
    return _document(response)


def hang_up() -> str:
    """End the call."""
    response = Element("Response")
    _add(response, "Hangup")
    return _document(response)


def apologize(text: str = SORRY, *, language: str = "en-US") -> str:
    """Say that we are sorry, then hang up. `text`, `language`: see Twilio's `<Say>`."""
    response = Element("Response")
    _add(response, "Say", text, language=language)
    _add(response, "Hangup")
    return _document(response)


def dial(destination: str, *, caller_id: str | None) -> str:
    """Connect the caller with a number in E.164 or with a SIP URI, and hang up when they are done.

    `caller_id`: what the other one is shown; None leaves it to Twilio, which takes the caller's.
    """
    response = Element("Response")
    attributes = {} if caller_id is None else {"callerId": caller_id}
    verb = _add(response, "Dial", **attributes)
    _add(verb, "Sip" if destination.startswith(("sip:", "sips:")) else "Number", destination)
    return _document(response)


def reject(reason: Literal["busy", "rejected"]) -> str:
    """Do not answer the call: the caller hears the busy or the not-in-service tone, and nobody pays."""
    response = Element("Response")
    _add(response, "Reject", reason=reason)
    return _document(response)


def _add(parent: Element, name: str, text: str | None = None, **attributes: str) -> Element:
    element = SubElement(parent, name, {key: _chars(value) for key, value in attributes.items()})
    element.text = None if text is None else _chars(text)
    return element


def _chars(text: str) -> str:
    return _NO_CHAR.sub("\ufffd", text)


def _document(root: Element) -> str:
    return '<?xml version="1.0" encoding="UTF-8"?>' + tostring(root, encoding="unicode")
