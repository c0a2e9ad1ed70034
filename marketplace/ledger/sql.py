"""Statements over sets of rows, written once for both databases.

A set of rows travels as one JSON parameter, so that a statement's text never depends on how many
there are: PostgreSQL prepares it once per connection, and SQLite caches it. In a statement,
``{rows}`` stands for that set, named ``v``; ``{lock}`` for PostgreSQL's row locks in the order of
the query, which SQLite does not need inside BEGIN IMMEDIATE; ``{after}`` for what an earlier
statement, executed together with this one, has just inserted; ``{among}SELECT …{end}`` for IN.

PostgreSQL looks again at a row that it had to wait for, and may then lose it from a semi-join; an
array, computed once before any lock, loses none. So ``{among}`` wherever rows are locked.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
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
    """SQL that reads, or writes and returns a row for each row written.

    ``columns`` are "name type, …" of the set ``v`` (bigint, text, timestamptz, json). ``lock``
    names the table that is locked. ``table`` is what an insert fills, for another's ``after``.
    """

    def __init__(
        self,
        text: str,
        *,
        columns: str,
        lock: str = "",
        table: str = "",
        after: "Statement | None" = None,
    ) -> None:
        self.names = [column.split()[0] for column in columns.split(",")]
        extracted = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in self.names)
        sqlite = f"(SELECT {extracted} FROM json_each(%s)) AS v"  # noqa: S608 (constants)
        postgresql = (
            f"(SELECT * FROM json_to_recordset(%s::json) AS x(n bigint, {columns})"  # noqa: S608
            f" WHERE {FEW}) AS v"
        )
        lock = f"FOR NO KEY UPDATE OF {lock}" if lock else ""
        earlier = after.table if after else ""
        self.text = text
        self.table: str = table
        self.sets = text.count("{rows}")
        self.writes = not text.lstrip().startswith("SELECT")
        self.sqlite = (
            text.replace("{rows}", sqlite)
            .replace("{lock}", "")
            .replace("{after}", earlier)
            .replace("{among}", "IN (")
            .replace("{end}", ")")
        )
        self.postgresql = (
            text.replace("{rows}", postgresql)
            .replace("{lock}", lock)
            .replace("{after}", f"new_{earlier}")
            .replace("{among}", "= ANY (ARRAY(")
            .replace("{end}", "))")
        )


def run(statement: Statement, rows: Iterable[Row]) -> list[Row]:
    """Execute for a set of rows, each a tuple in the order of the statement's columns."""
    text = statement.postgresql if connection.vendor == "postgresql" else statement.sqlite
    with _cursor() as cursor:
        cursor.execute(text, [_encode(statement, rows)] * statement.sets)
        return cursor.fetchall()


def run_together(*calls: tuple[Statement, Iterable[Row]]) -> list[list[Row]]:
    """Execute several, all of them reads or all of them writes; on PostgreSQL as one statement.

    There, reads take their locks in this order but see one snapshot: what must be read after a
    lock was waited for goes into a later call.
    """
    if connection.vendor != "postgresql":
        return [run(statement, rows) for statement, rows in calls]
    parameters = []
    for statement, rows in calls:
        parameters += [_encode(statement, rows)] * statement.sets
    with _cursor() as cursor:
        cursor.execute(_compose(tuple(statement for statement, _ in calls)), parameters)
        sets = cursor.fetchone()
    return [[tuple(row.values()) for row in orjson.loads(rows)] if rows else [] for rows in sets]


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
    """Binds on the server, so that statements can be prepared (settings: prepare_threshold)."""

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


def _encode(statement: Statement, rows: Iterable[Row]) -> str:
    names = statement.names
    return orjson.dumps(
        [{"n": n, **dict(zip(names, row, strict=True))} for n, row in enumerate(rows)],
        option=orjson.OPT_PASSTHROUGH_DATETIME,
        default=writable_moment,
    ).decode()


@lru_cache(maxsize=256)
def _compose(statements: Sequence[Statement]) -> str:
    """One statement whose columns are the sets of rows that each returns, as JSON text."""
    if len({statement.writes for statement in statements}) != 1:
        raise ValueError("reads and writes don't go together")
    ctes, outputs = [], []
    for number, statement in enumerate(statements):
        source = f"({statement.postgresql})"
        if statement.writes:
            name = f"new_{statement.table}" if statement.table else f"s{number}"
            ctes.append(f"{name} AS {source}")
            source = name
        outputs.append(f"(SELECT json_agg(t)::text FROM {source} AS t)")  # noqa: S608
    prefix = f"WITH {', '.join(ctes)} " if ctes else ""
    return f"{prefix}SELECT {', '.join(outputs)}"
