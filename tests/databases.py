"""Pytest plugin: on which database the suite runs, and clones of it for tests that commit.

``--database=sqlite`` (the default: one file per worker, since in-memory databases lock under
threads) or ``--database=postgresql`` (a throw-away server, or the one that DATABASE_URL names).
The addresses are set before Django reads its settings and inherited by xdist's workers.

The database is migrated once per run as a template, and every worker works on a copy. Ledger
tables refuse UPDATE, DELETE and TRUNCATE, so no test may flush: a test either rolls back (the
fixture ``db``) or gets a clone of its own (the fixture ``committed_db``, in conftest.py).
"""

import fcntl
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from portal.management.translations import compile_translations
from tests.postgres_server import PostgresServer, PostgresUnavailable

ROOT_VARIABLE = "TOKENWORKS_TEST_ROOT"
SERVER_VARIABLE = "TOKENWORKS_TEST_SERVER"
LOCALE = Path(__file__).resolve().parent.parent / "portal" / "locale"
ROOT_PREFIX = "tokenworks-tests-"
# Every test that commits makes and removes a thousand files, which costs disks' file systems more
# than the test: so in memory, where there is plenty.
MEMORY = Path("/dev/shm")
MEMORY_BYTES = 4 * 1024**3
YOUNG_SECONDS = 60.0

_session: dict[str, Any] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("tokenworks").addoption(
        "--database",
        choices=["sqlite", "postgresql"],
        help="run on SQLite (default) or on a throw-away PostgreSQL (or the one in DATABASE_URL)",
    )


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    """A wrapper, since it must run before pytest-django imports the settings."""
    if ROOT_VARIABLE not in os.environ:
        _open_session(early_config.known_args_namespace.database)
        compile_translations([LOCALE])
    _set_environment(Path(os.environ[ROOT_VARIABLE]))
    return (yield)


