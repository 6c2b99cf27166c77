"""The driver of one SIP call: what its signalling tells and what its media brings, as one line of messages."""

from collections import deque
from collections.abc import Callable, Sequence

import trio

from gateway.carriers.sip.leg_messages import CallOver, MediaFailed, Ringing, encode
from gateway.carriers.sip.media_gate import MediaCounts
from gateway.carriers.sip.media_ports import MediaPorts
from gateway.carriers.sip.signalling import Signalling
from gateway.contracts import EndReason, LegLost, TransferFailed
from gateway.wire.sip.uri import SipUri

__all__ = ["SipLeg"]

# As much media as a call takes in a second and a half, whose loop did not come to it; what is older is worth nothing.
_MOST_WAITING = 75
# A BYE is sent three times in as long; who has not answered by then knows, or is gone.
_GOODBYE_S = 1.0


class SipLeg:
    """The `CallLeg` of one SIP call.

    `signalling` is to be given before anything else. `carry` has the user agent send what its sessions said.
    `target_of`: where a destination of the dialplan is to be called; None: there is none of that name; ValueError: it is
    none for SIP. `dropped`: packets that nobody took in time. Raises `NoPorts`.
    """

    signalling: Signalling

    def __init__(
        self,
        media: MediaPorts,
        *,
        carry: Callable[["SipLeg"], None],
        target_of: Callable[[str], SipUri | None],
    ) -> None:
        self.dropped = 0
        self._port = media.open(self.hear, self.media_failed)
        self._carry = carry
        self._target_of = target_of
        self._waiting: deque[str | bytes] = deque()
        self._last_words: list[str | bytes] = []
        self._is_over = False  # what comes now has no effect on the call any more
        self._arrived = trio.Event()
        self._transfer_done = trio.Event()
        self._over = trio.Event()
        self._is_released = False
        self._hear: Callable[[str | bytes], None] | None = None

    @property
    def rtp_port(self) -> int:
        """Where we receive."""
        return self._port.rtp_port

    @property
    def media_counts(self) -> MediaCounts:
        """What of its media went no further than the gate; also of a leg that is released."""
        return self._port.counts

    # -- what happens; synchronous

    def settle(self) -> None:
        """Take what the signalling tells."""
        for message, agreed in self.signalling.told():
            if agreed is not None:
                self._port.agree(agreed)
            self._take(encode(message))
            self._is_over = self._is_over or isinstance(message, CallOver)
        if self.signalling.transfer_answered:
            self._transfer_done.set()
        if self.signalling.parted:
            self._over.set()

    def calling(self) -> None:
        """It is we who call: from now on it may ring. Some say so after many seconds, and some never."""
        self._take(encode(Ringing(status=100)))

    def hear(self, datagram: bytes) -> None:
        """Media came, as leg_messages.py frames it."""
        if self._is_over:
            return
        if self._hear is not None:
            self._hear(datagram)
        elif len(self._waiting) < _MOST_WAITING:
            self._take(datagram)
        else:
            self.dropped += 1

    def media_failed(self, why: str) -> None:
        self._take(encode(MediaFailed(detail=why)))

    def _take(self, data: str | bytes) -> None:
        if self._is_over:
            self._last_words.append(data)
        elif self._hear is not None:
            self._hear(data)
        else:
            self._waiting.append(data)
            self._arrived.set()

    # -- PromptLeg

    def hear_with(self, hear: Callable[[str | bytes], None]) -> None:
        while self._waiting:
            hear(self._waiting.popleft())
        self._hear = hear

    def send_now(self, data: str | bytes) -> None:
        if isinstance(data, bytes):
            self._port.send(data)

    # -- CallLeg

    async def receive(self) -> str | bytes:
        while not self._waiting:
            if self._is_released:
                raise LegLost("the call is over")
            self._arrived = trio.Event()
            await self._arrived.wait()
        return self._waiting.popleft()

    async def send(self, data: str | bytes) -> None:
        if self._is_released:
            raise LegLost("the call is over")
        if isinstance(data, bytes):
            self._port.send(data)
        await trio.lowlevel.checkpoint()

    async def answer(self) -> None:
        self.signalling.answer(trio.current_time())
        self._did()

    async def transfer(self, destination: str) -> None:
        """Have the far end call the destination (REFER), and wait for how that goes."""
        try:
            target = self._target_of(destination)
        except ValueError as error:
            raise TransferFailed(str(error)) from None
        if target is None:
            raise TransferFailed("there is no such destination")
        self._transfer_done = trio.Event()
        if not self.signalling.transfer(target, trio.current_time()):
            raise TransferFailed("the far end can be sent nowhere now")
        self._did()
        await self._transfer_done.wait()
        outcome = self.signalling.transfer_outcome
        if outcome is None or outcome >= 300:
            raise TransferFailed(f"the far end could not: SIP {outcome}" if outcome else "the call is over")

    async def finish(self, reason: EndReason) -> None:
        """Hang up, or refuse; then wait a moment for the far end to say that it knows."""
        self._is_over = True
        self.signalling.hang_up(reason, trio.current_time())
        self._did()
        with trio.move_on_after(_GOODBYE_S):
            await self._over.wait()

    def last_words(self) -> Sequence[str | bytes]:
        """What came or passed when the call was over; without the media, which nobody hears any more."""
        words = [each for each in (*self._waiting, *self._last_words) if isinstance(each, str)]
        self._waiting.clear()
        self._last_words.clear()
        return words

    def release(self) -> None:
        self._is_released = self._is_over = True
        self._port.close()
        self._arrived.set()

    def _did(self) -> None:
        """Something was done with the session."""
        self.settle()
        self._carry(self)
