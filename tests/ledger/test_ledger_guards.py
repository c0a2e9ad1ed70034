# ruff: noqa: S608 (raw SQL is what these tests are about)
"""What the database itself refuses, whoever asks."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from marketplace.ledger import guards, migrations
from marketplace.ledger import services as ledger
from marketplace.ledger.apps import check_guards
from portal.kernel import immutability, privileges
from tests.databases import CommittedDatabase
from tests.ledger.auditor import audit, read_books
from tests.ledger.cast import NOW, capture, grant, hold


def execute(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def refuse(statement: str) -> None:
    """Run raw SQL, which must fail and change nothing."""
    before = read_books()
    with pytest.raises(DatabaseError):
        execute(statement)
    assert read_books() == before


@pytest.fixture
def books(db: None) -> None:
    grant(1000)
    grant(500, unit="test")
    result = capture(hold(600), 500)
    ledger.reverse_transaction(
        transaction_id=result.transaction_id,
        debits=[("commission", ledger.OPERATOR, 5)],
        idempotency_key="1",
        reason="test",
        now=NOW,
    )
    hold(100)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_entry SET amount_millitokens = amount_millitokens + 1",
        "UPDATE ledger_entry SET line = 9 WHERE line = 1",
        "DELETE FROM ledger_entry",
        "UPDATE ledger_transaction SET reason = 'forged'",
        "DELETE FROM ledger_transaction WHERE kind = 'capture'",
        "UPDATE ledger_lotburn SET amount_millitokens = 1",
        "DELETE FROM ledger_lotburn",
        "UPDATE ledger_account SET owner_key = 'me' WHERE kind = 'payable'",
        "DELETE FROM ledger_account WHERE kind = 'payable'",
        "UPDATE ledger_wallet SET owner_key = 'me'",
        "UPDATE ledger_lot SET face_millitokens = face_millitokens * 2",
        "UPDATE ledger_lot SET reference = 'order:again'",
        "UPDATE ledger_lot SET expires_at = '2030-01-01'",
        "UPDATE ledger_hold SET price_version = 'other'",
        "DELETE FROM ledger_lot",
        "DELETE FROM ledger_hold",
        "UPDATE ledger_hold SET idempotency_key = 'other'",
        "UPDATE ledger_wallet SET posted_millitokens = -1",
        "UPDATE ledger_wallet SET held_millitokens = posted_millitokens + 1",
        "UPDATE ledger_wallet SET held_millitokens = -1",
        "UPDATE ledger_lot SET remaining_millitokens = face_millitokens + 1",
        "UPDATE ledger_hold SET captured_millitokens = 1 WHERE state = 'pending'",
        "UPDATE ledger_hold SET state = 'gone'",
        "UPDATE ledger_hold SET state = 'pending', captured_millitokens = 0, resolved_at = NULL "
        "WHERE state = 'captured'",
        "UPDATE ledger_hold SET captured_millitokens = 1 WHERE state = 'captured'",
    ],
)
def test_changing_the_past_is_refused(books: None, statement: str) -> None:
    refuse(statement)


@pytest.mark.only_on("postgresql", why="SQLite has no TRUNCATE; its DELETE is refused")
@pytest.mark.parametrize("table", ["ledger_entry", "ledger_transaction", "ledger_lotburn"])
def test_truncate_is_refused(books: None, table: str) -> None:
    refuse(f"TRUNCATE {table} CASCADE")


@pytest.mark.only_on("sqlite", why="only SQLite has REPLACE")
def test_replace_is_refused(books: None) -> None:
    columns = (
        "transaction_id, line, debit_account_id, credit_account_id, amount_millitokens, "
        "wallet_id, wallet_seq, wallet_after_millitokens"
    )
    source = f"SELECT {columns} FROM ledger_entry LIMIT 1"
    refuse(f"INSERT OR REPLACE INTO ledger_entry ({columns}) {source}")
    refuse(
        f"INSERT OR REPLACE INTO ledger_entry (id, {columns}) SELECT id, {columns} "
        "FROM ledger_entry LIMIT 1"
    )
    refuse(
        "REPLACE INTO ledger_account (id, kind, owner_key, unit) "
        "SELECT id, kind, 'me', unit FROM ledger_account WHERE kind = 'payable'"
    )


def insert_entry(transaction: str, debit: str, credit: str, line: int, wallet: str = "NULL") -> str:
    seq = "NULL, NULL" if wallet == "NULL" else "99, 1"
    return (
        "INSERT INTO ledger_entry (transaction_id, line, debit_account_id, credit_account_id, "
        "amount_millitokens, wallet_id, wallet_seq, wallet_after_millitokens) VALUES ("
        f"({transaction}), {line}, ({debit}), ({credit}), 1, {wallet}, {seq})"
    )


CAPTURE = "SELECT id FROM ledger_transaction WHERE kind = 'capture'"
PAYABLE = "SELECT id FROM ledger_account WHERE kind = 'payable'"
COMMISSION = "SELECT id FROM ledger_account WHERE kind = 'commission'"
CLEARING_TEST = "SELECT id FROM ledger_account WHERE kind = 'clearing' AND unit = 'test'"
WALLET_ACCOUNT = "SELECT account_id FROM ledger_wallet WHERE unit = 'live'"
WALLET = "(SELECT id FROM ledger_wallet WHERE unit = 'live')"
WALLET_TEST = "(SELECT id FROM ledger_wallet WHERE unit = 'test')"


def test_entry_cannot_join_a_complete_transaction(books: None) -> None:
    for line in (0, 1, 2, 3, 4):
        refuse(insert_entry(CAPTURE, PAYABLE, COMMISSION, line))


def begin(entry_count: int) -> None:
    """A transaction that still lacks its lines."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ledger_transaction (public_id, kind, idempotency_scope, "
            "idempotency_key, request_hash, entry_count, reference, reason, effective_at, "
            "recorded_at) VALUES ('txn_raw', 'adjustment', 'raw', '1', '', %s, '', '', %s, %s)",
            [entry_count, str(NOW), str(NOW)],
        )


