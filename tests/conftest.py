"""What holds for every test."""

import gc
import re
import weakref
from collections.abc import Iterator
from pathlib import Path

import openai.types.realtime  # noqa: F401 - takes most of a second: no call shall wait while it is loaded
import pytest

from gateway.testing.realtime_schema import ServerOrder, check_client_event, check_server_event
from gateway.voice.backends.echo import EchoCore
from gateway.voice.embedded.server_core import RealtimeServerCore
from gateway.voice.session_core import Outgoing, SessionCore

# The types of OpenAI know PCM at 24 000 Hz alone; others that speak the protocol have more.
_OTHER_RATES = re.compile(r'"rate":(8000|16000)')
# Fifty a second of every call: what has this form is right, and is found so a hundred times faster.
_APPEND = re.compile(
    r'\{"type":"input_audio_buffer\.append","event_id":"c[0-9]+","audio":"[A-Za-z0-9+/]*={0,2}"\}'
)


def open_files() -> dict[str, str]:
    """What this process has open: descriptor -> what it is."""
    found = {}
    for descriptor in Path("/dev/fd").iterdir():
        try:
            found[descriptor.name] = str(descriptor.readlink())
        except OSError:  # the listing itself
            continue
    return found


@pytest.fixture(autouse=True)
def nothing_is_left_open() -> Iterator[None]:
    """No test leaves a socket or a file open. What a call leaves in tasks and gauges, `live_gateway` asserts."""
    before = open_files()
    yield
    after = open_files()
    left = {fd: what for fd, what in after.items() if before.get(fd) != what and _is_ours(what)}
    if left:  # a collection may be all that is missing; costly, so only now
        gc.collect()
        left = {fd: what for fd, what in left.items() if open_files().get(fd) == what}
    assert not left


@pytest.fixture(autouse=True)
def every_event_is_one_of_the_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a session of ours says to a voice, or a voice of ours to a session, OpenAI's own types allow.

    `monkeypatch` puts the check around the one place through which all of it goes, in every test.
    """
    client_says = SessionCore.outgoing
    orders: weakref.WeakKeyDictionary[object, ServerOrder] = weakref.WeakKeyDictionary()

    def checked_client(session: SessionCore) -> list[Outgoing]:
        outgoing = client_says(session)
        for event, _ in outgoing:
            if not _APPEND.fullmatch(event):
                check_client_event(_OTHER_RATES.sub('"rate":24000', event))
        return outgoing

    monkeypatch.setattr(SessionCore, "outgoing", checked_client)
    for server in (RealtimeServerCore, EchoCore):
        server_says = server.outgoing

        def checked_server(core: RealtimeServerCore | EchoCore, says=server_says) -> list[str]:
            events: list[str] = says(core)
            order = orders.setdefault(core, ServerOrder())
            for event in events:
                check_server_event(event)
                order.check(event)
            return events

        monkeypatch.setattr(server, "outgoing", checked_server)


def _is_ours(what: str) -> bool:
    return what.startswith("socket:") or (
        what.startswith("/") and not what.startswith(("/dev/", "/proc/", "/sys/"))
    )
