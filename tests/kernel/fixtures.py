"""Fixtures for tests of what goes out of the portal."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kernel.receiver import Receiver


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    """Listens while the test runs, where the portal may send."""
    server = Receiver()
    settings.OUTBOUND_ALLOWED_PRIVATE = [server.address]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