RAW = "SELECT id FROM ledger_transaction WHERE public_id = 'txn_raw'"


def test_entry_fits_its_accounts(books: None) -> None:
    begin(2)
    refuse(insert_entry(RAW, PAYABLE, CLEARING_TEST, 1))  # two units
    refuse(insert_entry(RAW, PAYABLE, WALLET_ACCOUNT, 1))  # a wallet's account, no wallet
    refuse(insert_entry(RAW, PAYABLE, COMMISSION, 1, WALLET))  # a wallet, not its account
    refuse(insert_entry(RAW, PAYABLE, WALLET_ACCOUNT, 1, WALLET_TEST))  # another's wallet
    refuse(insert_entry(RAW, PAYABLE, PAYABLE, 1))
    refuse(insert_entry(RAW, PAYABLE, "SELECT -1", 1))
    refuse(insert_entry("SELECT -1", PAYABLE, COMMISSION, 1))
    refuse(insert_entry(RAW, PAYABLE, COMMISSION, 3))
    execute(insert_entry(RAW, PAYABLE, COMMISSION, 2))
    refuse(insert_entry(RAW, PAYABLE, COMMISSION, 2))


@pytest.mark.only_on(
    "postgresql", why="SQLite has no transaction ids: there only complete transactions are sealed"
)
def test_entry_only_joins_in_the_same_database_transaction(
    committed_db: CommittedDatabase,
) -> None:
    grant(1000)
    capture(hold(600), 500)
    with transaction.atomic():
        begin(2)
        with transaction.atomic():  # a savepoint is the same transaction
            execute(insert_entry(RAW, PAYABLE, COMMISSION, 1))
    refuse(insert_entry(RAW, PAYABLE, COMMISSION, 2))


