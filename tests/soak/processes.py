"""What runs and is killed: web processes and the worker, each started again at once."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import psycopg

from portal.management.child_processes import WITH_PARENT
from tests.databases import CommittedDatabase
from tests.fakes.upstream import FakeUpstream
from tests.server import LiveSite

# Impatient, so that a call that hangs ends within the soak; a hold lives for the sum and 30 s.
SETTINGS = {
    "UPSTREAM_FIRST_BYTE_SECONDS": "2",
    "UPSTREAM_IDLE_SECONDS": "2",
    "UPSTREAM_TOTAL_SECONDS": "6",
    "UPSTREAM_DRAIN_SECONDS": "2",
    "GATEWAY_SEND_SECONDS": "5",
    "HOLD_MARGIN_SECONDS": "30",
    "API_READ_RATE": "100000/min",
    "API_WRITE_RATE": "100000/min",
    "ORDER_MINUTES": "1",
    "LOG_LEVEL": "WARNING",
    "EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend",
}
_CUT_CONNECTIONS = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class Worker:
    """tests.soak.steps in a process of its own."""

    def __init__(self, database: CommittedDatabase, upstream: FakeUpstream) -> None:
        self.failures = database.var / "failed-steps.jsonl"
        self._environment = {
            **database.environment,
            **SETTINGS,
            "OUTBOUND_ALLOWED_PRIVATE": upstream.address,
            "SOAK_FAILURES": str(self.failures),
        }
        self._log = database.var / "worker.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-I", "-S", str(WITH_PARENT), str(os.getpid()), sys.executable]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "-m", "tests.soak.steps"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


class Fleet:
    """Two web processes and a worker. ``kills`` counts by victim."""

    def __init__(self, database: CommittedDatabase, upstream: FakeUpstream) -> None:
        self._database = database
        self.sites = [LiveSite(database, upstream) for _number in range(2)]
        self.worker = Worker(database, upstream)
        self.kills: Counter[str] = Counter()

    def start(self) -> None:
        for site in self.sites:
            site.start(**SETTINGS)
        self.worker.start()

    def stop(self) -> None:
        """The web processes in order, so that running calls are closed; the worker at once."""
        for site in self.sites:
            site.stop()
        self.worker.kill()

    def read_log(self) -> str:
        return self.sites[0].read_log()

    async def kill_at_random(self, chance: random.Random, *, until: float) -> None:
        """Never both web processes at once: somebody is there to hear of the loss."""
        while True:
            await asyncio.sleep(chance.uniform(1.0, 3.0))
            if time.monotonic() > until:
                return
            victim = chance.choice(["web", "web", "worker", "connections"])
            self.kills[victim] += 1
            if victim == "web":
                site = chance.choice(self.sites)
                site.kill()
                await asyncio.to_thread(site.start, **SETTINGS)
            elif victim == "worker":
                self.worker.kill()
                self.worker.start()
            else:
                await asyncio.to_thread(self._cut_connections)

    def _cut_connections(self) -> None:
        """What was being written is rolled back, or was committed and nobody heard of it."""
        _, _, rest = self._database.url.partition("://")
        with psycopg.connect(f"postgresql://{rest}", autocommit=True) as connection:
            connection.execute(_CUT_CONNECTIONS)
