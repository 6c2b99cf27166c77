"""What they ask within a session, apart from ending it: who deals with it, and what nobody does. A core."""

from typing import Final

import msgspec

from gateway.wire.sip.acceptance import Abilities, refusal_of
from gateway.wire.sip.common import Common
from gateway.wire.sip.dialog import Dialog
from gateway.wire.sip.errors import SipSyntaxError
from gateway.wire.sip.incoming import Incoming
from gateway.wire.sip.message import Request
from gateway.wire.sip.options import answer_options
from gateway.wire.sip.session_words import Informed, Respond
from gateway.wire.sip.transactions import ServerKey
from gateway.wire.sip.transfer import ReferIssuer, ReferRecipient

__all__ = ["Requests"]

# What bodies are for besides descriptions. Who sends another gets a 415.
_BODIES: Final = {
    "INFO": ("application/dtmf-relay", "application/dtmf"),
    "NOTIFY": ("message/sipfrag",),
}

_EXTENSION_REQUIRED: Final = 420


class Requests:
    def __init__(
        self, common: Common, incoming: Incoming, issuer: ReferIssuer, referral: ReferRecipient
    ) -> None:
        self._common = common
        self._incoming = incoming
        self._issuer = issuer
        self._referral = referral

    def serve(
        self, key: ServerKey, request: Request, dialog: Dialog, now: float, *, ours_open: bool = False
    ) -> None:
        """Answer it, or have it answered. `ours_open`: an INVITE of ours is under way."""
        if self.refuses(key, request):
            return
        try:
            self._serve(key, request, dialog, now, ours_open=ours_open)
        except SipSyntaxError as error:
            self._common.respond(key, request, 400, reason=str(error))

    def refuses(self, key: ServerKey, request: Request) -> bool:
        """Whether it needs what we have not, and has been told so."""
        common = self._common
        if request.method == "INFO" and "Info-Package" in request.headers:  # RFC 6086 §4.2.3: we have none
            common.respond(key, request, 469, (("Recv-Info", ""),), reason="Bad Info Package")
            return True
        refusal = refusal_of(request, self._abilities_for(request.method))
        if refusal is None or (request.method == "BYE" and refusal.status != _EXTENSION_REQUIRED):
            return False  # no call goes on because its BYE was odd
        common.words.append(Respond(key, common.endpoint.refusal(request, refusal, common.tag)))
        return True

    def notified(self, key: ServerKey, request: Request, now: float) -> None:
        """A NOTIFY came, which may be after the session is over."""
        status = self._issuer.notified(request, now)
        self._common.respond(key, request, status, (("Allow-Events", "refer"),) if status == 489 else ())

    def _serve(
        self, key: ServerKey, request: Request, dialog: Dialog, now: float, *, ours_open: bool
    ) -> None:
        """Each reads all that may be malformed before it does anything."""
        common = self._common
        match request.method:
            case "INVITE":
                self._incoming.invited(key, request, now, ours_open=ours_open)
            case "UPDATE":
                self._incoming.updated(key, request, dialog, now)
            case "INFO":
                common.respond(key, request, 200)
                common.words.append(Informed(request))
            case "OPTIONS":
                answer = answer_options(request, common.endpoint.abilities, to_tag=common.tag)
                common.words.append(Respond(key, answer))
            case "REFER":
                self._referral.referred(key, request, dialog, now)
            case "NOTIFY":
                self.notified(key, request, now)
            case _:
                common.respond(key, request, 481)  # of something that is no session

    def _abilities_for(self, method: str) -> Abilities:
        abilities = self._common.endpoint.abilities
        return msgspec.structs.replace(abilities, content_types=_BODIES.get(method, abilities.content_types))