def test_dropped_or_altered_guard_is_found_and_put_back(committed_db: CommittedDatabase) -> None:
    assert guards.missing_guards() == []
    on_table = " ON ledger_entry" if connection.vendor == "postgresql" else ""
    execute(f"DROP TRIGGER ledger_entry_no_update{on_table}")
    if connection.vendor == "postgresql":
        execute("ALTER TABLE ledger_lotburn DISABLE TRIGGER ledger_lotburn_no_delete")
    else:
        execute("DROP TRIGGER ledger_lotburn_no_delete")
        execute(
            "CREATE TRIGGER ledger_lotburn_no_delete BEFORE DELETE ON ledger_lotburn "
            "BEGIN SELECT 1; END"
        )
    missing = ["ledger_entry_no_update", "ledger_lotburn_no_delete"]
    assert guards.missing_guards() == missing
    [warning] = check_guards(app_configs=None, databases=["default"])
    assert "ledger_entry_no_update" in str(warning.msg)
    call_command("migrate", verbosity=0)
    assert guards.missing_guards() == []
    assert check_guards(app_configs=None, databases=["default"]) == []
    assert check_guards(app_configs=None, databases=None) == []


@pytest.mark.only_on("postgresql", why="SQLite's triggers have no functions")
def test_disarmed_function_is_found(committed_db: CommittedDatabase) -> None:
    execute(
        "CREATE OR REPLACE FUNCTION ledger_check_added_entries() RETURNS trigger "
        "LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
    )
    assert guards.missing_guards() == ["ledger_entry_joins"]
    call_command("migrate", verbosity=0)
    assert guards.missing_guards() == []


@pytest.mark.only_on("postgresql", why="SQLite keeps the whole statement, which is compared")
def test_hollow_trigger_is_found(committed_db: CommittedDatabase) -> None:
    """The right name and function, but a condition that is never met, or another event."""
    execute(
        "CREATE OR REPLACE TRIGGER ledger_entry_no_update BEFORE UPDATE ON ledger_entry "
        "FOR EACH ROW WHEN (false) EXECUTE FUNCTION tokenworks_refuse_change()"
    )
    execute(
        "CREATE OR REPLACE TRIGGER ledger_lot_fixed_columns BEFORE UPDATE OF currency "
        "ON ledger_lot FOR EACH ROW EXECUTE FUNCTION ledger_lot_fixed_columns()"
    )
    execute("ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER ledger_entry_no_update")
    execute("ALTER TABLE ledger_lot ENABLE ALWAYS TRIGGER ledger_lot_fixed_columns")
    assert guards.missing_guards() == ["ledger_entry_no_update", "ledger_lot_fixed_columns"]
    call_command("migrate", verbosity=0)
    assert guards.missing_guards() == []


def test_missing_migration_is_found(committed_db: CommittedDatabase) -> None:
    execute("DELETE FROM django_migrations WHERE name = '0002_postgresql_storage'")
    assert "migration ledger.0002_postgresql_storage" in guards.missing_guards()


@pytest.mark.only_on("postgresql", why="SQLite cannot drop them")
def test_dropped_foreign_key_and_unique_index_are_found(committed_db: CommittedDatabase) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conname FROM pg_constraint WHERE conrelid = 'ledger_entry'::regclass "
            "AND contype = 'f' AND confrelid = 'ledger_wallet'::regclass"
        )
        [(name,)] = cursor.fetchall()
    execute(f'ALTER TABLE ledger_entry DROP CONSTRAINT "{name}"')
    execute("ALTER TABLE ledger_transaction DROP CONSTRAINT ledger_transaction_public_id_key")
    execute("ALTER TABLE ledger_lot DISABLE TRIGGER ALL")
    for item in (
        "foreign key ledger_entry.wallet_id",
        "unique ledger_transaction.public_id",
        "foreign keys of ledger_lot (disabled)",
        "ledger_lot_no_delete",
    ):
        assert item in guards.missing_guards()


