"""How long the reconciliation looks at books of growing size, and how much memory it takes.

Every run is a fresh process, whose peak of memory is its own: ``python -m tests.benchmarks.full_run
full|light|seal`` prints one line of JSON.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from tests.benchmarks.tables import print_heading, print_table

WALLETS = 1_000


def measure_full_run(*, sizes: Sequence[int], wallets: int = WALLETS) -> None:
    """Prints a table of whole runs and one of their checks; ``sizes`` are entries, growing."""
    from tests.benchmarks.many_entries import fill_book, make_tenants

    print_heading(f"The reconciliation over {wallets:,} wallets")
    call = make_tenants(wallets)
    runs: list[tuple[str, dict[str, Any]]] = []
    for size in sizes:
        fill_book(call, entries=size, of=sizes[-1])
        # A full run computes what is sealed again; a light one looks from the full one on.
        runs += [(f"{kind}, {size:,}", _run(kind)) for kind in ("seal", "full", "light")]
    print_table(
        ["run, entries", "seconds", "peak MB", "differences"],
        [
            [name, f"{run['seconds']:.1f}", f"{run['megabytes']:.0f}", f"{run['differences']}"]
            for name, run in runs
        ],
    )
    times = [
        (name, {row["number"]: f"{row['milliseconds']:,}" for row in run["checks"]})
        for name, run in runs
        if run["checks"]
    ]
    numbers = sorted({number for _name, by_check in times for number in by_check})
    print_table(
        ["ms per check", *(f"{number}" for number in numbers)],
        [[name, *(by_check.get(number, "") for number in numbers)] for name, by_check in times],
    )


def _run(kind: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", __name__, kind], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """One run in this process."""
    import django

    django.setup()
    from marketplace.ledger.services import seal_entries
    from marketplace.reconciliation.services import reconcile_balances
    from portal.kernel.clock import utc_now

    begun = time.perf_counter()
    if sys.argv[1] == "seal":
        seal_entries(now=utc_now())
        found: dict[str, Any] = {"differences": 0, "checks": []}
    else:
        run = reconcile_balances(trigger="command", kind=sys.argv[1], now=utc_now())
        found = {"differences": run.difference_count, "checks": run.checks}
    seconds = time.perf_counter() - begun
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "megabytes": megabytes, **found}))


if __name__ == "__main__":
    main()
