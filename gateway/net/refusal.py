"""A server's HTTP answer to a WebSocket request that it did not accept."""

import h11

BODY_BYTES = 4096


class WebSocketRefused(Exception):
    """The server answered with HTTP instead. `headers`: names in lower case. `body`: at most its first 4 kB."""

    def __init__(self, status: int, headers: tuple[tuple[str, str], ...], body: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers
        self.body = body


def read_refusal(answer: bytes) -> WebSocketRefused | None:
    """The refusal in what a server sent, even where its body is cut off; None where there is none."""
    http = h11.Connection(h11.CLIENT)
    http.send(h11.Request(method="GET", target="/", headers=[("Host", "any")]))
    http.send(h11.EndOfMessage())
    http.receive_data(answer)
    refusal = None
    try:
        while isinstance(event := http.next_event(), h11.InformationalResponse | h11.Response | h11.Data):
            if isinstance(event, h11.Response):
                headers = tuple(
                    (name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers
                )
                refusal = WebSocketRefused(event.status_code, headers, b"")
            elif isinstance(event, h11.Data) and refusal is not None:
                refusal.body = (refusal.body + event.data)[:BODY_BYTES]
    except h11.RemoteProtocolError:
        return refusal
    return refusal