def pytest_report_header() -> str:
    server = os.environ.get(SERVER_VARIABLE)
    return f"database: {'postgresql' if server else 'sqlite, one file per worker'}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is about the other database: ``only_on("postgresql", why="…")``.

    What uses none, nor says where it belongs, is tried once, beside SQLite.
    """
    here = "postgresql" if SERVER_VARIABLE in os.environ else "sqlite"
    elsewhere = [item for item in items if _home(item) not in ("", here)]
    if elsewhere:
        config.hook.pytest_deselected(items=elsewhere)
        items[:] = [item for item in items if item not in set(elsewhere)]


def _home(item: pytest.Item) -> str:
    marker = item.get_closest_marker("only_on")
    if marker is None:
        return "" if _uses_database(item) else "sqlite"
    [database], why = marker.args, marker.kwargs["why"]
    if database not in ("sqlite", "postgresql") or not why:
        raise pytest.UsageError(f"{item.nodeid}: only_on names a database and says why")
    return str(database)


def _uses_database(item: pytest.Item) -> bool:
    fixtures = {"db", "committed_db"} & set(getattr(item, "fixturenames", ()))
    return bool(fixtures) or item.get_closest_marker("django_db") is not None


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    _close_session()


def _open_session(chosen: str | None) -> None:
    given = os.environ.get("DATABASE_URL", "")
    names_postgresql = given.startswith(("postgres:", "postgresql:"))
    _remove_leftovers()
    # An order to stop ends the run as Ctrl-C does: with its servers stopped and its folder gone.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    root = Path(tempfile.mkdtemp(prefix=ROOT_PREFIX, dir=_choose_folder()))
    _session["root"] = root
    _session["alive"] = _lock_file(root / "alive")
    os.environ[ROOT_VARIABLE] = str(root)
    if chosen == "sqlite" or (chosen is None and not names_postgresql):
        return
    if names_postgresql:
        os.environ[SERVER_VARIABLE] = given
        return
    server = _session["server"] = PostgresServer(root / "postgresql")
    server.folder.mkdir()
    # Only traversal: the server's own user must reach its folder inside.
    root.chmod(0o711)
    try:
        server.start()
    except PostgresUnavailable as unavailable:
        _close_session()
        raise pytest.UsageError(str(unavailable)) from unavailable
    os.environ[SERVER_VARIABLE] = server.url


def _close_session() -> None:
    """The process that opened the session stops its server and removes its folder."""
    if server := _session.pop("server", None):
        server.stop()
    if root := _session.pop("root", None):
        os.close(_session.pop("alive"))
        shutil.rmtree(root, ignore_errors=True)
        os.environ.pop(ROOT_VARIABLE, None)
        os.environ.pop(SERVER_VARIABLE, None)


def _choose_folder() -> Path:
    """In memory if programs may run there (the server's own are copied) and it has the room."""
    if MEMORY.is_dir():
        room = os.statvfs(MEMORY)
        if not room.f_flag & os.ST_NOEXEC and room.f_bavail * room.f_frsize >= MEMORY_BYTES:
            return MEMORY
    return Path(tempfile.gettempdir())


def _lock_file(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def _remove_leftovers() -> None:
    """Folders of runs that were killed: their lock is free. (Servers died with their parent.)

    A young folder may be of a run that is about to lock it.
    """
    for folder in _choose_folder().glob(f"{ROOT_PREFIX}*"):
        try:
            if time.time() - folder.stat().st_mtime < YOUNG_SECONDS:
                continue
            os.close(_lock_file(folder / "alive"))
        except OSError:
            continue
        shutil.rmtree(folder, ignore_errors=True)


def _set_environment(root: Path) -> None:
    """What the settings read in this process and in those that it starts."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    var = root / worker
    var.mkdir(exist_ok=True)
    os.environ["TOKENWORKS_VAR"] = str(var)
    os.environ["SECRET_KEY"] = "tests-only-" + "x" * 50
    # What tests of recounts choose to count; elsewhere nothing is written behind a test's back.
    os.environ["RECOUNT_SAMPLE_PERCENT"] = "0"
    os.environ["BANK_TRANSFER_HOLDER"] = "Test Market Ltd"
    os.environ["BANK_TRANSFER_ACCOUNT"] = "DE89370400440532013000"
    os.environ["BANK_TRANSFER_BIC"] = "COBADEFFXXX"
    os.environ["BANK_TRANSFER_BANK"] = "Test Bank"
    os.environ["ENCRYPTION_KEYS"] = "dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHk="
    os.environ["DATABASE_URL"] = _make_store(root).url(worker)


@dataclass(frozen=True)
class SqliteStore:
    """Databases as files in one folder."""

    root: Path

    def name(self, label: str) -> str:
        return str(self.root / f"{label}.sqlite3")

    def url(self, label: str) -> str:
        return f"sqlite:///{self.name(label)}"

    def create(self, label: str) -> None:
        Path(self.name(label)).unlink(missing_ok=True)

    def copy(self, source: str, target: str) -> None:
        # The source has no connection, so all of it is in the one file.
        shutil.copyfile(self.name(source), self.name(target))

    def drop(self, label: str) -> None:
        for suffix in ("", "-wal", "-shm"):
            Path(self.name(label) + suffix).unlink(missing_ok=True)


@dataclass(frozen=True)
class PostgresStore:
    """Databases on one server, named after this run."""

    root: Path
    server: str

    def name(self, label: str) -> str:
        run = self.root.name.removeprefix(ROOT_PREFIX)
        return f"tokenworks_{run}_{label}".lower().replace("-", "_")

    def url(self, label: str) -> str:
        return urlunsplit(urlsplit(self.server)._replace(path=f"/{self.name(label)}"))

    def create(self, label: str) -> None:
        self._execute(f'CREATE DATABASE "{self.name(label)}"')

    def copy(self, source: str, target: str) -> None:
        self._execute(f'CREATE DATABASE "{self.name(target)}" TEMPLATE "{self.name(source)}"')

    def drop(self, label: str) -> None:
        self._execute(f'DROP DATABASE IF EXISTS "{self.name(label)}" WITH (FORCE)')

    def _execute(self, statement: str) -> None:
        import psycopg

        _, _, rest = self.server.partition("://")
        with psycopg.connect(f"postgresql://{rest}", autocommit=True) as connection:
            connection.execute(statement.encode())


Store = SqliteStore | PostgresStore


def _make_store(root: Path) -> Store:
    server = os.environ.get(SERVER_VARIABLE)
    return PostgresStore(root, server) if server else SqliteStore(root)


def current_store() -> Store:
    return _make_store(Path(os.environ[ROOT_VARIABLE]))


TEMPLATE = "template"


def ensure_template(store: Store) -> None:
    """Migrate the template once per run; the other workers wait and copy."""
    from django.core.management import call_command

    with (store.root / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = store.root / "template.done"
        if done.exists():
            return
        store.create(TEMPLATE)
        with connected_to(store, TEMPLATE):
            call_command("migrate", verbosity=0, interactive=False)
        done.touch()


@contextmanager
def connected_to(store: Store, label: str) -> Iterator[None]:
    """Point Django's connections, in every thread of this process, at another database."""
    from django.db import connections

    settings = connections.settings["default"]
    before = settings["NAME"]
    connections.close_all()
    settings["NAME"] = store.name(label)
    try:
        yield
    finally:
        connections.close_all()
        settings["NAME"] = before


@dataclass(frozen=True)
class CommittedDatabase:
    """A clone with real commits; ``environment`` lets child processes use the very same one."""

    name: str
    url: str
    var: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "DATABASE_URL": self.url,
            "TOKENWORKS_VAR": str(self.var),
            "DJANGO_SETTINGS_MODULE": "portal.settings",
        }
