"""Twilio's messages in a trace, as what happened. A core."""

from collections.abc import Iterable

import msgspec

from gateway.report import happenings as h
from gateway.wire import twilio
from gateway.wire.errors import RemoteProtocolError

__all__ = ["TwilioReader"]

_BYTES_PER_MS = 8

_to_twilio: msgspec.json.Decoder[twilio.ToTwilio] = msgspec.json.Decoder(twilio.ToTwilio)


class TwilioReader:
    """The `CarrierReader` of Twilio Media Streams."""

    def received(self, message: str | bytes, t_us: int) -> Iterable[h.Happening]:
        if isinstance(message, bytes):
            return ()
        try:
            event = twilio.decode(message)
        except RemoteProtocolError:
            return ()
        match event:
            case twilio.Media():
                return (h.CallerAudio(t_us, len(event.media.payload) / _BYTES_PER_MS),)
            case twilio.Mark():
                return (h.MarkReturned(t_us, event.mark.name),)
            case twilio.Dtmf():
                return (h.KeyPressed(t_us, event.dtmf.digit),)
            case _:
                return ()

    def sent(self, message: str | bytes, t_us: int) -> Iterable[h.Happening]:
        try:
            said = _to_twilio.decode(message)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return ()
        match said:
            case twilio.Play():
                return (h.AudioSent(t_us, len(said.media.payload) / _BYTES_PER_MS),)
            case twilio.SendMark():
                return (h.MarkSent(t_us, said.mark.name),)
            case twilio.Clear():
                return (h.Cleared(t_us),)

    def ticked(self, t_us: int) -> Iterable[h.Happening]:  # noqa: ARG002 - Twilio's messages tell all
        return ()
