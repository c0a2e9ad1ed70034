"""What only PostgreSQL has: room for HOT updates, the making transaction's id, leaner indexes."""

from django.db import migrations

# Half of each page stays free, so that an update of a wallet touches no index.
HOT_TABLES = ["ledger_wallet", "ledger_limit"]
# Public ids are looked up whole, never by LIKE; these doubles would cost every hold and capture.
WRITTEN_TABLES = ["ledger_hold", "ledger_transaction", "ledger_lot"]


def tune(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    for table in HOT_TABLES:
        schema_editor.execute(f"ALTER TABLE {table} SET (fillfactor = 50)")
    schema_editor.execute(
        "ALTER TABLE ledger_transaction "
        "ADD COLUMN recorded_in xid8 NOT NULL DEFAULT pg_current_xact_id()"
    )
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname FROM pg_indexes "
            "WHERE tablename = ANY(%s) AND indexname LIKE %s AND schemaname = current_schema()",
            [WRITTEN_TABLES, "%public\\_id%\\_like"],
        )
        names = [name for (name,) in cursor.fetchall()]
    for name in names:
        schema_editor.execute(f'DROP INDEX "{name}"')


def untune(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    for table in HOT_TABLES:
        schema_editor.execute(f"ALTER TABLE {table} RESET (fillfactor)")
    schema_editor.execute("ALTER TABLE ledger_transaction DROP COLUMN recorded_in")
    for table in WRITTEN_TABLES:
        schema_editor.execute(
            f"CREATE INDEX {table}_public_id_like ON {table} (public_id varchar_pattern_ops)"
        )


class Migration(migrations.Migration):

    dependencies = [("ledger", "0001_initial_tables")]

    operations = [migrations.RunPython(tune, untune, elidable=False)]
