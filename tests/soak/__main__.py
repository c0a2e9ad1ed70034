"""``make soak``: SOAK_SECONDS (180) of it on a throw-away, durable PostgreSQL.

It prints its seed; SOAK_SEED makes everybody want the same again.
"""

import os
import secrets
import signal
import sys
import tempfile
import time
from base64 import urlsafe_b64encode
from pathlib import Path

from tests.databases import CommittedDatabase
from tests.fakes.upstream import FakeUpstream
from tests.postgres_server import PostgresServer
from tests.soak.processes import SETTINGS


def main() -> None:
    seconds = float(os.environ.get("SOAK_SECONDS", "180"))
    seed = int(os.environ.get("SOAK_SEED", str(time.time_ns() % 10**6)))
    # So that being terminated stops the servers too.
    signal.signal(signal.SIGTERM, lambda *_received: sys.exit(1))
    sys.stdout.write(f"soaking for {seconds:g} s, SOAK_SEED={seed}\n")
    sys.stdout.flush()
    with tempfile.TemporaryDirectory(prefix="tokenworks-soak-") as folder:
        # Only traversal: the database server's own user must reach its folder inside.
        Path(folder).chmod(0o711)
        server = PostgresServer(Path(folder) / "postgresql", durable=True)
        server.folder.mkdir()
        upstream = FakeUpstream()
        upstream.start()
        server.start()
        try:
            _set_up_django(Path(folder), server, upstream)
            from tests.soak.run import run_soak

            database = CommittedDatabase("postgres", server.url, Path(folder))
            lines = run_soak(database, upstream, seconds=seconds, seed=seed)
        finally:
            server.stop()
            upstream.stop()
    sys.stdout.write("\n".join(["nothing lost, nothing doubled", *lines, ""]))


def _set_up_django(folder: Path, server: PostgresServer, upstream: FakeUpstream) -> None:
    """What the settings read, here and in the processes that are started."""
    os.environ |= {
        **SETTINGS,
        "LOG_LEVEL": "CRITICAL",  # what is expected is not told
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "DATABASE_URL": server.url,
        "TOKENWORKS_VAR": str(folder),
        "SECRET_KEY": secrets.token_urlsafe(50),
        "ENCRYPTION_KEYS": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "SITE_URL": "http://localhost",
        "OUTBOUND_ALLOWED_PRIVATE": upstream.address,
    }
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0, interactive=False)


if __name__ == "__main__":
    main()
