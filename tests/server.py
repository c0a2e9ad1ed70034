"""Pytest plugin: the site as its users meet it, a real process on a database of the test's own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from portal.management.child_processes import WITH_PARENT
from tests.databases import CommittedDatabase
from tests.fakes.upstream import FakeUpstream

START_SECONDS = 60.0
STOP_SECONDS = 20.0


class LiveSite:
    """uvicorn with portal.asgi, and a Celery worker where a test starts one.

    The address stays the same when the process is killed and started again. The test's own ORM
    works on the same database (fixture ``committed_db``).
    """

    def __init__(self, database: CommittedDatabase, upstream: FakeUpstream) -> None:
        self.database = database
        self.upstream = upstream
        self.port = _free_port()
        self.url = f"http://localhost:{self.port}"
        self.api_url = f"{self.url}/v1"
        self.log = database.var / "server.log"
        self._web: subprocess.Popen[bytes] | None = None
        self._worker: subprocess.Popen[bytes] | None = None

    def start(self, **environment: str) -> None:
        """Returns when the site answers; ``environment`` adds settings."""
        self._web = self._spawn(
            [
                *("-m", "uvicorn", "portal.asgi:application"),
                *("--host", "127.0.0.1", "--port", str(self.port), "--no-access-log"),
                *("--lifespan", "on", "--ws", "none", "--timeout-graceful-shutdown", "10"),
            ],
            environment,
        )
        give_up_at = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._web.poll() is not None or time.monotonic() > give_up_at:
                pytest.fail(f"the site did not start:\n{self.read_log()}")
            time.sleep(0.05)

    def start_worker(self, *, beat: bool = False, **environment: str) -> None:
        """A worker on this site's broker and database; ``beat`` schedules too."""
        schedule = ["--beat", "--schedule", str(self.database.var / "schedule")] if beat else []
        self._worker = self._spawn(
            [
                *("-m", "celery", "--quiet", "--app", "portal", "worker", *schedule),
                *("--pool", "threads", "--concurrency", "2", "--loglevel", "INFO"),
                *("--without-gossip", "--without-mingle", "--without-heartbeat"),
            ],
            environment,
        )

    def tell_to_stop(self) -> None:
        """SIGTERM, without waiting for what follows."""
        assert self._web is not None
        self._web.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """``kill -9`` of the web process: no clean-up of any kind."""
        assert self._web is not None
        _end(self._web, signal.SIGKILL)
        self._web = None

    def kill_worker(self) -> None:
        assert self._worker is not None
        _end(self._worker, signal.SIGKILL)
        self._worker = None

    def stop(self) -> None:
        for process in (self._web, self._worker):
            if process is not None:
                _end(process, signal.SIGTERM)
        self._web = self._worker = None

    def read_log(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_for_log(self, text: str, seconds: float = 10) -> str:
        """The log once ``text`` is in it; a line may be written just after the answer."""
        give_up_at = time.monotonic() + seconds
        while text not in (log := self.read_log()):
            assert time.monotonic() < give_up_at, f"{text!r} is not in the log:\n{log}"
            time.sleep(0.05)
        return log

    def list_mails(self) -> list[Path]:
        """Files of the mails that the site sent, oldest first."""
        return sorted((self.database.var / "mail").glob("*.eml"))

    def _spawn(self, arguments: list[str], extra: dict[str, str]) -> subprocess.Popen[bytes]:
        environment = {
            **self.database.environment,
            "SITE_URL": self.url,
            "OUTBOUND_ALLOWED_PRIVATE": self.upstream.address,
            "GATEWAY_STOP_SECONDS": "5",
            **extra,
        }
        # Playwright's leave for the test process alone.
        environment.pop("DJANGO_ALLOW_ASYNC_UNSAFE", None)
        # A test run that is killed takes its servers with it.
        with_parent = [sys.executable, "-I", "-S", str(WITH_PARENT), str(os.getpid())]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*with_parent, sys.executable, *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


@pytest.fixture
def fake_upstream() -> Iterator[FakeUpstream]:
    """A provider on 127.0.0.1; see tests/fakes/upstream.py for how to script it."""
    upstream = FakeUpstream()
    upstream.start()
    yield upstream
    upstream.stop()


@pytest.fixture
def live_site(committed_db: CommittedDatabase, fake_upstream: FakeUpstream) -> Iterator[LiveSite]:
    """The running site. List ``live_site.upstream.url`` as a service's endpoint to call it."""
    site = LiveSite(committed_db, fake_upstream)
    try:
        site.start()
        yield site
    finally:
        site.stop()
        # Shown by pytest when the test failed.
        sys.stdout.write(site.read_log()[-20_000:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _end(process: subprocess.Popen[bytes], sent: signal.Signals) -> None:
    """The process, then whatever is left of its group (a scheduler beside a killed worker)."""
    process.send_signal(sent)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
