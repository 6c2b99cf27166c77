"""What we ask within dialogs, apart from INVITE: one after the other. RFC 3261 §12.2.1. A core."""

from typing import NamedTuple

from gateway.wire.sip.dialog import Dialog, asked_again
from gateway.wire.sip.endpoint import Endpoint, Rows
from gateway.wire.sip.message import Request, Response
from gateway.wire.sip.session_words import Ask, SessionWord

__all__ = ["Asking"]


class _Wanted(NamedTuple):
    dialog: Dialog
    method: str
    rows: Rows
    body: bytes


class _Open(NamedTuple):
    request: Request
    dialog: Dialog


class Asking:
    """`words`: where it says what is to be sent.

    What is asked while another waits for its answer waits too: one that overtook the other would have that refused
    (RFC 3261 §12.2.2). A BYE waits for nobody.
    """

    def __init__(self, endpoint: Endpoint, words: list[SessionWord]) -> None:
        self._endpoint = endpoint
        self._words = words
        self._open: list[_Open] = []
        self._waiting: list[_Wanted] = []

    @property
    def open(self) -> bool:
        """Whether an answer may still come."""
        return bool(self._open)

    def ask(
        self, dialog: Dialog, method: str, rows: Rows = (), body: bytes = b"", *, body_type: str | None = None
    ) -> None:
        """Send a request within a dialog, now or when those before it are answered."""
        ours = self._endpoint.rows_for(method, secure=dialog.secure, body_type=body_type)
        wanted = _Wanted(dialog, method, (*ours, *rows), body)
        if method != "BYE" and self._open:
            self._waiting.append(wanted)
        else:
            self._ask(wanted)

    def answered(self, request: Request, response: Response) -> bool:
        """A response came. False: the session has nothing to learn of it, which is provisional, or a challenge."""
        asked = next((each for each in self._open if each.request is request), None)
        if asked is None or response.status < 200:
            return False
        self._open = [each for each in self._open if each is not asked]
        if self._endpoint.can_ask_again(request, response):
            self._send(asked_again(request, asked.dialog.next_number()), asked.dialog)
            return False
        if self._waiting and not self._open:
            self._ask(self._waiting.pop(0))
        return True

    def end(self) -> list[str]:
        """The session is over: of what waits, only what tells of a transfer is still sent. The methods of the rest."""
        dropped = [each.method for each in self._waiting if each.method != "NOTIFY"]
        self._waiting = [each for each in self._waiting if each.method == "NOTIFY"]
        return dropped

    def _ask(self, wanted: _Wanted) -> None:
        self._send(wanted.dialog.request(wanted.method, wanted.rows, wanted.body), wanted.dialog)

    def _send(self, request: Request, dialog: Dialog) -> None:
        self._endpoint.authorize(request)
        self._open.append(_Open(request, dialog))
        self._words.append(Ask(request, dialog.next_hop))
