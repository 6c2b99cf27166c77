"""The least that can be called a SIP server: every INVITE is taken at once, every RTP packet sent back. A baseline.

    python ops/bench/sip_plain.py     prints the ports for SIP and for RTP

Nothing is parsed, kept, paced, recorded or resampled; all calls share one socket for RTP.
"""

import re
import select
import socket

HOST = "127.0.0.1"


def answer(request: str, rtp_port: int) -> str | None:
    """200 to everything but an ACK."""
    if request.startswith("ACK"):
        return None
    copied = re.findall(r"(?m)^((?:Via|From|Call-ID|CSeq): .*)\r$", request)
    to = re.search(r"(?m)^To: (.*)\r$", request)
    sdp = (
        f"v=0\r\no=- 1 1 IN IP4 {HOST}\r\ns=-\r\nc=IN IP4 {HOST}\r\nt=0 0\r\nm=audio {rtp_port} RTP/AVP 0\r\n"
        if request.startswith("INVITE")
        else ""
    )
    tagged = f"{to[1] if to else ''}{'' if to and ';tag=' in to[1] else ';tag=plain'}"
    head = [*copied, f"To: {tagged}", f"Contact: <sip:{HOST}>", f"Content-Length: {len(sdp)}"]
    return "\r\n".join(["SIP/2.0 200 OK", *head, "", sdp])


def main() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sip,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtp,
    ):
        for sock in (sip, rtp):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            sock.bind((HOST, 0))
        rtp_port = rtp.getsockname()[1]
        print(sip.getsockname()[1], rtp_port, flush=True)
        while True:
            for sock in select.select([sip, rtp], [], [])[0]:
                data, sender = sock.recvfrom(65536)
                if sock is rtp:
                    rtp.sendto(data, sender)
                elif (text := answer(data.decode(), rtp_port)) is not None:
                    sip.sendto(text.encode(), sender)


if __name__ == "__main__":
    main()
