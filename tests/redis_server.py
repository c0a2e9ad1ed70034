"""A Redis of the tests' own, on a socket in a temporary folder."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

START_SECONDS = 10.0


@contextmanager
def running_redis() -> Iterator[str]:
    """Its address; the test is skipped where no server is installed."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.skip("no redis-server is installed")
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        socket = Path(folder) / "redis.sock"
        server = subprocess.Popen(
            [program, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", folder],
            stdout=subprocess.DEVNULL,
        )
        try:
            _wait_for(socket)
            yield f"unix://{socket}"
        finally:
            server.terminate()
            server.wait(START_SECONDS)


def _wait_for(socket: Path) -> None:
    give_up_at = time.monotonic() + START_SECONDS
    while True:
        try:
            with redis.Redis(unix_socket_path=str(socket)) as client:
                client.ping()
                return
        except redis.ConnectionError:
            assert time.monotonic() < give_up_at, "Redis did not start"
            time.sleep(0.01)
