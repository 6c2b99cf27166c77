"""The driver of one Media Stream."""

import re
from collections.abc import Callable, Mapping, Sequence

import trio

from gateway.carriers.twilio import twiml
from gateway.carriers.twilio.calls import IncomingCall, Stream, TwilioCalls
from gateway.carriers.twilio.rest import RestFailed, TwilioRest
from gateway.contracts import ENDINGS, EndReason, LegLost, TransferFailed
from gateway.net.websocket import WebSocket, WebSocketClosed

__all__ = ["TwilioLeg"]

# Twilio asks /twilio/after when our close has reached it: a round trip and a request, 0.2 s as a rule.
ASKED_S = 1.0

_E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)


class TwilioLeg:
    """The `CallLeg` of one stream.

    `destinations`: the number in E.164 or the SIP URI behind each key of the dialplan. `rest` ends calls
    that Twilio does not end by itself; `on_zombie(call_sid, detail)` hears of those that could not be ended.
    """

    def __init__(
        self,
        stream: Stream,
        websocket: WebSocket,
        calls: TwilioCalls,
        *,
        destinations: Mapping[str, str],
        rest: TwilioRest | None,
        on_zombie: Callable[[str, str], None],
    ) -> None:
        self._stream = stream
        self._websocket = websocket
        self._calls = calls
        self._destinations = destinations
        self._rest = rest
        self._on_zombie = on_zombie
        self._dial: str | None = None
        self._is_finishing = False
        self._asked = trio.Event()
        stream.ask = self._twilio_asks

    async def receive(self) -> str | bytes:
        try:
            return await self._websocket.receive()
        except WebSocketClosed as error:
            raise LegLost(_words(error)) from None

    async def send(self, data: str | bytes) -> None:
        try:
            await self._websocket.send(data)
        except WebSocketClosed as error:
            raise LegLost(_words(error)) from None

    async def answer(self) -> None:
        """Nothing: Twilio had answered the call before it opened the stream."""

    async def transfer(self, destination: str) -> None:
        """Note whom to dial: `/twilio/after` tells Twilio as soon as this leg is finished."""
        number = self._destinations.get(destination)
        if number is None:
            raise TransferFailed("there is no such destination")
        self._dial = twiml.dial(number, caller_id=_caller_id(self._stream.incoming))

    async def finish(self, reason: EndReason) -> None:
        """End the stream, and see that the call goes on as its ending says: by itself, or else by REST."""
        self._is_finishing = True
        # Before the close: Twilio asks as soon as it sees it, and any node may be asked.
        self._calls.finish(self._stream, ENDINGS[reason].twilio, dial=self._dial)
        if reason is EndReason.CALLER_HUNG_UP:
            await self._websocket.aclose(1000, "")
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._websocket.aclose, 1000, "")
            with trio.move_on_after(ASKED_S):
                await self._asked.wait()
            nursery.cancel_scope.cancel()
        self._websocket.release()
        if self._rest is not None:
            await self._say_last_word(self._rest)

    def last_words(self) -> Sequence[str | bytes]:
        """None: Twilio says `stop` before it closes, or nothing."""
        return ()

    def release(self) -> None:
        self._websocket.release()

    async def _say_last_word(self, rest: TwilioRest) -> None:
        word = self._calls.last_word(self._stream, trio.current_time())
        if word is None:
            return
        try:
            if word.twiml is None:
                await rest.hang_up(word.call_sid)
            else:
                await rest.redirect(word.call_sid, word.twiml)
        except RestFailed as error:
            self._on_zombie(word.call_sid, str(error))
        except trio.Cancelled:
            self._on_zombie(word.call_sid, "no answer of Twilio's REST API in the time that an ending has")
            raise

    def _twilio_asks(self) -> None:
        self._asked.set()
        if not self._is_finishing:  # Twilio lost the stream, and on our side nobody has noticed
            self._websocket.release()


def _caller_id(incoming: IncomingCall) -> str | None:
    """Whom the destination sees: the caller, or, where that is no number, the number that was called."""
    numbers = (incoming.caller, incoming.called)
    return next((number for number in numbers if _E164.fullmatch(number)), None)


def _words(error: WebSocketClosed) -> str:
    return f"{error.code} {error.reason}".strip()
