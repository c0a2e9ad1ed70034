"""Statements over sets of rows, written once for both databases.

A set of rows travels as one JSON parameter, so that a statement's text never depends on how many
there are: PostgreSQL prepares it once per connection, and SQLite caches it. ``{rows}`` in a
statement stands for that set, named ``v``; ``{lock}`` for PostgreSQL's row locks in the order of
the query, which SQLite does not need inside BEGIN IMMEDIATE.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg
from django.db import connection
from django.db.backends.utils import CursorWrapper

Row = tuple[Any, ...]


# PostgreSQL expects 100 rows of any JSON, for which it would scan small tables whole, and keep that
# plan while they grow. Each row carries its number; of an unknown range it expects next to none.
FEW = "x.n BETWEEN 0 AND 1000000000"


class StateChanged(RuntimeError):
    """A row was not as it was read under lock: a writer went round the ledger. Rolled back."""


class Statement:
    """SQL with ``{rows}`` and ``{lock}``; ``columns`` are "name type, …" of the set ``v``.

    Types are bigint, text, boolean and timestamptz. ``lock`` names the table that is locked.
    """

    def __init__(self, text: str, *, columns: str, lock: str = "") -> None:
        self.names = [column.split()[0] for column in columns.split(",")]
        extracted = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in self.names)
        sqlite = f"(SELECT {extracted} FROM json_each(%s)) AS v"  # noqa: S608 (constants)
        postgresql = (
            f"(SELECT * FROM json_to_recordset(%s::json) AS x(n bigint, {columns})"  # noqa: S608
            f" WHERE {FEW}) AS v"
        )
        lock = f"FOR NO KEY UPDATE OF {lock}" if lock else ""
        self.text = text
        self.sets = text.count("{rows}")
        self.returns = text.lstrip().startswith("SELECT") or "RETURNING" in text
        self.texts = {
            "sqlite": text.replace("{rows}", sqlite).replace("{lock}", ""),
            "postgresql": text.replace("{rows}", postgresql).replace("{lock}", lock),
        }


@dataclass(frozen=True)
class Result:
    """What a statement returned, and how many rows it wrote."""

    rows: list[Row]
    count: int


def run(statement: Statement, rows: Iterable[Row]) -> Result:
    """Execute for a set of rows, each a tuple in the order of the statement's columns."""
    cursor = _cursor()
    try:
        _execute(cursor, statement, rows)
        return _fetch(cursor, statement)
    finally:
        cursor.close()


def run_together(*calls: tuple[Statement, Iterable[Row]]) -> list[Result]:
    """Execute in this order inside a transaction; on PostgreSQL in one round trip.

    Each statement sees what was committed when it began, so it may read what an earlier one
    waited for under a lock.
    """
    if connection.vendor != "postgresql":
        return [run(statement, rows) for statement, rows in calls]
    cursors = [_cursor() for _ in calls]
    try:
        with connection.wrap_database_errors, connection.connection.pipeline():
            for cursor, (statement, rows) in zip(cursors, calls, strict=True):
                _execute(cursor, statement, rows)
        return [
            _fetch(cursor, statement) for cursor, (statement, _) in zip(cursors, calls, strict=True)
        ]
    finally:
        for cursor in cursors:
            cursor.close()


def moment(value: Any) -> datetime | None:
    """A time as a database returns it; SQLite's, text or naive, is UTC."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if value is not None and value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return value


def writable_moment(value: datetime) -> str:
    """A time as text that both databases store and compare as Django's own."""
    if connection.vendor == "postgresql":
        return value.isoformat()
    return str(value.astimezone(UTC).replace(tzinfo=None))


class _PreparedCursor(psycopg.Cursor[Row]):
    """Binds on the server and prepares at once, which Django's own cursor does not."""

    def execute(self, query: Any, params: Any = None, **kwargs: Any) -> "_PreparedCursor":
        super().execute(query, params, prepare=True, **kwargs)
        return self


def _cursor() -> CursorWrapper:
    if connection.vendor != "postgresql":
        return connection.cursor()
    connection.ensure_connection()
    cursor = _PreparedCursor(connection.connection)
    # As connection.cursor() does: errors are translated, queries logged and counted.
    return connection._prepare_cursor(cursor)  # type: ignore[attr-defined]


def _execute(cursor: CursorWrapper, statement: Statement, rows: Iterable[Row]) -> None:
    names = statement.names
    encoded = orjson.dumps(
        [{"n": n, **dict(zip(names, row, strict=True))} for n, row in enumerate(rows)],
        option=orjson.OPT_PASSTHROUGH_DATETIME,
        default=writable_moment,
    ).decode()
    cursor.execute(statement.texts[connection.vendor], [encoded] * statement.sets)


def _fetch(cursor: CursorWrapper, statement: Statement) -> Result:
    if not statement.returns:
        return Result([], cursor.rowcount)
    rows = cursor.fetchall()
    return Result(rows, len(rows))
