"""Rows that may never change: triggers on both databases, declared once by each room.

A room registers its guards in ``AppConfig.ready``; they are installed after every ``migrate``
(no migration of their own), and ``missing_guards`` says at start-up and to the reconciler which
are absent or altered. On SQLite they are taken down before migrations and put back after them:
Django rebuilds tables there, which drops triggers silently and stumbles over those that name
another table. On PostgreSQL they stay up; a data migration that must touch a guarded table says
so by dropping the trigger itself. A guard whose definition changes gets a new name.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate, pre_migrate
from django.db.transaction import atomic

_REFUSE = "tokenworks_refuse_change"
_RAISE = """RAISE EXCEPTION '% on % refused: its rows never change', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'integrity_constraint_violation';"""
_REFUSE_BODY = f"""
BEGIN
  {_RAISE}
END;
"""


@dataclass(frozen=True)
class Guard:
    """One trigger on one kind of database. ``body`` is the PL/pgSQL of ``function``, and
    ``statement`` is spelt as PostgreSQL itself spells it, so that the two can be compared: a
    condition therefore stands in the body, since a WHEN would be told in PostgreSQL's own words.
    """

    vendor: str
    table: str
    name: str
    statement: str
    function: str = ""
    body: str = ""


_registered: dict[tuple[str, str], Guard] = {}
_appended: set[str] = set()


def append_only(table: str) -> list[Guard]:
    """Guards that refuse UPDATE, DELETE and TRUNCATE (and SQLite's REPLACE) on ``table``."""
    _appended.add(table)
    return [*refuse(table, "no_update", "BEFORE UPDATE"), *_never_removed(table)]


def fixed_columns(table: str, columns: Iterable[str]) -> list[Guard]:
    """Guards that refuse other values in ``columns``, DELETE and TRUNCATE on ``table``."""
    names = list(columns)
    event = f"BEFORE UPDATE OF {', '.join(names)}"
    sqlite = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in names)
    postgresql = " OR ".join(f"OLD.{name} IS DISTINCT FROM NEW.{name}" for name in names)
    return [
        *refuse(table, "fixed_columns", event, sqlite=sqlite, postgresql=postgresql),
        *_never_removed(table),
    ]


def refuse(
    table: str, what: str, event: str, *, sqlite: str = "", postgresql: str = ""
) -> list[Guard]:
    """Guards named ``table_what`` that refuse ``event`` for rows that meet a condition, if any."""
    return [
        _sqlite_trigger(table, what, event, sqlite),
        _postgresql_trigger(table, what, event, postgresql),
    ]


def register(guards: Iterable[Guard]) -> None:
    """Declare guards; called from ``AppConfig.ready``, harmless when repeated."""
    for guard in guards:
        _registered[guard.vendor, guard.name] = guard
    pre_migrate.connect(_before_migrations, dispatch_uid="kernel.immutability")
    post_migrate.connect(_after_migrations, dispatch_uid="kernel.immutability")
    connection_created.connect(_on_connection, dispatch_uid="kernel.immutability")


def list_append_only(connection: BaseDatabaseWrapper) -> list[str]:
    """Names of the existing tables whose rows never change and never go."""
    tables = set(connection.introspection.table_names())
    return sorted(tables & {guard.table for guard in _of(connection) if guard.table in _appended})


def missing_guards(connection: BaseDatabaseWrapper) -> list[str]:
    """Names of registered triggers that are absent, disabled or altered on existing tables."""
    return [guard.name for guard in _absent(connection)]


def install_guards(connection: BaseDatabaseWrapper) -> None:
    """Create what ``missing_guards`` names; the rest is not touched."""
    absent = _absent(connection)
    if not absent:
        return
    with atomic(using=connection.alias), connection.cursor() as cursor:
        for guard in absent:
            if guard.function:
                cursor.execute(
                    f"CREATE OR REPLACE FUNCTION {guard.function}() RETURNS trigger "
                    f"LANGUAGE plpgsql AS $guard${guard.body}$guard$"
                )
            cursor.execute(_drop(guard))
            cursor.execute(guard.statement)
            if connection.vendor == "postgresql":
                # Also under session_replication_role = replica.
                cursor.execute(f"ALTER TABLE {guard.table} ENABLE ALWAYS TRIGGER {guard.name}")


