"""One call as Twilio runs it: ask the webhook, carry out the TwiML, verb by verb, until the call is over."""

import enum
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import assert_never

import msgspec
import trio

from gateway.net.websocket import WebSocketClosed, WebSocketRefused, connect
from gateway.testing.handset import Handset
from gateway.testing.line import Line
from gateway.testing.twilio_account import TwilioAccount
from gateway.testing.twilio_media import MediaConnection, Outcome
from gateway.testing.twilio_requests import WebhookFailed
from gateway.testing.twilio_stream import MediaFormat, StreamWarning, TwilioStream
from gateway.testing.twilio_twiml import (
    Connect,
    Dial,
    Hangup,
    Pause,
    Redirect,
    Reject,
    Say,
    Stream,
    Verb,
    parse_twiml,
)
from gateway.testing.twilio_webhooks import Webhooks

__all__ = ["CallEnding", "EndedBy", "TwilioCall"]

CONNECT_S = 10  # 31901 after it

_NOTHING: Mapping[str, str] = MappingProxyType({})


class EndedBy(enum.StrEnum):
    """What ended a call."""

    CALLER = "caller"
    HANGUP = "hangup"  # the verb
    REJECT = "reject"  # the verb; the call was never answered
    LAST_VERB = "last_verb"  # no verb was left
    REST = "rest"
    LOST = "lost"  # the stream's socket broke, and Twilio asked no action
    FAILED = "failed"  # a webhook gave no usable answer


class CallEnding(msgspec.Struct, frozen=True):
    """`at_s`: on the caller's axis. `detail`: for people."""

    by: EndedBy
    at_s: float
    detail: str = ""


Document = tuple[Verb, ...]
Next = Document | CallEnding


