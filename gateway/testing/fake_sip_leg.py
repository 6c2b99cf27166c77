"""A SIP call without SIP: a `CallLeg`, and `PromptLeg`, with a telephone at its end, and a network between that loses and delays.

async with trio.open_nursery() as nursery:
    leg = FakeSipLeg(random.Random(1), loss=0.05, jitter_s=0.03)
    nursery.start_soon(leg.run)
    nursery.start_soon(gateway.host, leg, leg.new_call())
    await leg.speaking()
    await leg.says(pcm)
    await leg.hangs_up()
"""

import heapq
import math
from collections.abc import Callable, Sequence
from random import Random

import trio

from gateway.audio.g711 import CODECS
from gateway.carriers.sip.leg_messages import (
    CallOver,
    DigitInformed,
    FromSip,
    MessagePassed,
    TransferTold,
    decode_datagram,
    encode,
    encode_datagram,
)
from gateway.contracts import EndReason, LegLost, TransferFailed
from gateway.incoming import NewCall
from gateway.net.pacing import TICK_S
from gateway.testing.handset import CallOver as Over
from gateway.testing.rtp_network import RtpNetwork
from gateway.testing.sip_phone import SipPhone
from gateway.wire.sdp.media import Direction

__all__ = ["FakeSipLeg"]

_SIGNALLING_S = 0.03
_SPEAKING_S = 0.05
_RATE_HZ = 8000


