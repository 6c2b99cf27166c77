from collections.abc import AsyncIterator

import pytest
from raw_peer import tasks_of


@pytest.fixture
async def nothing_left() -> AsyncIterator[None]:
    """After the test no task of the gateway or of the WebSocket library is alive."""
    yield
    assert tasks_of() == []
