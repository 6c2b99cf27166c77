"""Callers for measuring: SIP calls with a tone each, in one loop of one process, and what came back of each.

    python ops/bench/sip_callers.py --sip PORT --calls 100 --seconds 20 [--loss 0.03] [--control PORT]

Prints one JSON object. `--control`: where a server sends RTP back that does nothing else (rtp_control.py); one caller
more talks to that at the same time, so that what the machine itself does to packets is seen beside what the gateway does.
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
SILENT_S = 0.5
PCMU = CODECS["pcmu"]


def tone(hz: float, seconds: float) -> bytes:
    """Half a second of silence, then a tone at -12 dBFS, as PCMU."""
    t = np.arange(int(8000 * seconds)) / 8000
    wave = np.where(t < SILENT_S, 0.0, 0.25 * np.sin(2 * np.pi * hz * t))
    return PCMU.encode((wave * 32767).astype("<i2").tobytes())


@dataclass(eq=False)
class Caller:
    """One call. `arrived`: when each packet came, and its timestamp and payload."""

    number: int
    hz: float
    audio: bytes
    rtp: socket.socket
    to: tuple[str, int] | None = None
    ssrc: int = 0
    sent: int = 0
    began: float = 0.0
    arrived: list[tuple[float, int, bytes]] = field(default_factory=list)
    invited: float = 0.0
    setup_ms: float = 0.0
    dialog: str = ""


def socket_on(port: int = 0) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind((HOST, port))
    sock.setblocking(False)
    return sock


class Line:
    """The signalling of all callers, over one UDP socket."""

    def __init__(self, port: int) -> None:
        self.sock = socket_on()
        self.port = port
        self.local = self.sock.getsockname()[1]

    def invite(self, caller: Caller) -> None:
        media = caller.rtp.getsockname()[1]
        sdp = (
            f"v=0\r\no=- 1 1 IN IP4 {HOST}\r\ns=-\r\nc=IN IP4 {HOST}\r\nt=0 0\r\n"
            f"m=audio {media} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
        )
        caller.invited = time.perf_counter()
        body = f"Content-Type: application/sdp\r\nContent-Length: {len(sdp)}\r\n\r\n{sdp}"
        self.send("INVITE", caller, 1, "", body)

    def send(self, method: str, caller: Caller, cseq: int, to_tag: str, body: str = "Content-Length: 0\r\n\r\n") -> None:
        name = f"{caller.number}-{self.local}"
        text = (
            f"{method} sip:+15550100002@{HOST}:{self.port} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {HOST}:{self.local};branch=z9hG4bK-{name}-{method}-{cseq};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:+15550100001@{HOST}>;tag={name}\r\n"
            f"To: <sip:+15550100002@{HOST}>{to_tag}\r\nCall-ID: {name}@bench\r\nCSeq: {cseq} {method}\r\n"
            f"Contact: <sip:bench@{HOST}:{self.local}>\r\n{body}"
        )
        self.sock.sendto(text.encode(), (HOST, self.port))

    def read(self, callers: dict[str, Caller]) -> None:
        while True:
            try:
                text = self.sock.recv(65536).decode()
            except BlockingIOError:
                return
            name = re.search(r"Call-ID: ([0-9-]+)@", text)
            caller = callers.get(name[1]) if name else None
            if caller is None or not text.startswith("SIP/2.0 200") or "INVITE" not in text.partition("CSeq:")[2][:20]:
                continue
            tag = re.search(r"To: [^\r]*(;tag=[^;\r]+)", text)
            caller.dialog = tag[1] if tag else ""
            self.send("ACK", caller, 1, caller.dialog)
            if caller.to is None:
                now = time.perf_counter()
                caller.setup_ms = (now - caller.invited) * 1000
                media = re.search(r"m=audio (\d+)", text)
                caller.to, caller.began = (HOST, int(media[1]) if media else 0), now


def run(options: argparse.Namespace) -> dict[str, object]:
    rng = random.Random(options.seed)
    callers = []
    for number in range(options.calls + bool(options.control)):
        hz = 300 + 17 * (number % 90)
        callers.append(Caller(number, hz, tone(hz, options.seconds), socket_on(), ssrc=rng.getrandbits(32)))
    line = Line(options.sip)
    names = {f"{each.number}-{line.local}": each for each in callers}
    polled = select.epoll()
    by_fd = {each.rtp.fileno(): each for each in callers}
    for fd in (*by_fd, line.sock.fileno()):
        polled.register(fd, select.EPOLLIN)
    start = time.perf_counter()
    control = callers[-1] if options.control else None
    coming = list(callers)
    end = start + len(callers) / options.rate + options.seconds + 1.0
    ready_at = 0.0
    while time.perf_counter() < end:
        now = time.perf_counter()
        while coming and now >= start + (len(callers) - len(coming)) / options.rate:
            caller = coming.pop(0)
            if caller is control:
                caller.to, caller.began = (HOST, options.control), now
            else:
                line.invite(caller)
        due = now + FRAME_S
        for caller in callers:
            if caller.to is None or caller.sent * 160 >= len(caller.audio):
                continue
            at = caller.began + caller.sent * FRAME_S
            while at <= now and caller.sent * 160 < len(caller.audio):
                frame = caller.audio[caller.sent * 160 : caller.sent * 160 + 160]
                head = struct.pack("!BBHII", 128, 0, caller.sent & 0xFFFF, caller.sent * 160, caller.ssrc)
                if rng.random() >= options.loss:
                    caller.rtp.sendto(head + frame, caller.to)
                caller.sent += 1
                at += FRAME_S
            due = min(due, at)
        ready_at = max(0.0, min(due - time.perf_counter(), 0.005))
        for fd, _ in polled.poll(ready_at):
            if fd == line.sock.fileno():
                line.read(names)
                continue
            caller = by_fd[fd]
            for _ in range(8):
                try:
                    packet = caller.rtp.recv(2048)
                except BlockingIOError:
                    break
                if rng.random() >= options.loss:
                    (stamp,) = struct.unpack_from("!I", packet, 4)
                    caller.arrived.append((time.perf_counter(), stamp, packet[12:]))
    for caller in callers:
        if caller is not control and caller.to is not None:
            line.send("BYE", caller, 2, caller.dialog)
    time.sleep(0.3)
    if control is not None:
        callers.remove(control)
    return {
        "set_up": sum(each.to is not None for each in callers),
        "setup_ms": sorted(round(each.setup_ms, 2) for each in callers),
        "calls": [judged(each) for each in callers],
        "control": judged(control) if control is not None else None,
    }


def judged(caller: Caller) -> dict[str, float]:
    """What the far end heard. Lateness: behind the earliest packet's schedule, as the timestamps have it."""
    if len(caller.arrived) < 50:
        return {"packets": len(caller.arrived), "late": 0, "snr_db": 0.0, "gaps_ms": 1e9, "delay_ms": 1e9}
    first = caller.arrived[0][1]
    offsets = [at - ((stamp - first) & 0xFFFFFFFF) / 8000 for at, stamp, _ in caller.arrived]
    base = min(offsets)
    late = sum(offset - base > 0.040 for offset in offsets)
    length = ((caller.arrived[-1][1] - first) & 0xFFFFFFFF) + 160
    heard = np.zeros(length)
    there = np.zeros(length // 160 + 1, bool)
    for _, stamp, payload in caller.arrived:
        at = (stamp - first) & 0xFFFFFFFF
        pcm = np.frombuffer(PCMU.decode(payload), "<i2").astype(float) / 32768
        if at + len(pcm) <= length:
            heard[at : at + len(pcm)] = pcm
            there[at // 160] = True
    level = np.sqrt(np.convolve(heard**2, np.ones(80) / 80, "same"))
    loud = np.flatnonzero(level > 0.05)
    if not len(loud):
        return {"packets": len(caller.arrived), "late": late, "snr_db": 0.0, "gaps_ms": 1e9, "delay_ms": 1e9}
    begins, ends = loud[0], loud[-1]
    delay_ms = (base + begins / 8000 - caller.began - SILENT_S) * 1000
    body = heard[begins + 4000 : ends - 4000]
    gaps = np.sum(level[begins + 160 : ends - 160] < 0.02) / 8
    return {
        "packets": len(caller.arrived),
        "late": int(late),
        "snr_db": round(snr_db(body, caller.hz), 1),
        "gaps_ms": round(float(gaps), 1),
        "delay_ms": round(delay_ms, 1),
    }


def snr_db(heard: np.ndarray, hz: float) -> float:
    """Of a tone, median over half seconds, whatever its phase."""
    ratios = []
    for at in range(0, len(heard) - 4000, 4000):
        piece = heard[at : at + 4000]
        t = np.arange(4000) / 8000
        basis = np.stack([np.sin(2 * np.pi * hz * t), np.cos(2 * np.pi * hz * t), np.ones(4000)], 1)
        fit = basis @ np.linalg.lstsq(basis, piece, rcond=None)[0]
        noise = np.mean((piece - fit) ** 2) + 1e-12
        ratios.append(10 * np.log10(np.mean(fit**2) / noise))
    return float(np.median(ratios)) if ratios else 0.0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sip", type=int, required=True)
    parser.add_argument("--control", type=int, default=0)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--loss", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    print(json.dumps(run(parser.parse_args())))
