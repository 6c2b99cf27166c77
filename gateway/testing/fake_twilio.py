"""A Twilio account to test a gateway with: it signs, asks webhooks, streams and plays as Twilio does.

    async with FakeTwilio(TwilioAccount(account_sid=…, auth_token=…, public_url=…, dial=…)) as twilio:
        async with twilio.call(from_="+15550100001", to="+15550100002") as caller:
            await caller.says("hello.wav")
            await caller.speaking()
            await caller.hangs_up()

It runs over sockets in real time and over memory streams in virtual time alike. Whatever wrong TwiML the gateway
answers with is raised as `TwimlInvalid`; whatever wrong messages it streams are in `caller.warnings`.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from types import MappingProxyType, TracebackType
from typing import Self

import trio

from gateway.net.pacing import PacingClock
from gateway.net.tasks import open_tasks
from gateway.testing.handset import Handset
from gateway.testing.twilio_account import TwilioAccount as TwilioAccount
from gateway.testing.twilio_call import TwilioCall
from gateway.testing.twilio_caller import Caller
from gateway.testing.twilio_stream import MediaFormat

__all__ = ["FakeTwilio", "TwilioAccount"]

# What is left of a call when its block is left: `stop`, a close handshake, status callbacks.
FAREWELL_S = 5

_NOTHING: Mapping[str, str] = MappingProxyType({})


class FakeTwilio:
    """One account; an async context manager."""

    def __init__(self, account: TwilioAccount) -> None:
        self.account = account
        self.calls: dict[str, TwilioCall] = {}  # those whose block stands
        self._pacing = PacingClock()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        nursery = await self._stack.enter_async_context(open_tasks())
        self._stack.callback(nursery.cancel_scope.cancel)
        nursery.start_soon(self._pacing.run)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return await self._stack.__aexit__(kind, error, traceback)

    @asynccontextmanager
    async def call(
        self,
        *,
        from_: str,
        to: str,
        parameters: Mapping[str, str] = _NOTHING,
        voice_deliveries: int = 1,
        sends_start: bool = True,
        media_format: MediaFormat = MediaFormat(),  # noqa: B008 -- frozen, so one for all is safe
    ) -> AsyncIterator[Caller]:
        """Call the gateway; the block begins when a stream stands or the call is over, and its end hangs up.

        `parameters`: more for the voice webhook, or other values for what it carries. `voice_deliveries`: how
        often the voice webhook is asked, as in a retry. `sends_start` false: the stream never says `start`.
        Raises `TwimlInvalid`, at any time, when the gateway answers what Twilio would not take.
        """
        handset = Handset(self._pacing)
        call = TwilioCall(
            self.account,
            handset,
            from_=from_,
            to=to,
            parameters=parameters,
            voice_deliveries=voice_deliveries,
            sends_start=sends_start,
            media_format=media_format,
        )
        self.calls[call.sid] = call
        try:
            async with open_tasks() as nursery:
                gone = trio.Event()
                nursery.start_soon(_run, call, gone)
                await handset.until(lambda: bool(handset.streams) or call.ending is not None)
                yield Caller(call, handset)
                call.hang_up()
                with trio.move_on_after(FAREWELL_S):
                    await gone.wait()
                nursery.cancel_scope.cancel()
        finally:
            handset.put_down()
            del self.calls[call.sid]


async def _run(call: TwilioCall, gone: trio.Event) -> None:
    await call.run()
    gone.set()
