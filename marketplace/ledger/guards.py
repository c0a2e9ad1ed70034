"""What the database itself refuses, beside constraints: changes of the past and false entries.

``GUARDS`` are registered in ``apps.py`` and installed after every migration (see
``portal.kernel.immutability``). An entry is only accepted when it

- joins a transaction that lacks this very line (``entry_count`` seals a complete one) and, on
  PostgreSQL, that was made in the same database transaction;
- moves tokens between accounts of one unit;
- names the wallet whose account it moves, exactly when it moves one.
"""

from collections.abc import Iterable

from django.apps import apps
from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.migrations.loader import MigrationLoader
from django.db.models import Model

from marketplace.ledger.models import Entry
from portal.kernel import immutability, privileges
from portal.kernel.immutability import Guard, append_only, fixed_columns, refuse

_ENTRY_REFUSED = "ledger_entry: not a line of a transaction being made, or accounts do not fit"

_SQLITE_ENTRY_JOINS = f"""
CREATE TRIGGER ledger_entry_joins BEFORE INSERT ON ledger_entry FOR EACH ROW
WHEN NOT EXISTS (
  SELECT 1
  FROM ledger_transaction t
  JOIN ledger_account d ON d.id = NEW.debit_account_id
  JOIN ledger_account c ON c.id = NEW.credit_account_id
  LEFT JOIN ledger_wallet w ON w.id = NEW.wallet_id
  WHERE t.id = NEW.transaction_id
    AND NEW.line BETWEEN 1 AND t.entry_count
    AND d.unit = c.unit
    AND (d.kind = 'wallet') = (d.id IS w.account_id)
    AND (c.kind = 'wallet') = (c.id IS w.account_id)
    AND (NEW.wallet_id IS NULL) = (d.kind <> 'wallet' AND c.kind <> 'wallet')
)
BEGIN SELECT RAISE(ABORT, '{_ENTRY_REFUSED}'); END
""".strip()  # noqa: S608 (a constant)

# recorded_in is a column that only PostgreSQL has: the database transaction's own id by default
# (xmin would not do, since a savepoint has its own).
_POSTGRESQL_ENTRY_JOINS = f"""
BEGIN
  IF EXISTS (
    SELECT 1
    FROM added a
    LEFT JOIN ledger_transaction t
      ON t.id = a.transaction_id AND t.recorded_in = pg_current_xact_id()
    LEFT JOIN ledger_account d ON d.id = a.debit_account_id
    LEFT JOIN ledger_account c ON c.id = a.credit_account_id
    LEFT JOIN ledger_wallet w ON w.id = a.wallet_id
    WHERE t.id IS NULL
      OR a.line NOT BETWEEN 1 AND t.entry_count
      OR d.unit IS DISTINCT FROM c.unit
      OR (d.kind = 'wallet') <> (w.account_id IS NOT DISTINCT FROM d.id)
      OR (c.kind = 'wallet') <> (w.account_id IS NOT DISTINCT FROM c.id)
      OR (a.wallet_id IS NULL) <> (d.kind <> 'wallet' AND c.kind <> 'wallet')
  ) THEN
    RAISE EXCEPTION '{_ENTRY_REFUSED}' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END;
"""  # noqa: S608 (a constant)

_RESOLVED_CHANGES = (
    "OLD.state IN ('captured', 'released', 'declined') "
    "OR (OLD.state = 'expired' AND NEW.state <> 'captured')"
)

_DISABLED_FOREIGN_KEYS = """
SELECT DISTINCT t.tgrelid::regclass::text FROM pg_trigger t
WHERE t.tgisinternal AND t.tgenabled = 'D' AND t.tgrelid::regclass::text LIKE 'ledger%' ORDER BY 1
"""

