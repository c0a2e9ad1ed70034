"""Holds and captures per second through the ledger's write door, and what the disk allows."""

import multiprocessing
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any

from django.db import connection, connections

from marketplace.ledger import services as ledger
from portal.kernel.clock import utc_now
from portal.kernel.public_ids import new_public_id
from tests.benchmarks.tables import milliseconds, percentile, print_heading, print_table, rate

WALLETS = 1_000
CALLERS = (1, 16)
BATCH = 20
AMOUNT = 1_000
_PROVIDER = "prv_benchmark"
_GO_SECONDS = 60.0


@dataclass(frozen=True)
class Work:
    """One thing that callers do again and again; ``prepare`` makes what it uses up.

    ``do`` gets what was prepared, ``size`` items at a time.
    """

    name: str
    size: int
    prepare: Callable[[Sequence[str], int], list[Any]]
    do: Callable[[Sequence[Any]], None]


def measure_write_door(*, operations: int) -> str:
    """Prints a table; ``operations`` are those of one run, over all its callers.

    Returns an owner with a wallet of plenty, and a row in ``benchmark_row``.
    """
    print_heading("Holds and captures through the ledger's write door")
    owners = [f"org_benchmark{number:04}" for number in range(WALLETS)]
    _fill_wallets(owners)
    _make_baseline_tables()
    rows = []
    for work in WORKS:
        for callers in CALLERS:
            for wallets in (1, WALLETS):
                speed, times = _run(work, owners[:wallets], callers, operations)
                rows.append(
                    [
                        work.name,
                        f"{callers}",
                        f"{wallets:,}",
                        rate(speed),
                        milliseconds(percentile(times, 50)),
                        milliseconds(percentile(times, 95)),
                    ]
                )
    print_table(["operation", "callers", "wallets", "per second", "p50 ms", "p95 ms"], rows)
    print("Callers are processes, each with one connection; latencies are those of a commit.")
    return owners[0]


def _fill_wallets(owners: Sequence[str]) -> None:
    now = utc_now()
    for owner in owners:
        ledger.grant_lot(
            owner_key=owner,
            unit="live",
            reference=f"benchmark:{owner}",
            kind="grant",
            face_millitokens=10**15,
            debits=[("promotion", "operator", 10**15)],
            now=now,
        )


def _make_baseline_tables() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE benchmark_row (id text PRIMARY KEY, n bigint NOT NULL)")
        cursor.execute("INSERT INTO benchmark_row SELECT owner_key, 0 FROM ledger_wallet")


def hold_request(owner: str) -> ledger.HoldRequest:
    """A hold of ``AMOUNT`` under a key of its own."""
    now = utc_now()
    return ledger.HoldRequest(
        owner_key=owner,
        unit="live",
        amount_millitokens=AMOUNT,
        idempotency_scope="benchmark",
        idempotency_key=new_public_id("call"),
        request_hash="",
        expires_at=now + timedelta(hours=1),
        reference="call:benchmark",
    )


def _prepare_owners(owners: Sequence[str], count: int) -> list[Any]:
    return [owners[number % len(owners)] for number in range(count)]


def _prepare_holds(owners: Sequence[str], count: int) -> list[Any]:
    """Ids of holds to capture, in the order of the wallets."""
    wanted = [hold_request(owner) for owner in _prepare_owners(owners, count)]
    held: list[Any] = []
    for start in range(0, count, 500):
        results = ledger.place_holds(wanted[start : start + 500], now=utc_now())
        held += [result.hold_id for result in results]
    return held


def _commit(owners: Sequence[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE benchmark_row SET n = n + 1 WHERE id = ANY(%s)", [list(owners)])


def _place(owners: Sequence[Any]) -> None:
    results = ledger.place_holds([hold_request(owner) for owner in owners], now=utc_now())
    assert all(result.outcome == "held" for result in results)


def capture_requests(hold_ids: Sequence[str]) -> list[ledger.CaptureRequest]:
    """Captures of whole holds, 90 % to one provider."""
    return [
        ledger.CaptureRequest(
            hold_id=hold_id,
            amount_millitokens=AMOUNT,
            payee=_PROVIDER,
            share_basis_points=9000,
            reference="call:benchmark",
        )
        for hold_id in hold_ids
    ]


def _capture(holds: Sequence[Any]) -> None:
    results = ledger.capture_holds(capture_requests(holds), now=utc_now())
    assert all(result.outcome == "captured" for result in results)


WORKS = (
    Work("commit of one row (baseline)", 1, _prepare_owners, _commit),
    Work("hold", 1, _prepare_owners, _place),
    Work("capture", 1, _prepare_holds, _capture),
    Work(f"hold, {BATCH} in one commit", BATCH, _prepare_owners, _place),
    Work(f"capture, {BATCH} in one commit", BATCH, _prepare_holds, _capture),
)


def _run(
    work: Work, owners: Sequence[str], callers: int, operations: int
) -> tuple[float, list[float]]:
    """Items per second over all callers, and the seconds that each commit took."""
    prepared = iter(work.prepare(owners, operations))
    # Processes inherit no connection.
    connections.close_all()
    context = multiprocessing.get_context("fork")
    go, results = context.Event(), context.Queue()
    ready = context.Semaphore(0)
    each = operations // callers
    processes = [
        context.Process(target=_call, args=(work, list(islice(prepared, each)), ready, go, results))
        for _number in range(callers)
    ]
    for process in processes:
        process.start()
    for _process in processes:
        ready.acquire(timeout=_GO_SECONDS)
    started_at = time.perf_counter()
    go.set()
    times: list[float] = []
    for _process in processes:
        result = results.get(timeout=_GO_SECONDS * 10)
        if isinstance(result, str):
            raise RuntimeError(f"A caller failed:\n{result}")
        times += result
    seconds = time.perf_counter() - started_at
    for process in processes:
        process.join()
    return len(times) * work.size / seconds, times


def _call(work: Work, items: list[Any], ready: Any, go: Any, results: Any) -> None:
    connection.ensure_connection()
    ready.release()
    go.wait(_GO_SECONDS)
    try:
        results.put(_time_each(work, items))
    except Exception:
        # The parent waits for an answer of each.
        results.put(traceback.format_exc())
    connection.close()


def _time_each(work: Work, items: list[Any]) -> list[float]:
    times = []
    for start in range(0, len(items) - work.size + 1, work.size):
        started_at = time.perf_counter()
        work.do(items[start : start + work.size])
        times.append(time.perf_counter() - started_at)
    return times
