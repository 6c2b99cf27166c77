"""The caller's side of a recorded call, as it comes again."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import trio

from gateway.capture.caller import RecordedCaller, read_caller
from gateway.carriers.sip import leg_messages as wire
from gateway.contracts import Port
from gateway.media.latch import Address
from gateway.testing.live import inline
from gateway.traces.format import Header
from gateway.traces.reader import TraceUnreadable
from gateway.traces.recorder import Recorder

THEIRS = Address("192.0.2.1", 17_000)
AGREED = wire.MediaAgreed(codec="pcmu", payload_type=0, receives={0: "pcmu"}, rtp=THEIRS)
EARLY = wire.MediaAgreed(codec="pcmu", payload_type=0, receives={0: "pcmu"}, rtp=THEIRS, early=True)
RTP = wire.encode_datagram(wire.Datagram(THEIRS, bytes(172), authentic=True))
DIGIT = wire.encode(wire.DigitInformed(digit="5"))
OVER = wire.encode(wire.CallOver(why="hung up"))

Entry = tuple[float, Port, str | bytes]


async def recorded(folder: Path, entries: Sequence[Entry], *, carrier: str = "sip") -> Path:
    header = Header(
        call_id="c1",
        carrier=carrier,
        backend="none",
        caller="tel:a",
        called="tel:b",
        plan={},
        agents={},
        settings={"carrier_call": "c1"},
        seed=1,
        wall_time="2026-11-22T15:08:51.000+00:00",
        gateway_version="0",
    )
    trace = Recorder(folder / "c1", header)
    for seq, (at_s, port, data) in enumerate(entries, 1):
        trace.input(seq, round(at_s * 1e6), port, data)
    await trace.close(inline)
    return folder / "c1"


async def test_what_the_caller_did_counts_from_the_answer(tmp_path: Path):
    folder = await recorded(
        tmp_path,
        [
            (0.0, "carrier", wire.encode(wire.MessagePassed(sent=False, line="INVITE", cseq="1 INVITE"))),
            (1.0, "carrier", wire.encode(wire.Ringing(status=180))),
            (1.0, "carrier", wire.encode(EARLY)),
            (2.0, "carrier", RTP),
            (9.0, "carrier", wire.encode(AGREED)),
            (9.0, "voice", "{}"),
            (9.5, "carrier", RTP),
            (9.5, "tick", ""),
            (10.0, "carrier", DIGIT),
            (11.0, "carrier", wire.encode(wire.TransferTold(status=200))),
            (11.0, "command", '{"type":"hang_up","reason":"operator"}'),
            (12.0, "carrier", OVER),
            (12.1, "carrier", wire.encode(wire.MessagePassed(sent=True, line="200 OK", cseq="2 BYE"))),
        ],
    )

    call = read_caller(folder)

    assert call.said == [(0.0, wire.encode(AGREED)), (0.5, RTP), (1.0, DIGIT), (3.0, OVER)]
    assert call.lasts_s == 3.0


async def test_a_call_that_was_never_answered_has_no_caller_to_play(tmp_path: Path):
    folder = await recorded(tmp_path, [(0.0, "carrier", wire.encode(wire.Ringing(status=180)))])

    with pytest.raises(TraceUnreadable, match="c1: the call was never answered"):
        read_caller(folder)


async def test_a_call_of_another_carrier_is_said_to_be_one(tmp_path: Path):
    folder = await recorded(tmp_path, [], carrier="twilio")

    with pytest.raises(TraceUnreadable, match="a call of twilio, and only those of SIP can be rerun"):
        read_caller(folder)


async def test_a_message_of_a_gateway_to_come_is_said_to_be_unreadable(tmp_path: Path):
    folder = await recorded(tmp_path, [(0.0, "carrier", '{"event":"call.beamed"}')])

    with pytest.raises(TraceUnreadable, match="entry 1"):
        read_caller(folder)


async def test_each_thing_comes_when_it_came_then(autojump_clock):
    caller = RecordedCaller([(0.0, wire.encode(AGREED)), (0.5, RTP), (3.0, OVER)])
    began = trio.current_time()

    came = [(await caller.receive(), round(trio.current_time() - began, 3)) for _ in range(3)]

    assert came == [(wire.encode(AGREED), 0.0), (RTP, 0.5), (OVER, 3.0)]


async def test_behind_the_end_nothing_comes(autojump_clock):
    caller = RecordedCaller([(0.0, OVER)])
    await caller.receive()

    with trio.move_on_after(100) as patience:
        await caller.receive()

    assert patience.cancelled_caught


async def test_a_caller_who_was_hung_up_on_waits_a_while_and_hangs_up(autojump_clock):
    caller = RecordedCaller([(0.0, wire.encode(AGREED))])
    await caller.receive()
    began = trio.current_time()

    data = await caller.receive()

    assert data == OVER
    assert trio.current_time() - began == pytest.approx(5)
