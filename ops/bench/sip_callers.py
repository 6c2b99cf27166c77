"""Callers for measuring: SIP calls with a tone each, in one loop of one process, and what came back of each.

    python ops/bench/sip_callers.py --sip PORT [--calls 100] [--seconds 20] [--rate 50] [--loss 0.03] [--control PORT]

Prints one JSON object. `--loss`: of packets each way, seeded. `--control`: where sip_plain.py sends RTP back, which does
nothing else; one caller more talks to that meanwhile, so that what the machine itself does to packets is seen beside it.
"""

import argparse
import json
import random
import re
import select
import socket
import struct
import time
from dataclasses import dataclass, field

import numpy as np

from gateway.audio.g711 import CODECS

HOST = "127.0.0.1"
FRAME_S = 0.02
FRAME = 160
SILENT_S = 0.5
LATE_S = 0.040
PCMU = CODECS["pcmu"]


def tone(hz: float, seconds: float) -> bytes:
    """Half a second of silence, then a tone at -12 dBFS, as PCMU."""
    t = np.arange(int(8000 * seconds)) / 8000
    wave = np.where(t < SILENT_S, 0.0, 0.25 * np.sin(2 * np.pi * hz * t))
    return PCMU.encode((wave * 32767).astype("<i2").tobytes())


def socket_on(port: int = 0) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind((HOST, port))
    sock.setblocking(False)
    return sock


@dataclass(eq=False)
class Caller:
    """One call. `to`: where its audio goes, once it is answered. `arrived`: when each packet came, its timestamp, its audio."""

    number: int
    hz: float
    audio: bytes
    rtp: socket.socket
    ssrc: int = 0
    to: tuple[str, int] | None = None
    began: float = 0.0
    sent: int = 0
    arrived: list[tuple[float, int, bytes]] = field(default_factory=list)
    invited: float = 0.0
    setup_ms: float = 0.0
    dialog: str = ""

    def speak(self, now: float, rng: random.Random, loss: float) -> None:
        """Send the frames that are due."""
        while self.to is not None and self.sent * FRAME < len(self.audio):
            at = self.began + self.sent * FRAME_S
            if at > now:
                return
            head = struct.pack("!BBHII", 128, 0, self.sent & 0xFFFF, self.sent * FRAME, self.ssrc)
            if rng.random() >= loss:
                self.rtp.sendto(head + self.audio[self.sent * FRAME : (self.sent + 1) * FRAME], self.to)
            self.sent += 1

    def hear(self, rng: random.Random, loss: float) -> None:
        for _ in range(8):
            try:
                packet = self.rtp.recv(2048)
            except BlockingIOError:
                return
            if packet[1] & 0x7F:  # RTCP for the caller whose port is one below
                continue
            if rng.random() >= loss:
                (stamp,) = struct.unpack_from("!I", packet, 4)
                self.arrived.append((time.perf_counter(), stamp, packet[12:]))


class Line:
    """The signalling of all callers, over one UDP socket to `port`."""

    def __init__(self, port: int) -> None:
        self.sock = socket_on()
        self.port = port
        self.local = self.sock.getsockname()[1]
        self.refused = 0
        self._callers: dict[str, Caller] = {}

    def invite(self, caller: Caller) -> None:
        media = caller.rtp.getsockname()[1]
        sdp = (
            f"v=0\r\no=- 1 1 IN IP4 {HOST}\r\ns=-\r\nc=IN IP4 {HOST}\r\nt=0 0\r\n"
            f"m=audio {media} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
        )
        self._callers[self._name(caller)] = caller
        caller.invited = time.perf_counter()
        self._send(
            "INVITE", caller, 1, f"Content-Type: application/sdp\r\nContent-Length: {len(sdp)}\r\n\r\n{sdp}"
        )

    def hang_up(self, caller: Caller) -> None:
        self._send("BYE", caller, 2)

    def read(self) -> list[Caller]:
        """Those whose call was answered now."""
        answered: list[Caller] = []
        while True:
            try:
                text = self.sock.recv(65536).decode(errors="replace")
            except BlockingIOError:
                return answered
            name = re.search(r"(?m)^Call-ID: (\S+)@", text)
            caller = self._callers.get(name[1]) if name else None
            invite = re.search(r"(?m)^CSeq: \d+ INVITE", text)
            if caller is None or invite is None or not text.startswith("SIP/2.0 "):
                continue
            status = int(text[8:11])
            self.refused += status >= 300
            if status != 200:
                continue
            tag = re.search(r"(?m)^To: [^\r]*(;tag=[^;\r]+)", text)
            caller.dialog = tag[1] if tag else ""
            self._send("ACK", caller, 1)
            if caller.to is None:
                media = re.search(r"m=audio (\d+)", text)
                caller.to, caller.began = (HOST, int(media[1]) if media else 0), time.perf_counter()
                caller.setup_ms = (caller.began - caller.invited) * 1000
                answered.append(caller)

    def _name(self, caller: Caller) -> str:
        return f"{caller.number}-{self.local}"

    def _send(self, method: str, caller: Caller, cseq: int, rest: str = "Content-Length: 0\r\n\r\n") -> None:
        name = self._name(caller)
        text = (
            f"{method} sip:+15550100002@{HOST}:{self.port} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {HOST}:{self.local};branch=z9hG4bK-{name}-{method}-{cseq};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:+15550100001@{HOST}>;tag={name}\r\n"
            f"To: <sip:+15550100002@{HOST}>{caller.dialog}\r\nCall-ID: {name}@bench\r\nCSeq: {cseq} {method}\r\n"
            f"Contact: <sip:bench@{HOST}:{self.local}>\r\n{rest}"
        )
        self.sock.sendto(text.encode(), (HOST, self.port))