def remove_guards(connection: BaseDatabaseWrapper) -> None:
    """Take all registered guards down."""
    tables = set(connection.introspection.table_names())
    with atomic(using=connection.alias), connection.cursor() as cursor:
        for guard in _of(connection):
            if guard.table in tables:
                cursor.execute(_drop(guard))


def _never_removed(table: str) -> list[Guard]:
    return [
        *refuse(table, "no_delete", "BEFORE DELETE"),
        # INSERT OR REPLACE removes the row that is in its way without a DELETE trigger, unless
        # recursive triggers are on: see _on_connection for other unique columns.
        _sqlite_trigger(
            table,
            "no_replace",
            "BEFORE INSERT",
            f"EXISTS (SELECT 1 FROM {table} WHERE id = NEW.id)",  # noqa: S608 (our own names)
        ),
        _postgresql_trigger(table, "no_truncate", "BEFORE TRUNCATE", row=False),
    ]


def _sqlite_trigger(table: str, what: str, event: str, condition: str) -> Guard:
    name = f"{table}_{what}"
    when = f" WHEN {condition}" if condition else ""
    statement = (
        f"CREATE TRIGGER {name} {event} ON {table} FOR EACH ROW{when} "
        f"BEGIN SELECT RAISE(ABORT, '{table}: its rows never change'); END"
    )
    return Guard("sqlite", table, name, statement)


def _postgresql_trigger(
    table: str, what: str, event: str, condition: str = "", *, row: bool = True
) -> Guard:
    name = f"{table}_{what}"
    level = "ROW" if row else "STATEMENT"
    function, body = (_REFUSE, _REFUSE_BODY) if not condition else (name, _refuse_when(condition))
    statement = (
        f"CREATE TRIGGER {name} {event} ON {table} FOR EACH {level} EXECUTE FUNCTION {function}()"
    )
    return Guard("postgresql", table, name, statement, function, body)


def _refuse_when(condition: str) -> str:
    return f"""
BEGIN
  IF {condition} THEN
    {_RAISE}
  END IF;
  RETURN NEW;
END;
"""


def _of(connection: BaseDatabaseWrapper) -> list[Guard]:
    return [guard for guard in _registered.values() if guard.vendor == connection.vendor]


def _drop(guard: Guard) -> str:
    on_table = f" ON {guard.table}" if guard.vendor == "postgresql" else ""
    return f"DROP TRIGGER IF EXISTS {guard.name}{on_table}"


def _absent(connection: BaseDatabaseWrapper) -> list[Guard]:
    tables = set(connection.introspection.table_names())
    guards = [guard for guard in _of(connection) if guard.table in tables]
    present = _present(connection)
    return [g for g in guards if present.get((g.table, g.name)) != (g.statement, g.body)]


def _present(connection: BaseDatabaseWrapper) -> dict[tuple[str, str], tuple[str, str]]:
    """(table, trigger) → its definition and, on PostgreSQL, its function's body."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT t.tgrelid::regclass::text, t.tgname, pg_get_triggerdef(t.oid, true), "
                "p.prosrc FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid "
                "WHERE NOT t.tgisinternal AND t.tgenabled = 'A'"
            )
        else:
            cursor.execute(
                "SELECT tbl_name, name, sql, '' FROM sqlite_master WHERE type = 'trigger'"
            )
        return {(table, name): (text, body) for table, name, text, body in cursor.fetchall()}


def _before_migrations(*, using: str, plan: list[Any] | None = None, **_kwargs: Any) -> None:
    if plan and connections[using].vendor == "sqlite":
        remove_guards(connections[using])


def _after_migrations(*, using: str, **_kwargs: Any) -> None:
    install_guards(connections[using])


def _on_connection(*, connection: BaseDatabaseWrapper, **_kwargs: Any) -> None:
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA recursive_triggers=ON")
