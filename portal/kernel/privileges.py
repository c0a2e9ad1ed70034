"""Who may change rows that never change: on PostgreSQL nobody but the tables' owner.

The processes that serve should run as another role than the one that migrates (docs/deploy.md).
After each ``migrate`` whatever that role was granted on append-only tables beyond reading and
adding is taken back; ``list_forbidden_privileges`` says at start-up and later what it has still.
"""

from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.signals import post_migrate

from portal.kernel.immutability import list_append_only

# Whoever belongs to the owner's role has all of its privileges: that is told apart.
_FORBIDDEN = """
SELECT c.relname, p.privilege FROM pg_class c
CROSS JOIN (VALUES ('UPDATE'), ('DELETE'), ('TRUNCATE')) AS p (privilege)
WHERE c.oid = ANY (%s::regclass[]) AND NOT pg_has_role(current_user, c.relowner, 'MEMBER')
  AND (has_table_privilege(current_user, c.oid, p.privilege)
    OR p.privilege = 'UPDATE' AND has_any_column_privilege(current_user, c.oid, 'UPDATE'))
ORDER BY c.relname, p.privilege
"""
_OWNED = """
SELECT EXISTS (SELECT 1 FROM pg_class c
  WHERE c.oid = ANY (%s::regclass[]) AND pg_has_role(current_user, c.relowner, 'MEMBER'))
"""
_GRANTED = """
SELECT DISTINCT c.relname,
  CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(a.grantee::regrole::text) END
FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
WHERE c.oid = ANY (%s::regclass[]) AND a.grantee <> c.relowner
  AND a.privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE')
  AND pg_has_role(current_user, c.relowner, 'MEMBER')
"""


def list_forbidden_privileges(connection: BaseDatabaseWrapper) -> list[str]:
    """What this connection's role may do to append-only tables and should not, like
    "may UPDATE ledger_entry". Empty for the tables' owner, and on SQLite, which has no roles."""
    rows = _fetch(connection, _FORBIDDEN)
    return [f"may {privilege} {table}" for table, privilege in rows]


def serves_as_owner(connection: BaseDatabaseWrapper) -> bool:
    """Whether this connection's role owns the tables, so that only triggers guard them."""
    return any(owned for (owned,) in _fetch(connection, _OWNED))


def revoke_changes(connection: BaseDatabaseWrapper) -> None:
    """Take UPDATE, DELETE and TRUNCATE on append-only tables from everybody but their owner."""
    for table, grantee in _fetch(connection, _GRANTED):
        with connection.cursor() as cursor:
            cursor.execute(f"REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM {grantee}")


def revoke_after_migrations() -> None:
    """Called once, from an ``AppConfig.ready``."""
    post_migrate.connect(_after_migrations, dispatch_uid="kernel.privileges")


def _after_migrations(*, using: str, **_kwargs: Any) -> None:
    revoke_changes(connections[using])


def _fetch(connection: BaseDatabaseWrapper, sql: str) -> list[Any]:
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute(sql, [list_append_only(connection)])
        return list(cursor.fetchall())
