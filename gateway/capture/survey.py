"""What a capture holds, by its signalling: its calls, and in a line each why there are no more."""

from pathlib import Path
from typing import Final, NamedTuple

from gateway.capture.calls import CallTracker, CapturedCall, Side
from gateway.capture.frames import CaptureReader
from gateway.capture.links import LINKS, PacketReader
from gateway.capture.messages import SipReader

__all__ = ["Survey", "survey"]

_MOST_PROBLEMS: Final = 10


class Survey(NamedTuple):
    """`packets`: how many the capture has. `problems`: a line each."""

    packets: int
    calls: list[CapturedCall]
    problems: list[str]


def survey(path: Path, ours: Side) -> Survey:
    """All calls of a capture, of which `ours` is our side. Raises `CaptureUnreadable`."""
    tracker, sip, packets = CallTracker(ours), SipReader(), PacketReader()
    count, strange = 0, ""
    with CaptureReader(path) as reader:
        for frame in reader.frames():
            count = frame.number
            if frame.link not in LINKS:
                strange = strange or f"packet {frame.number} is of link type {frame.link}, which is not read"
            packet = packets.take(frame)
            if packet is not None:
                for found in sip.take(packet):
                    tracker.take(packet, found)
    problems = [str(problem) for problem in tracker.problems]
    if len(problems) > _MOST_PROBLEMS:
        problems[_MOST_PROBLEMS:] = [f"and {len(problems) - _MOST_PROBLEMS} more"]
    if not tracker.calls:
        tls = "" if sip.tls_at is None else f"packet {sip.tls_at} begins TLS: SIP inside of it is encrypted"
        none = f"none of its {count} packets is the INVITE of a call"
        problems.append(f"no call: {tls or strange or none}")
    if packets.cut:
        problems.append(f"{packets.cut} of its packets were cut off; tcpdump -s 0 keeps them whole")
    if reader.damage:
        problems.append(reader.damage)
    return Survey(count, tracker.calls, problems)
