"""What 20 ms of a SIP call cost: packet in, tick, voice `echo`, packet out, without the network and without waiting.

    python ops/bench/call_cost.py [--calls 100] [--rounds 300] [--only cores|calls]

All calls are in one process, and each has its turn every 20 ms of a clock that is set, a quarter of them at a time, as in
a gateway; so memory is as cold as it is there. Of all rounds the cheapest counts, which a noisy machine changes least.
`cores`: gate, call core and echo, without a driver. `calls`: everything but the sockets.
"""

import argparse
import gc
import random
import resource
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
import structlog
import trio
import trio.testing

from gateway.audio.g711 import CODECS
from gateway.audio.tones import sine
from gateway.building import CallBuilder
from gateway.calls.core import CallCore
from gateway.calls.services import Services
from gateway.calls.settings import CallSettings
from gateway.carriers.sip.leg import SipLeg
from gateway.carriers.sip.leg_core import SipLegCore
from gateway.carriers.sip.leg_messages import encode
from gateway.carriers.sip.media_gate import MediaGate
from gateway.carriers.sip.media_ports import MediaPort
from gateway.carriers.sip.told import media_agreed
from gateway.contracts import CarrierMessage, OpenVoice, VoiceMessage, VoiceOpened
from gateway.dialplan.plan import load
from gateway.dialplan.steps import StepMachine
from gateway.incoming import NewCall
from gateway.media.latch import Address
from gateway.media.rtp_sender import RtpSender
from gateway.messages import Command
from gateway.settings import Settings
from gateway.voice.backends.echo import EchoBackend, EchoCore
from gateway.wire import rtp
from gateway.wire.sdp.agreement import Agreed
from gateway.wire.sdp.media import Direction

TICK_S = 0.02
PHASES = 4
SETTLED = 150  # rounds until greeting, reports and buffers are as they are from then on
PLAN = load(Path(__file__).parents[2] / "dialplans" / "reception.toml").plans["reception"]
TONE = CODECS["pcmu"].encode(sine(440, 1000))


class Turn(NamedTuple):
    """`take`: has a call take its 20 ms that begin now."""

    phone: "Phone"
    take: Callable[[float], None]


class Phone:
    """The far end of one call."""

    def __init__(self, number: int) -> None:
        self.address = Address("127.0.0.1", 20_000 + 2 * number)
        self.agreed = Agreed(
            codec="pcmu",
            address=self.address.host,
            port=self.address.port,
            payload_type=0,
            event_payload_type=101,
            receives={0: "pcmu", 101: "telephone-event"},
            direction=Direction.SENDRECV,
            rtcp_address=self.address.host,
            rtcp_port=self.address.port + 1,
        )
        self.media = encode(media_agreed(self.agreed))
        self._sender = RtpSender(random.Random(number))
        self._frames = 7 * number

        self.packet = b""

    def speak(self) -> None:
        """Have the next packet ready."""
        self._frames += 1
        at = self._frames % 50 * 160
        frame = TONE[at : at + 160]
        self.packet = rtp.encode(self._sender.frame(frame, payload_type=0, event_payload_type=None))


# -- cores


def core_turns(count: int) -> list[Turn]:
    return [core_turn(Phone(number)) for number in range(count)]


def core_turn(phone: Phone) -> Turn:
    """A call core with an echo, fed as a driver does."""
    gate, echo = MediaGate(), EchoCore(random.Random(phone.address.port))
    gate.agree(phone.agreed)
    core = CallCore(
        SipLegCore("bench", rng=random.Random(phone.address.port)),
        lambda call: StepMachine(PLAN.steps, call, PLAN.fallback),
        PLAN.agents,
        frozenset(PLAN.destinations),
        CallSettings(voices=(EchoBackend.traits,)),
        rng=random.Random(phone.address.port),
    )

    def feed(port: Any, data: str | bytes, now: float) -> None:
        core.feed(port, data, now)
        for output in core.drain():
            if isinstance(output, CarrierMessage):
                gate.release(cast("bytes", output.data))
            elif isinstance(output, VoiceMessage):
                echo.receive(output.data)
            elif isinstance(output, OpenVoice):
                commands.append(VoiceOpened(session=output.session))

    def take(now: float) -> None:
        framed = gate.admit(phone.packet, phone.address, now, rtcp=False)
        assert framed is not None
        feed("carrier", framed, now)
        feed("tick", "", now)
        while commands:
            feed("command", msgspec.json.encode(commands.popleft()).decode(), now)
        for event in echo.outgoing():
            feed("voice", event, now)

    commands: deque[Command] = deque()
    feed("carrier", phone.media, 0.0)
    return Turn(phone, take)


# -- whole calls


class StepClock(trio.abc.Clock):
    """Time that somebody sets."""

    now = 1000.0

    def start_clock(self) -> None:
        pass

    def current_time(self) -> float:
        return self.now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        return max(deadline - self.now, 0.0)


