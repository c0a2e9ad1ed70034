"""One consistent, read-only view of the whole book, that blocks no writer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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


def fetch_rows(cursor: CursorWrapper, sql: str, parameters: list[Any]) -> list[dict[str, Any]]:
    """The answer's rows as dictionaries by column name."""
    cursor.execute(sql, parameters)
    assert cursor.description is not None
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