class Crowd:
    """All callers, on one clock."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.rng = random.Random(options.seed)
        self.line = Line(options.sip)
        count = options.calls + bool(options.control)
        self.callers = [
            Caller(
                n, hz := 300 + 17 * (n % 90), tone(hz, options.seconds), socket_on(), self.rng.getrandbits(32)
            )
            for n in range(count)
        ]
        self.control = self.callers[-1] if options.control else None
        self.polled = select.epoll()
        self.by_fd = {each.rtp.fileno(): each for each in self.callers}
        for fd in (*self.by_fd, self.line.sock.fileno()):
            self.polled.register(fd, select.EPOLLIN)

    def talk(self) -> None:
        """Call, say the tone, hang up."""
        start = time.perf_counter()
        coming = list(self.callers)
        every_s = 1 / self.options.rate
        end = start + len(coming) * every_s + self.options.seconds + 1.0
        while (now := time.perf_counter()) < end:
            if coming and now >= start + (len(self.callers) - len(coming)) * every_s:
                self._call(coming.pop(0), now)
            for each in self.callers:
                each.speak(now, self.rng, self.options.loss)
            self._hear()
        for caller in self.callers:
            if caller is not self.control and caller.to is not None:
                self.line.hang_up(caller)
        time.sleep(0.3)

    def _call(self, caller: Caller, now: float) -> None:
        if caller is self.control:
            caller.to, caller.began = (HOST, self.options.control), now
        else:
            self.line.invite(caller)

    def _hear(self) -> None:
        """Without ever sleeping: whoever sends to a process that sleeps has to wake it, and pays for that himself."""
        for fd, _ in self.polled.poll(0):
            if fd == self.line.sock.fileno():
                self.line.read()
            else:
                self.by_fd[fd].hear(self.rng, self.options.loss)


def judged(caller: Caller) -> dict[str, float]:
    """What the far end heard. Late: more than 40 ms behind the earliest packet's schedule, as timestamps have it."""
    nothing = {"packets": len(caller.arrived), "late": 0, "snr_db": 0.0, "gaps_ms": 1e9, "delay_ms": 1e9}
    if len(caller.arrived) < 50:
        return nothing
    first = caller.arrived[0][1]
    placed = [(at, (stamp - first) & 0xFFFFFFFF, audio) for at, stamp, audio in caller.arrived]
    offsets = [at - stamp / 8000 for at, stamp, _ in placed]
    base = min(offsets)
    heard = np.zeros(max(stamp for _, stamp, _ in placed) + FRAME)
    for _, stamp, audio in placed:
        pcm = np.frombuffer(PCMU.decode(audio), "<i2") / 32768
        heard[stamp : stamp + len(pcm)] = pcm
    level = np.sqrt(np.convolve(heard**2, np.ones(80) / 80, "same"))
    loud = np.flatnonzero(level > 0.05)
    if not len(loud):
        return nothing
    begins, ends = loud[0], loud[-1]
    gaps_ms = np.sum(level[begins + FRAME : ends - FRAME] < 0.02) / 8
    return {
        "packets": len(placed),
        "late": sum(offset - base > LATE_S for offset in offsets),
        "snr_db": round(snr_db(heard[begins + 4000 : ends - 4000], caller.hz), 1),
        "gaps_ms": round(float(gaps_ms), 1),
        "delay_ms": round((base + begins / 8000 - caller.began - SILENT_S) * 1000, 1),
    }


def snr_db(heard: np.ndarray, hz: float) -> float:
    """Of a tone, median over half seconds, whatever its phase."""
    t = np.arange(4000) / 8000
    basis = np.stack([np.sin(2 * np.pi * hz * t), np.cos(2 * np.pi * hz * t), np.ones(4000)], 1)
    ratios = []
    for at in range(0, len(heard) - 4000, 4000):
        piece = heard[at : at + 4000]
        fit = basis @ np.linalg.lstsq(basis, piece, rcond=None)[0]
        ratios.append(10 * np.log10(np.mean(fit**2) / (np.mean((piece - fit) ** 2) + 1e-12)))
    return float(np.median(ratios)) if ratios else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sip", type=int, required=True)
    parser.add_argument("--control", type=int, default=0)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--loss", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    crowd = Crowd(parser.parse_args())
    crowd.talk()
    calls = [each for each in crowd.callers if each is not crowd.control]
    result = {
        "set_up": sum(each.to is not None for each in calls),
        "setup_ms": sorted(round(each.setup_ms, 2) for each in calls),
        "calls": [judged(each) for each in calls],
        "control": judged(crowd.control) if crowd.control is not None else None,
    }
    print(json.dumps(result, default=int))


if __name__ == "__main__":
    main()
