"""One hot wallet, one process: holds that share commits, holds that don't, and the disk's limit."""

import asyncio
import re
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from django.conf import settings
from django.db import connection

from marketplace.gateway.database import Database
from marketplace.gateway.running import LANES, MOST_TOGETHER
from marketplace.ledger import services as ledger
from portal.kernel.clock import utc_now
from portal.kernel.coalescer import Coalescer
from tests.benchmarks.tables import milliseconds, percentile, print_heading, print_table, rate
from tests.benchmarks.write_door import capture_requests, hold_request
from tests.postgres_server import PostgresServer

CALLERS = (1, 64)
SECONDS = 4

# What PostgreSQL alone makes of the least that a hold must write: one hot row, one new row.
_BARE_HOLD = """
BEGIN;
UPDATE benchmark_row SET n = n + 1 WHERE id = '{owner}';
INSERT INTO benchmark_hold (amount) VALUES (1000);
COMMIT;
"""

Write = Callable[[Any], Awaitable[Any]]


def measure_shared_commits(server: PostgresServer, *, owner: str, seconds: int = SECONDS) -> None:
    """Prints a table; ``owner`` has a wallet of plenty and a row in ``benchmark_row``."""
    print_heading("One hot wallet: single statements against shared commits, in one process")
    rows = []
    for callers in CALLERS:
        bare, latency = _run_pgbench(server, owner, callers, seconds)
        rows.append(["pgbench, bare hold", f"{callers}", rate(bare), "100 %", f"{latency:.2f}", ""])
        for name, shared in (("a commit each", False), ("shared commits", True)):
            for what, run in (("hold", _hold), ("hold, then capture", _hold_and_capture)):
                speed, times = asyncio.run(_load(owner, run, callers, seconds, shared=shared))
                rows.append(
                    [
                        f"{what}, {name}",
                        f"{callers}",
                        rate(speed),
                        f"{speed / bare:.0%}".replace("%", " %"),
                        milliseconds(percentile(times, 50)),
                        milliseconds(percentile(times, 95)),
                    ]
                )
    print_table(["operation", "callers", "per second", "of bare", "p50 ms", "p95 ms"], rows)
    print("Callers are tasks of one event loop, as in the gateway; pgbench's p50 is its mean.")


async def _load(
    owner: str,
    run: Callable[[Write, Write, str], Awaitable[None]],
    callers: int,
    seconds: int,
    *,
    shared: bool,
) -> tuple[float, list[float]]:
    """Operations per second, and the seconds that each took."""
    database = Database(threads=settings.GATEWAY_DATABASE_THREADS, one_writer=False)
    door = _together if shared else _alone
    hold, end = door(database, _place), door(database, _capture)
    times: list[float] = []
    finish_at = time.perf_counter() + seconds

    async def call() -> None:
        while (started_at := time.perf_counter()) < finish_at:
            await run(hold, end, owner)
            times.append(time.perf_counter() - started_at)

    try:
        await asyncio.gather(*(call() for _number in range(callers)))
    finally:
        await asyncio.to_thread(database.close)
    return len(times) / seconds, times


async def _hold(hold: Write, _capture: Write, owner: str) -> None:
    await hold(owner)


async def _hold_and_capture(hold: Write, capture: Write, owner: str) -> None:
    await capture((await hold(owner)).hold_id)


def _place(owners: Sequence[str]) -> list[Any]:
    return ledger.place_holds([hold_request(owner) for owner in owners], now=utc_now())


def _capture(hold_ids: Sequence[str]) -> list[Any]:
    return ledger.capture_holds(capture_requests(hold_ids), now=utc_now())


def _alone(database: Database, work: Callable[[Sequence[Any]], list[Any]]) -> Write:
    async def write(item: Any) -> Any:
        [result] = await database.write(work, [item])
        return result

    return write


def _together(database: Database, work: Callable[[Sequence[Any]], list[Any]]) -> Write:
    async def write(batch: list[Any]) -> list[Any]:
        return await database.write(work, batch)

    return Coalescer(write, most=MOST_TOGETHER, lanes=LANES).submit


def _run_pgbench(
    server: PostgresServer, owner: str, callers: int, seconds: int
) -> tuple[float, float]:
    """Transactions per second and the mean latency in ms, in the same database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS benchmark_hold "
            "(id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, amount bigint NOT NULL)"
        )
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(_BARE_HOLD.format(owner=owner))
        script.flush()
        done = subprocess.run(
            [
                str(server.binaries / "pgbench"), "--no-vacuum", "--protocol=prepared",
                f"--client={callers}", "--jobs=1", f"--time={seconds}", f"--file={script.name}",
                f"--host={server.folder / 'socket'}", "--username=postgres",
                str(connection.settings_dict["NAME"]),
            ],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    return _figure(r"tps = ([\d.]+)", done.stdout), _figure(
        r"latency average = ([\d.]+) ms", done.stdout
    )


def _figure(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    assert found, text
    return float(found[1])
