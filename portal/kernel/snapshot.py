"""One consistent, read-only view of the whole database, that blocks no writer."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.utils import CursorWrapper


@contextmanager
def open_snapshot() -> Iterator[CursorWrapper]:
    """A cursor whose every query sees the same committed state.

    A connection of its own: PostgreSQL gives REPEATABLE READ; on SQLite a plain BEGIN is
    deferred, so it takes a read snapshot and never the write lock that ``atomic()`` would take.
    """
    connection = connections[DEFAULT_DB_ALIAS].copy()
    try:
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            else:
                cursor.execute("PRAGMA query_only = ON")
                cursor.execute("BEGIN")
            yield cursor
            cursor.execute("ROLLBACK")
    finally:
        connection.close()