class Socket:
    """One that `phone` sends to, a packet each time it is looked at."""

    def __init__(self, phone: Phone | None) -> None:
        self._phone = phone
        self.sent = 0

    def recvfrom(self, _most_bytes: int) -> tuple[bytes, tuple[str, int]]:
        if self._phone is None:
            raise BlockingIOError
        host, port = self._phone.address
        return self._phone.packet, (host, port)

    def sendto(self, data: bytes, _address: object) -> int:
        self.sent += 1
        return len(data)


class Ports:
    """`MediaPorts` for one call."""

    def __init__(self, phone: Phone) -> None:
        self.rtp = Socket(phone)
        self.port: MediaPort | None = None

    def open(self, hear: Callable[[bytes], None], failed: Callable[[str], None]) -> MediaPort:
        sockets = cast("Any", (self.rtp, Socket(None)))
        self.port = MediaPort(20_000, *sockets, hear=hear, failed=failed, closed=lambda *_: None)
        return self.port


class Signals:
    """A session that stands."""

    transfer_answered = False
    parted = True

    def told(self) -> list[Any]:
        return []

    def answer(self, _now: float) -> None:
        pass

    def hang_up(self, _reason: object, _now: float) -> None:
        pass


async def call_turns(count: int, nursery: trio.Nursery) -> list[Turn]:
    ticks: list[Callable[[], None]] = []
    backend = EchoBackend()

    def add_tick(tick: Callable[[], None]) -> Callable[[], None]:
        ticks.append(tick)
        return lambda: None

    services = Services(
        backends={"echo": backend},
        synthesize=cast("Any", None),
        load_clip=cast("Any", None),
        run_tool=cast("Any", None),
        run_blocking=cast("Any", None),
        add_tick=add_tick,
        watch=lambda _call, _fact: None,
        clear_took=lambda _s: None,
    )
    log = structlog.wrap_logger(None, processors=[_silent])
    builder = CallBuilder(Settings(), services, cast("Any", log), folder=None, pseudonyms=None)
    turns = []
    for number in range(count):
        phone = Phone(number)
        ports = Ports(phone)
        leg = SipLeg(cast("Any", ports), carry=lambda _leg: None, target_of=lambda _name: None)
        leg.signalling = cast("Any", Signals())
        new = NewCall(carrier="sip", carrier_call="bench", caller="+15550100001", called="+15550100002")
        call, _ = builder.build(leg, new, PLAN)
        nursery.start_soon(call.run)
        await trio.testing.wait_all_tasks_blocked()
        assert ports.port is not None
        ports.port.agree(phone.agreed)
        leg._take(phone.media)  # noqa: SLF001 - what a signalling would tell
        await trio.testing.wait_all_tasks_blocked()
        turns.append(_call_turn(phone, ports.port, ticks[-1]))
    return turns


def _call_turn(phone: Phone, port: MediaPort, tick: Callable[[], None]) -> Turn:
    def take(now: float) -> None:
        port.read_rtp(now, 1)
        tick()

    return Turn(phone, take)


def _silent(*_: object) -> Any:
    raise structlog.DropEvent


# -- measuring


def rounds(turns: list[Turn], clock: StepClock, count: int) -> Iterator[float]:
    """What each round of all calls takes, in seconds of this thread."""
    for _ in range(count):
        for turn in turns:
            turn.phone.speak()
        began = time.thread_time()
        for phase in range(PHASES):
            clock.now += TICK_S / PHASES
            for turn in turns[phase::PHASES]:
                turn.take(clock.now)
        yield time.thread_time() - began


def row(name: str, taken: list[float], calls: int, kb: float) -> str:
    us = [seconds * 1e6 / calls for seconds in taken[SETTLED:]]
    least, middle = min(us), statistics.median(us)
    return f"{name:6} {least:9.1f} {middle:9.1f} {least / 20:12.2f} {kb:9.0f}"


def rss_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def whole_calls(clock: StepClock, options: argparse.Namespace) -> str:
    async with trio.open_nursery() as nursery:
        kb = rss_kb()
        turns = await call_turns(options.calls, nursery)
        gc.collect()
        gc.freeze()
        taken = list(rounds(turns, clock, SETTLED + options.rounds))
        kb = rss_kb() - kb
        nursery.cancel_scope.cancel()
    return row("calls", taken, options.calls, kb / options.calls)


def cores_alone(clock: StepClock, options: argparse.Namespace) -> str:
    kb = rss_kb()
    turns = core_turns(options.calls)
    gc.collect()
    gc.freeze()
    taken = list(rounds(turns, clock, SETTLED + options.rounds))
    return row("cores", taken, options.calls, (rss_kb() - kb) / options.calls)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--only", choices=("cores", "calls"))
    options = parser.parse_args()
    clock = StepClock()
    print(f"{'':6} {'us a tick':>9} {'p50':>9} {'ms a call s':>12} {'kB a call':>9}")
    if options.only != "calls":
        clock.now = 0.0
        print(cores_alone(clock, options))
    if options.only != "cores":
        clock.now = 1000.0
        print(trio.run(whole_calls, clock, options, clock=clock))


if __name__ == "__main__":
    main()
