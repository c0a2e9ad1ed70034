"""Statements over sets of rows, written once for both databases.

A set of rows travels as one JSON parameter, so that a statement's text never depends on how many
there are: PostgreSQL prepares it once per connection, and SQLite caches it. In a statement,
``{rows}`` stands for that set, named ``v``; ``{lock}`` for PostgreSQL's row locks in the order of
the query, which SQLite does not need inside BEGIN IMMEDIATE; ``{among}SELECT …{end}`` for IN;
``{new table: id bigint, …}`` for what an earlier statement, executed together with this one, has
returned of what it wrote to that table (nothing where there was none).

PostgreSQL looks again at a row that it had to wait for, and may then lose it from a semi-join; an
array, computed once before any lock, loses none. So ``{among}`` wherever rows are locked.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count
from typing import Any

import orjson
import psycopg
from django.db import connection
from django.db.backends.utils import CursorWrapper

Row = tuple[Any, ...]

# PostgreSQL expects 100 rows of any JSON, for which it would scan small tables whole, and keep that
# plan while they grow. Each row carries its number; of an unknown range it expects next to none.
FEW = "x.n BETWEEN 0 AND 1000000000"
_PLACE = re.compile(r"\{(?:(rows)|(lock)|(among)|(end)|new (\w+): ([^}]*))\}")


class StateChanged(RuntimeError):
    """A row was not as it was read under lock: a writer went round the ledger. Rolled back."""


class Statement:
    """SQL that reads, or writes and returns a row for each row written.

    ``columns`` are "name type, …" of the set ``v`` (bigint, text, timestamptz, boolean, json).
    ``lock`` names the table that is locked; ``table`` is what is written to, for another's
    ``{new …}``. ``ctes`` are named queries that may write, before a text that reads them; only for
    PostgreSQL.
    """

    def __init__(
        self, text: str, *, columns: str, lock: str = "", table: str = "", ctes: str = ""
    ) -> None:
        self.text = text
        self.names = _names(columns)
        self.table = table
        self.ctes = ctes
        self.writes = bool(ctes) or not text.lstrip().startswith("SELECT")
        self.sets = f"{ctes}{text}".count("{rows}")
        self._columns = columns
        self._lock = f"FOR NO KEY UPDATE OF {lock}" if lock else ""
        # What the parameters are on SQLite, in their order: the rows (""), or a table's new ones.
        self.sources = [p[5] or "" for p in _PLACE.finditer(text) if p[1] or p[5]]
        self.sqlite = _PLACE.sub(self._put_in_sqlite, text)

    def postgresql(self, part: str, *, written: Collection[str] = ()) -> str:
        """Text or ctes for PostgreSQL, executed together with what has written to these tables."""

        def put(place: re.Match[str]) -> str:
            rows, lock, among, _end, table, columns = place.groups()
            if rows:
                source = f"json_to_recordset(%s::json) AS x(n bigint, {self._columns})"
                return f"(SELECT * FROM {source} WHERE {FEW}) AS v"  # noqa: S608 (constants)
            if table:
                return f"new_{table}" if table in written else _nothing(columns)
            return self._lock if lock else "= ANY (ARRAY(" if among else "))"

        return _PLACE.sub(put, part)

    def _put_in_sqlite(self, place: re.Match[str]) -> str:
        rows, lock, among, _end, table, columns = place.groups()
        if rows or table:
            names = self.names if rows else _names(columns)
            fields = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in names)
            return f"(SELECT {fields} FROM json_each(%s)){' AS v' if rows else ''}"  # noqa: S608
        return "" if lock else "IN (" if among else ")"


Call = tuple[Statement, Iterable[Row]]


def run(statement: Statement, rows: Iterable[Row]) -> list[Row]:
    """Execute for a set of rows, each a tuple in the order of the statement's columns."""
    if connection.vendor != "postgresql":
        return _run_in_turn([(statement, rows)])[0]
    with _cursor() as cursor:
        cursor.execute(_compose_one(statement), [_encode(statement, rows)] * statement.sets)
        return cursor.fetchall()