class TwilioCall:
    """The call and its record. `parameters`: what the voice webhook carries besides the usual."""

    def __init__(
        self,
        account: TwilioAccount,
        handset: Handset,
        *,
        from_: str,
        to: str,
        parameters: Mapping[str, str],
        voice_deliveries: int,
        sends_start: bool,
        media_format: MediaFormat,
    ) -> None:
        self.sid = account.new_sid("CA")
        self.account = account
        self.handset = handset
        self.from_ = from_
        self.to = to
        self.webhooks = Webhooks(account, call_sid=self.sid, from_=from_, to=to)
        self.verbs: list[Verb] = []
        self.dialled: list[str] = []
        self.warnings: list[StreamWarning] = []
        self.ending: CallEnding | None = None
        self.connection: MediaConnection | None = None
        self.action_follows_loss = account.action_follows_loss
        self._parameters = parameters
        self._voice_deliveries = voice_deliveries
        self._sends_start = sends_start
        self._media_format = media_format
        self._order: CallEnding | bytes | None = None
        self._interrupt: Callable[[], None] = lambda: None
        self._action: str | None = None  # of the <Connect> that is being carried out

    # -- what others may do to it ---------------------------------------------------------------------

    def hang_up(self) -> None:
        """The caller hangs up."""
        self._interrupt_with(self._end(EndedBy.CALLER))

    def complete(self) -> None:
        """REST: `Status=completed`."""
        self._interrupt_with(self._end(EndedBy.REST))

    def redirect(self, twiml: bytes) -> None:
        """REST: `Twiml` or `Url`; a stream is stopped for it, and no action asked."""
        self._interrupt_with(twiml)

    def _interrupt_with(self, order: CallEnding | bytes) -> None:
        """Drop what is being carried out for new TwiML or the end; an end is final."""
        if self.ending is None and not isinstance(self._order, CallEnding):
            self._order = order
            self._interrupt()

    # -- the life of a call ---------------------------------------------------------------------------

    async def run(self) -> None:
        """From the ring to the last status callback. Raises `TwimlInvalid` for what Twilio would not take."""
        async with trio.open_nursery() as self._errands:
            following: Next = await self._step(self._ring) or ()
            while not isinstance(following, CallEnding):
                following = await self._follow(following)
            self.ending = following
            self.handset.put_down()
            await self._report_end(following)

    async def _ring(self) -> Next:
        url = self.account.url(self.account.voice_path)
        return await self._fetch(url, "ringing", self._parameters, self._voice_deliveries)

    async def _follow(self, document: Document) -> Next:
        for verb in document:
            self.verbs.append(verb)
            following = await self._step(partial(self._perform, verb))
            if following is not None:
                return following
        return self._end(EndedBy.LAST_VERB)

    async def _step(self, work: Callable[[], Awaitable[Next | None]]) -> Next | None:
        """Carry something out, unless or until somebody orders otherwise."""
        following: Next | None = None
        if self._order is None:
            with trio.CancelScope() as scope:
                self._interrupt = scope.cancel
                following = await work()
        if isinstance(self._order, bytes):
            twiml, self._order = self._order, None
            return parse_twiml(twiml)
        return self._order or following

    async def _perform(self, verb: Verb) -> Next | None:
        match verb:
            case Connect():
                return await self._connect(verb)
            case Dial():
                return await self._dial(verb)
            case Redirect():
                return await self._fetch(self.account.url(verb.url), "in-progress")
            case Pause():
                await trio.sleep(verb.length_s)
                return None
            case Say():
                return None
            case Hangup():
                return self._end(EndedBy.HANGUP)
            case Reject():
                return self._end(EndedBy.REJECT, verb.reason)
            case _:
                assert_never(verb)

    async def _dial(self, dial: Dial) -> Next | None:
        """Nobody is really called: the verb is over at once, as `dial_status` of the account says."""
        self.dialled += dial.destinations
        if dial.action is None:
            return None
        result = {"DialCallStatus": self.account.dial_status, "DialCallSid": self.account.new_sid("CA")}
        return await self._fetch(self.account.url(dial.action), "in-progress", result)

    async def _connect(self, verb: Connect) -> Next | None:
        """Stream; then the action decides, and the verbs behind are never reached. Without one they are next."""
        self._action = action = None if verb.action is None else self.account.url(verb.action)
        outcome = await self._stream(verb.stream)
        if self._order is not None:
            return None  # whoever gave it wins over the action
        self._action = None
        if outcome in {Outcome.LOST, Outcome.REFUSED} and not self.action_follows_loss:
            return self._end(EndedBy.LOST, f"{outcome.value}")
        return None if action is None else await self._fetch(action, "in-progress")

    # -- streams --------------------------------------------------------------------------------------

    async def _stream(self, noun: Stream) -> Outcome:
        url = self.account.stream_url(noun.url)
        stream = TwilioStream(
            account_sid=self.account.account_sid,
            call_sid=self.sid,
            stream_sid=self.account.new_sid("MZ"),
            first_timestamp_ms=self.account.new_first_timestamp_ms(),
            custom_parameters=noun.parameters,
            media_format=self._media_format,
        )
        try:
            with trio.fail_after(CONNECT_S):
                line = Line(await self.account.dial())
        except (OSError, trio.TooSlowError) as error:
            return self._not_connected(noun, stream, 31901, f"{error or 'timeout'}")
        self._errands.start_soon(line.pump)
        cancel = self._interrupt
        try:
            async with connect(
                url, headers=[self.account.signature(url)], stream=line, ping_every_s=None
            ) as websocket:
                self._report_stream(noun, stream, "stream-started")
                self.connection = MediaConnection(stream, line, self.handset, sends_start=self._sends_start)
                self._interrupt = self.connection.stop
                outcome = await self.connection.run(websocket)
        except WebSocketRefused as refused:
            return self._not_connected(noun, stream, 31920, f"the upgrade was answered with {refused.status}")
        except WebSocketClosed as closed:
            return self._not_connected(noun, stream, 31901, f"no upgrade: {closed.reason}")
        finally:
            self._interrupt = cancel
            line.close()
        if outcome is Outcome.LOST:
            self._warn(31903, "the stream's socket is gone without a goodbye")
            self._report_stream(noun, stream, "stream-error", "31903")
        else:
            self._report_stream(noun, stream, "stream-stopped")
        return outcome

    def _not_connected(self, noun: Stream, stream: TwilioStream, code: int, detail: str) -> Outcome:
        self._warn(code, detail)
        self._report_stream(noun, stream, "stream-error", f"{code}: {detail}")
        return Outcome.REFUSED

    # -- requests -------------------------------------------------------------------------------------

    async def _fetch(
        self, url: str, call_status: str, extra: Mapping[str, str] = _NOTHING, deliveries: int = 1
    ) -> Next:
        """The TwiML at a URL, or at the fallback, or the end of the call."""
        try:
            return await self.webhooks.fetch(url, call_status, extra, deliveries)
        except WebhookFailed as failed:
            self._warn(failed.code, failed.detail)
            fallback = self.account.fallback_path
            if fallback is None or url == self.account.url(fallback):
                return self._end(EndedBy.FAILED, str(failed))
            why = {"ErrorCode": str(failed.code), "ErrorUrl": url}
        return await self._fetch(self.account.url(fallback), call_status, why)

    def _report_stream(self, noun: Stream, stream: TwilioStream, event: str, error: str = "") -> None:
        if noun.status_callback is None:
            return
        form = {
            "AccountSid": self.account.account_sid,
            "CallSid": self.sid,
            "StreamSid": stream.stream_sid,
            "StreamName": noun.name or stream.stream_sid,
            "StreamEvent": event,
            "Timestamp": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "000Z"),
        }
        if error:
            form["StreamError"] = error
        self._errands.start_soon(self._notify, self.account.url(noun.status_callback), form)

    async def _report_end(self, ending: CallEnding) -> None:
        """What follows a call: the action that an ended `<Connect>` may get, and the number's status callback."""
        if ending.by is EndedBy.CALLER and self._action and self.account.action_follows_hang_up:
            await self._notify(self._action, self.webhooks.form("completed"))
        if self.account.status_path is not None:
            status = {EndedBy.REJECT: "busy", EndedBy.FAILED: "failed"}.get(ending.by, "completed")
            form = {
                **self.webhooks.form(status),
                "CallDuration": str(int(ending.at_s)),
                "Duration": str(-(-int(ending.at_s) // 60)),  # in minutes begun
                "CallbackSource": "call-progress-events",
                "SequenceNumber": "0",
                "Timestamp": datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S +0000"),
            }
            await self._notify(self.account.url(self.account.status_path), form)

    async def _notify(self, url: str, form: Mapping[str, str]) -> None:
        try:
            await self.webhooks.notify(url, form)
        except WebhookFailed as failed:
            self._warn(failed.code, failed.detail)

    def _end(self, by: EndedBy, detail: str = "") -> CallEnding:
        return CallEnding(by, self.handset.now, detail)

    def _warn(self, code: int, detail: str) -> None:
        self.warnings.append(StreamWarning(code, detail, self.handset.now))