@pytest.mark.only_on("postgresql", why="SQLite has no roles")
def test_serving_role_may_only_read_and_add(committed_db: CommittedDatabase) -> None:
    """As docs/deploy.md sets it up: default privileges, then migrations, which take some back."""
    role = f"site_{committed_db.name}"[:60]
    execute(f'CREATE ROLE "{role}"')
    try:
        execute(f'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO "{role}"')
        execute(f'SET ROLE "{role}"')
        assert not privileges.serves_as_owner(connection)
        missing = guards.missing_guards()
        assert "may UPDATE ledger_entry" in missing
        assert "may DELETE ledger_checkpoint" in missing
        assert not [item for item in missing if "ledger_wallet " in item]
        execute("RESET ROLE")
        call_command("migrate", verbosity=0)
        execute(f'SET ROLE "{role}"')
        assert guards.missing_guards() == []
        execute("RESET ROLE")
        execute(f'GRANT UPDATE (reason) ON ledger_transaction TO "{role}"')
        execute(f'GRANT TRUNCATE ON ledger_entry TO "{role}"')
        execute(f'SET ROLE "{role}"')
        assert guards.missing_guards() == [
            "may TRUNCATE ledger_entry",
            "may UPDATE ledger_transaction",
        ]
        execute("RESET ROLE")
        assert privileges.serves_as_owner(connection)
        assert guards.missing_guards() == []
    finally:
        execute("RESET ROLE")
        execute(f'DROP OWNED BY "{role}"')
        execute(f'DROP ROLE "{role}"')


def test_dropped_constraint_is_found(committed_db: CommittedDatabase) -> None:
    if connection.vendor == "postgresql":
        execute("ALTER TABLE ledger_wallet DROP CONSTRAINT wallet_never_overspent")
        execute("DROP INDEX one_capture_per_hold")
        assert guards.missing_guards() == ["one_capture_per_hold", "wallet_never_overspent"]
    else:
        execute("DROP INDEX one_capture_per_hold")
        assert guards.missing_guards() == ["one_capture_per_hold"]


def test_migrating_back_and_forth_keeps_the_guards(committed_db: CommittedDatabase) -> None:
    grant(1000)
    capture(hold(600), 500)
    call_command("migrate", "ledger", "0001", verbosity=0)
    call_command("migrate", verbosity=0)
    assert guards.missing_guards() == []
    capture(hold(300), 100)
    refuse("DELETE FROM ledger_entry")
    audit()


@pytest.mark.only_on("sqlite", why="PostgreSQL keeps triggers when it alters a table")
def test_rebuilt_table_on_sqlite_gets_its_guards_back(committed_db: CommittedDatabase) -> None:
    from marketplace.ledger.models import Entry, Transaction

    immutability.remove_guards(connection)
    with connection.schema_editor() as editor:
        for model in (Entry, Transaction):
            editor._remake_table(model)  # type: ignore[attr-defined]
    assert "ledger_entry_joins" in guards.missing_guards()
    call_command("migrate", verbosity=0)
    assert guards.missing_guards() == []


REBUILDS = """
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ledger", "{latest}")]
    operations = [
        migrations.AlterField("transaction", "reason", models.CharField(max_length=201)),
        migrations.AlterField("entry", "line", models.PositiveIntegerField()),
    ]
"""


def test_migration_that_rebuilds_guarded_tables(
    committed_db: CommittedDatabase,
    tmp_path: Path,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A real one, as the next release might bring it: on SQLite its tables are made anew."""
    grant(1000)
    capture(hold(600), 500)
    package = tmp_path / "next_release"
    shutil.copytree(Path(migrations.__path__[0]), package)
    latest = max(path.stem for path in package.glob("0*.py"))
    (package / "9999_rebuilds.py").write_text(REBUILDS.format(latest=latest))
    monkeypatch.syspath_prepend(tmp_path)
    settings.MIGRATION_MODULES = {"ledger": "next_release"}
    assert guards.missing_guards() == ["migration ledger.9999_rebuilds"]
    call_command("migrate", verbosity=0)
    assert guards.missing_guards() == []
    refuse("UPDATE ledger_entry SET line = 9 WHERE line = 1")
    refuse("DELETE FROM ledger_transaction")
    capture(hold(300), 100)
    audit()