def run_together(*calls: Call) -> list[list[Row]]:
    """Execute several, all of them reads or all of them writes; on PostgreSQL as one statement.

    There, reads take their locks in this order but see one snapshot: what must be read after a
    lock was waited for goes into a later call.
    """
    if connection.vendor != "postgresql":
        return _run_in_turn(calls)
    parameters = []
    for statement, rows in calls:
        parameters += [_encode(statement, rows)] * statement.sets
    with _cursor() as cursor:
        cursor.execute(_compose(tuple(statement for statement, _ in calls)), parameters)
        sets = cursor.fetchone()
    return [[tuple(row.values()) for row in orjson.loads(rows)] if rows else [] for rows in sets]


def _run_in_turn(calls: Iterable[Call]) -> list[list[Row]]:
    """SQLite's way: what each has written is handed on to the later ones."""
    results: list[list[Row]] = []
    written: dict[str, str] = {}
    for statement, rows in calls:
        sets = {"": _encode(statement, rows)} | written
        with connection.cursor() as cursor:
            cursor.execute(statement.sqlite, [sets.get(name, "[]") for name in statement.sources])
            results.append(cursor.fetchall())
            if statement.table:
                names = [column[0] for column in cursor.description]
                new = [dict(zip(names, row, strict=True)) for row in results[-1]]
                written[statement.table] = orjson.dumps(new).decode()
    return results


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


class _PreparedCursor(psycopg.RawCursor[Row]):
    """Binds on the server, so that statements can be prepared (settings: prepare_threshold).

    With PostgreSQL's own numbered parameters: psycopg would look for others in each long
    statement, every time.
    """

    def execute(self, query: Any, params: Any = None, **kwargs: Any) -> "_PreparedCursor":
        super().execute(_number_parameters(query), params, prepare=True, **kwargs)
        return self


@lru_cache(maxsize=512)
def _number_parameters(query: str) -> bytes:
    numbers = count(1)
    return re.sub("%s", lambda _place: f"${next(numbers)}", query).encode()


def _cursor() -> CursorWrapper:
    connection.ensure_connection()
    cursor = _PreparedCursor(connection.connection)
    # As connection.cursor() does: errors are translated, queries logged and counted.
    return connection._prepare_cursor(cursor)  # type: ignore[attr-defined]


def _encode(statement: Statement, rows: Iterable[Row]) -> str:
    names = statement.names
    sets = [{"n": n, **dict(zip(names, row, strict=True))} for n, row in enumerate(rows)]
    if connection.vendor == "postgresql":
        return orjson.dumps(sets).decode()
    # Times as Django writes them.
    return orjson.dumps(
        sets, option=orjson.OPT_PASSTHROUGH_DATETIME, default=writable_moment
    ).decode()


@lru_cache(maxsize=256)
def _compose_one(statement: Statement) -> str:
    prefix = f"WITH {statement.postgresql(statement.ctes)} " if statement.ctes else ""
    return prefix + statement.postgresql(statement.text)


@lru_cache(maxsize=256)
def _compose(statements: Sequence[Statement]) -> str:
    """One statement whose columns are the sets of rows that each returns, as JSON text."""
    if len({statement.writes for statement in statements}) != 1:
        raise ValueError("reads and writes don't go together")
    ctes: list[str] = []
    outputs: list[str] = []
    written: set[str] = set()
    for number, statement in enumerate(statements):
        if statement.ctes:
            ctes.append(statement.postgresql(statement.ctes))
        source = f"({statement.postgresql(statement.text, written=written)})"
        if statement.writes:
            name = f"new_{statement.table}" if statement.table else f"s{number}"
            ctes.append(f"{name} AS {source}")
            source = name
            written.add(statement.table)
        outputs.append(f"(SELECT json_agg(t)::text FROM {source} AS t)")  # noqa: S608
    prefix = f"WITH {', '.join(ctes)} " if ctes else ""
    return f"{prefix}SELECT {', '.join(outputs)}"


def _names(columns: str) -> list[str]:
    return [column.split()[0] for column in columns.split(",")]


def _nothing(columns: str) -> str:
    """No rows of these columns."""
    pairs = [column.split() for column in columns.split(",")]
    fields = ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in pairs)
    return f"(SELECT {fields} WHERE false)"