class FakeSipLeg:
    """Both ends of a call: `receive` to `release` are the gateway's, all other verbs the caller's, who may get
    `handset.CallOver`.

    `delay_s`, `jitter_s`, `loss`, `duplicates`: of the network, each way. `takes_transfers`: what the carrier says to
    a REFER. Signalling is neither lost nor late.
    """

    def __init__(
        self,
        rng: Random,
        *,
        delay_s: float = 0.02,
        jitter_s: float = 0.0,
        loss: float = 0.0,
        duplicates: float = 0.0,
        takes_transfers: bool = True,
    ) -> None:
        self.phone = SipPhone(rng)
        self.reason: EndReason | None = None
        self.answered = False
        self.transferred_to: str | None = None
        self._takes_transfers = takes_transfers
        self._network = RtpNetwork(rng, delay_s=delay_s, jitter_s=jitter_s, loss=loss, duplicates=duplicates)
        self._to_gateway: list[tuple[float, int, str | bytes]] = []
        self._to_phone: list[tuple[float, int, bytes]] = []
        self._sent = 0
        self._last_words: list[str] = []
        self._arrived = trio.Event()
        self._hear: Callable[[str | bytes], None] = lambda _data: None
        self._listened = trio.Event()
        self._over = False
        self._waiting = trio.lowlevel.ParkingLot()
        self._tell(MessagePassed(sent=False, line="INVITE", cseq="1 INVITE"), self.phone.agrees())

    def new_call(self) -> NewCall:
        """What the door knows of it."""
        return NewCall(
            carrier="sip", carrier_call="a84b4c76e66710", caller="+15550100001", called="+15550100002"
        )

    async def run(self) -> None:
        """Let time pass, until the call is over."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._carry)
            await self._live()

    async def _carry(self) -> None:
        await self._listened.wait()
        try:
            while True:
                data = await self.receive()
                self._hear(data)
        except LegLost:
            return

    async def _live(self) -> None:
        began_s = trio.current_time()
        ticks = 0
        while not self._over:
            self._tick()
            ticks += 1
            await trio.sleep_until(began_s + ticks * TICK_S)

    def _tick(self) -> None:
        now = trio.current_time()
        while self._to_phone and self._to_phone[0][0] <= now:
            at_s, _, data = heapq.heappop(self._to_phone)
            self.phone.receive(decode_datagram(data), at_s)
        for datagram in self.phone.tick(now):
            for at_s in self._network.arrivals(now):
                self._deliver(encode_datagram(datagram), at_s)
        self._waiting.unpark_all()

    def _deliver(self, data: str | bytes, at_s: float) -> None:
        self._sent += 1
        heapq.heappush(self._to_gateway, (at_s, self._sent, data))
        self._arrived.set()

    def _tell(self, *messages: FromSip) -> None:
        for message in messages:
            self._deliver(encode(message), trio.current_time() + _SIGNALLING_S)

    # -- PromptLeg

    def hear_with(self, hear: Callable[[str | bytes], None]) -> None:
        self._hear = hear
        self._listened.set()

    def send_now(self, data: str | bytes) -> None:
        assert isinstance(data, bytes)
        for at_s in self._network.arrivals(trio.current_time()):
            self._sent += 1
            heapq.heappush(self._to_phone, (at_s, self._sent, data))

    # -- CallLeg

    async def receive(self) -> str | bytes:
        while True:
            if self._over:
                raise LegLost("the call is over")
            next_s = self._to_gateway[0][0] if self._to_gateway else math.inf
            if next_s <= trio.current_time():
                return heapq.heappop(self._to_gateway)[2]
            self._arrived = trio.Event()
            with trio.move_on_at(next_s):
                await self._arrived.wait()

    async def send(self, data: str | bytes) -> None:
        if self._over:
            raise LegLost("the call is over")
        self.send_now(data)
        await trio.lowlevel.checkpoint()

    async def answer(self) -> None:
        self.answered = True
        self._tell(
            MessagePassed(sent=True, line="200 OK", cseq="1 INVITE"),
            MessagePassed(sent=False, line="ACK", cseq="1 ACK"),
        )
        await trio.lowlevel.checkpoint()

    async def transfer(self, destination: str) -> None:
        self._tell(MessagePassed(sent=True, line="REFER", cseq="1 REFER"))
        await trio.sleep(2 * _SIGNALLING_S)
        if not self._takes_transfers:
            self._tell(MessagePassed(sent=False, line="603 Decline", cseq="1 REFER"))
            raise TransferFailed("SIP 603")
        self.transferred_to = destination
        self._tell(
            MessagePassed(sent=False, line="202 Accepted", cseq="1 REFER"),
            TransferTold(status=200, last=True),
        )
        await trio.sleep(2 * _SIGNALLING_S)

    async def finish(self, reason: EndReason) -> None:
        """Whoever did not hang up is told BYE, and answers it."""
        self.reason = reason
        if reason is EndReason.CALLER_HUNG_UP:
            await trio.lowlevel.checkpoint()
            return
        bye = MessagePassed(sent=True, line="BYE", cseq="2 BYE")
        self._last_words.append(encode(bye))
        await trio.sleep(2 * _SIGNALLING_S)
        self._last_words.append(encode(MessagePassed(sent=False, line="200 OK", cseq="2 BYE")))

    def last_words(self) -> Sequence[str | bytes]:
        words, self._last_words = self._last_words, []
        return words

    def release(self) -> None:
        self._over = True
        self._listened.set()
        self._arrived.set()
        self._waiting.unpark_all()

    # -- what the caller does

    async def says(self, audio: bytes) -> None:
        """Say PCM of 8000 Hz to its end."""
        self.phone.microphone.say(CODECS["pcmu"].encode(audio))
        await self._said()

    async def presses(self, digits: str) -> None:
        """Press keys, 200 ms each, which go as events."""
        self.phone.microphone.press(digits)
        await self._said()

    async def informs(self, digits: str) -> None:
        """Press keys that go by INFO."""
        for digit in digits:
            self._tell(DigitInformed(digit=digit, duration_ms=160))
            await self.silence(0.2)

    async def silence(self, seconds: float) -> None:
        self.phone.microphone.say(CODECS["pcmu"].silence * round(seconds * _RATE_HZ))
        await self._said()

    async def holds(self) -> None:
        """Put the agent on hold, who hears and is heard no more."""
        self.phone.muted = True
        self._renegotiates(direction=Direction.INACTIVE)
        await trio.lowlevel.checkpoint()

    async def resumes(self) -> None:
        self.phone.muted = False
        self._renegotiates()
        await trio.lowlevel.checkpoint()

    async def hangs_up(self) -> None:
        self._tell(MessagePassed(sent=False, line="BYE", cseq="9 BYE"), CallOver(why="hung up", cause=16))
        await self.ended()

    def _renegotiates(self, **changes: Direction) -> None:
        self._tell(
            MessagePassed(sent=False, line="INVITE", cseq="3 INVITE"),
            self.phone.agrees(**changes),
            MessagePassed(sent=True, line="200 OK", cseq="3 INVITE"),
        )

    # -- what he notices

    async def speaking(self) -> None:
        """Wait until the agent is audibly speaking."""
        await self._until(lambda: self._silent_s() < _SPEAKING_S)

    async def quiet(self, seconds: float) -> None:
        """Wait until the agent has been silent for so long from now on; a call that is over is silent."""
        since_s = trio.current_time()
        try:
            await self._until(lambda: min(trio.current_time() - since_s, self._silent_s()) >= seconds)
        except Over:
            return

    async def ended(self) -> EndReason:
        """Wait for the end of the call, and how it ended."""
        await self._until(lambda: self._over)
        assert self.reason is not None
        return self.reason

    def _silent_s(self) -> float:
        last_s = self.phone.last_audible_s
        return math.inf if last_s is None else trio.current_time() - last_s

    async def _said(self) -> None:
        microphone = self.phone.microphone
        last = microphone.added_frames
        await self._until(lambda: microphone.taken_frames >= last)

    async def _until(self, happened: Callable[[], bool]) -> None:
        while not happened():
            if self._over:
                raise Over
            await self._waiting.park()
