"""``make bench`` (``python -m tests.benchmarks``): each part on a durable PostgreSQL of its own.

``--only gateway|ledger|reconciliation|pages`` measures a part, ``--quick`` tries it out without
good figures.
"""

import argparse
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from base64 import urlsafe_b64encode
from pathlib import Path

from tests.benchmarks.machines import (
    OTHER_CORES,
    describe_machine,
    free_port,
    measure_syncs,
    pin_family,
)
from tests.postgres_server import PostgresServer

PARTS = ("gateway", "ledger", "reconciliation", "pages")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", choices=PARTS, help="one part")
    parser.add_argument("--quick", action="store_true", help="small sizes, figures of no worth")
    arguments = parser.parse_args()
    # So that being terminated stops the servers too.
    signal.signal(signal.SIGTERM, lambda *_received: sys.exit(1))
    if arguments.only:
        _measure_one(arguments.only, quick=arguments.quick)
        return
    # A database for each: what one leaves behind, another would count or stumble over.
    for part in PARTS:
        quick = ["--quick"] if arguments.quick else []
        subprocess.run(
            [sys.executable, "-m", "tests.benchmarks", "--only", part, *quick], check=True
        )


def _measure_one(part: str, *, quick: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="tokenworks-bench-") as folder:
        # Only traversal: the database server's own user must reach its folder inside.
        Path(folder).chmod(0o711)
        server = PostgresServer(Path(folder) / "postgresql", durable=True)
        server.folder.mkdir()
        server.start()
        try:
            pin_family(server.pid, OTHER_CORES)
            print(f"\n{describe_machine()}; {measure_syncs(Path(folder)):,.0f} disk syncs/s alone")
            upstream_port = free_port()
            _set_up_django(Path(folder), server, upstream_port)
            _measure(part, server, upstream_port, quick=quick)
        finally:
            server.stop()


def _set_up_django(folder: Path, server: PostgresServer, upstream_port: int) -> None:
    """What the settings read, here and in the processes that are started."""
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "DATABASE_URL": server.url,
        "TOKENWORKS_VAR": str(folder),
        "SECRET_KEY": secrets.token_urlsafe(50),
        "ENCRYPTION_KEYS": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "LOG_LEVEL": "WARNING",
        "SITE_URL": "http://localhost",
        "OUTBOUND_ALLOWED_PRIVATE": f"127.0.0.1:{upstream_port}",
    }
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0, interactive=False)


def _measure(part: str, server: PostgresServer, upstream_port: int, *, quick: bool) -> None:
    # Their models can be imported only now that Django is set up.
    from tests.benchmarks.full_run import measure_full_run
    from tests.benchmarks.gateway_speed import measure_gateway
    from tests.benchmarks.page_speed import measure_pages
    from tests.benchmarks.shared_commits import measure_shared_commits
    from tests.benchmarks.write_door import measure_write_door

    match part:
        case "gateway":
            measure_gateway(
                server,
                upstream_port=upstream_port,
                seconds=2 if quick else 8,
                repeats=1 if quick else 3,
            )
        case "ledger":
            owner = measure_write_door(operations=320 if quick else 3200)
            measure_shared_commits(server, owner=owner, seconds=1 if quick else 4)
        case "reconciliation":
            sizes = [2_000, 10_000] if quick else [10_000, 100_000, 1_000_000]
            measure_full_run(sizes=sizes, wallets=100 if quick else 1_000)
        case "pages" if quick:
            measure_pages(calls=20_000, services=20, requests=20)
        case "pages":
            measure_pages(calls=1_000_000, services=100, requests=100)


if __name__ == "__main__":
    main()
