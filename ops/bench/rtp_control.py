"""Sends every RTP packet back, paced as it came, and does nothing else: what the machine itself does to packets.

    python ops/bench/rtp_control.py      prints the port
"""

import socket

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.bind(("127.0.0.1", 0))
    print(sock.getsockname()[1], flush=True)
    while True:
        sock.sendto(*sock.recvfrom(2048))