GUARDS: list[Guard] = [
    *append_only("ledger_account"),
    *append_only("ledger_transaction"),
    *append_only("ledger_entry"),
    *append_only("ledger_lotburn"),
    *append_only("ledger_checkpoint"),
    *append_only("ledger_walletcheckpoint"),
    *append_only("ledger_sealedentry"),
    *append_only("ledger_headdelivery"),
    *fixed_columns("ledger_wallet", ["account_id", "owner_key", "unit", "scope"]),
    *fixed_columns(
        "ledger_lot",
        [
            "public_id",
            "wallet_id",
            "reference",
            "kind",
            "face_millitokens",
            "paid_minor",
            "currency",
            "granted_at",
            "expires_at",
        ],
    ),
    *fixed_columns(
        "ledger_hold",
        [
            "public_id",
            "owner_key",
            "unit",
            "idempotency_scope",
            "idempotency_key",
            "request_hash",
            "reference",
            "price_version",
            "placed_at",
        ],
    ),
    # A hold resolves once; only an expired one may still be captured, late.
    *refuse(
        "ledger_hold",
        "resolved",
        "BEFORE UPDATE",
        sqlite=_RESOLVED_CHANGES,
        postgresql=_RESOLVED_CHANGES,
    ),
    Guard("sqlite", "ledger_entry", "ledger_entry_joins", _SQLITE_ENTRY_JOINS),
    Guard(
        "postgresql",
        "ledger_entry",
        "ledger_entry_joins",
        "CREATE TRIGGER ledger_entry_joins AFTER INSERT ON ledger_entry "
        "REFERENCING NEW TABLE AS added FOR EACH STATEMENT "
        "EXECUTE FUNCTION ledger_check_added_entries()",
        "ledger_check_added_entries",
        _POSTGRESQL_ENTRY_JOINS,
    ),
]


def missing_guards() -> list[str]:
    """What keeps the books right and is not there: migrations, triggers of all rooms, constraints
    of the ledger, and privileges that the serving role should lack.

    Empty when all is well. For start-up (``watch``), /healthz and the reconciler (check 21).
    """
    loader = MigrationLoader(connection)
    lacking = sorted(set(loader.graph.nodes) - set(loader.applied_migrations))
    return [f"migration {app}.{name}" for app, name in lacking] + missing_safeguards()


def missing_safeguards() -> list[str]:
    """The same without migrations. Empty before the first one."""
    tables = set(connection.introspection.table_names())
    if Entry._meta.db_table not in tables:
        return []
    return [
        *immutability.missing_guards(connection),
        *_missing_constraints(),
        *privileges.list_forbidden_privileges(connection),
    ]


def _missing_constraints() -> list[str]:
    with connection.cursor() as cursor:
        missing = _missing_by_name(cursor)
        for model in _models():
            missing += _missing_of_fields(cursor, model)
        if connection.vendor == "postgresql":
            cursor.execute(_DISABLED_FOREIGN_KEYS)
            missing += [f"foreign keys of {table} (disabled)" for (table,) in cursor.fetchall()]
    return missing


def _models() -> Iterable[type[Model]]:
    return apps.get_app_config("ledger").get_models()


def _missing_by_name(cursor: CursorWrapper) -> list[str]:
    """Constraints that the models name."""
    expected = {item.name for model in _models() for item in model._meta.constraints}
    if connection.vendor == "postgresql":
        cursor.execute(
            "SELECT conname FROM pg_constraint WHERE convalidated "
            "UNION ALL SELECT indexrelid::regclass::text FROM pg_index "
            "WHERE indisunique AND indisvalid"
        )
        present = {name for (name,) in cursor.fetchall()}
        return sorted(expected - present)
    cursor.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
    text = "\n".join(sql for (sql,) in cursor.fetchall())
    return sorted(name for name in expected if f'"{name}"' not in text)


def _missing_of_fields(cursor: CursorWrapper, model: type[Model]) -> list[str]:
    """Foreign keys, and what is unique, as the fields say."""
    table = model._meta.db_table
    present = connection.introspection.get_constraints(cursor, table).values()
    linked = {item["columns"][0] for item in present if item["foreign_key"]}
    unique = {tuple(item["columns"]) for item in present if item["unique"] or item["primary_key"]}
    missing = []
    for field in model._meta.local_concrete_fields:
        if field.remote_field and field.column not in linked:
            missing.append(f"foreign key {table}.{field.column}")
        if field.unique and (field.column,) not in unique:
            missing.append(f"unique {table}.{field.column}")
    return missing
