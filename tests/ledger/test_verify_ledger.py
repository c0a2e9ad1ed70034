# ruff: noqa: S608 (raw SQL is what these tests are about)
"""Whatever is changed of what was sealed is found, and where."""

from datetime import timedelta

import pytest
from django.db import connection

from marketplace.ledger import services as ledger
from marketplace.ledger.chains import format_moment, hash_header, hash_state
from marketplace.ledger.merkle import MerkleTree
from marketplace.ledger.models import WalletCheckpoint
from portal.kernel import immutability
from tests.ledger.cast import GLOBEX, NOW, PROVIDER, capture, grant, hold, wallet


def seal(minutes: int = 0) -> None:
    assert ledger.seal_entries(now=NOW + timedelta(minutes=minutes))


def find_broken() -> list[ledger.BrokenSeal]:
    with connection.cursor() as cursor:
        return ledger.find_broken_seals(cursor)


def execute(*statements: str) -> None:
    """As whoever owns the database could."""
    immutability.remove_guards(connection)
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def adjust(key: str, unit: str = "live") -> None:
    ledger.post_transaction(
        kind="adjustment",
        unit=unit,
        idempotency_scope="test",
        idempotency_key=key,
        moves=[ledger.Move(("promotion", ledger.OPERATOR), ("payable", PROVIDER), 7)],
        reason="owed",
        now=NOW,
    )


@pytest.fixture
def sealed(db: None) -> None:
    """Three checkpoints over two tenants and the operator's entries."""
    grant(1000, reference="order:1", paid_minor=95, currency="USD", days=30)
    grant(400, owner=GLOBEX, reference="order:2")
    adjust("1")
    seal()
    result = capture(hold(700), 650)
    ledger.reverse_transaction(
        transaction_id=result.transaction_id,
        debits=[("commission", ledger.OPERATOR, 5)],
        idempotency_key="1",
        reason="test",
        now=NOW,
    )
    adjust("2")
    adjust("3", "test")
    seal(5)
    capture(hold(10), 9)
    seal(10)


def test_sound_books_have_no_broken_seals(sealed: None) -> None:
    capture(hold(10), 9)  # not sealed yet
    adjust("4")
    assert find_broken() == []


def test_pages_are_one_book(sealed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from marketplace.ledger import seal_rows

    for name in ("_WALLET_ENTRIES", "_OPERATOR_ENTRIES", "_CHECKPOINTS"):
        pages = getattr(seal_rows, name)
        small = {vendor: sql.replace("LIMIT 2000", "LIMIT 2") for vendor, sql in pages.items()}
        monkeypatch.setattr(seal_rows, name, small)
    monkeypatch.setattr(seal_rows, "_STATES", seal_rows._STATES.replace("LIMIT 2000", "LIMIT 2"))
    monkeypatch.setattr(seal_rows, "_PAGE", 2)
    assert find_broken() == []


TRANSACTION = "WHERE kind = 'capture'"
ENTRY = "WHERE wallet_seq = 3"
TAMPERED = [
    f"UPDATE ledger_transaction SET reason = 'forged' {TRANSACTION}",
    f"UPDATE ledger_transaction SET reference = 'call:other' {TRANSACTION}",
    f"UPDATE ledger_transaction SET request_hash = 'x' {TRANSACTION}",
    f"UPDATE ledger_transaction SET idempotency_key = 'x' || id {TRANSACTION}",
    "UPDATE ledger_transaction SET kind = 'purchase' WHERE kind = 'grant'",
    "UPDATE ledger_transaction SET recorded_at = '2026-10-01 11:59:59'",
    "UPDATE ledger_transaction SET effective_at = '2026-10-01 11:59:59'",
    "UPDATE ledger_transaction SET reversal_no = 2 WHERE reversal_no = 1",
    f"UPDATE ledger_transaction SET public_id = 'txn_forged' || id {TRANSACTION}",
    f"UPDATE ledger_transaction SET entry_count = 3 {TRANSACTION}",
    f"UPDATE ledger_entry SET amount_millitokens = amount_millitokens + 1 {ENTRY}",
    f"UPDATE ledger_entry SET wallet_after_millitokens = wallet_after_millitokens + 1 {ENTRY}",
    "UPDATE ledger_entry SET amount_millitokens = 8 WHERE amount_millitokens = 7",
    "UPDATE ledger_entry SET line = 9 WHERE line = 2",
    "UPDATE ledger_account SET owner_key = 'me' WHERE kind = 'payable'",
    "UPDATE ledger_account SET kind = 'breakage' WHERE kind = 'commission'",
    "UPDATE ledger_lotburn SET amount_millitokens = amount_millitokens - 1",
    "DELETE FROM ledger_lotburn",
    "UPDATE ledger_lot SET face_millitokens = face_millitokens + 1",
    "UPDATE ledger_lot SET paid_minor = 9500 WHERE paid_minor = 95",
    "UPDATE ledger_lot SET expires_at = '2026-12-01 12:00:00'",
    "UPDATE ledger_hold SET public_id = 'hld_forged' || id",
    "UPDATE ledger_walletcheckpoint SET head = 'x' WHERE seq = 1",
    "UPDATE ledger_walletcheckpoint SET posted_millitokens = 1 WHERE seq = 1",
    "UPDATE ledger_checkpoint SET root = previous WHERE number = 2",
    "UPDATE ledger_checkpoint SET hash = root WHERE number = 3",
    "UPDATE ledger_checkpoint SET sealed_at = '2026-10-01 12:00:00' WHERE number = 3",
    "UPDATE ledger_checkpoint SET chains = 9 WHERE number = 3",
    "UPDATE ledger_checkpoint SET previous = root WHERE number = 3",
    "UPDATE ledger_checkpoint SET number = 4 WHERE number = 3;"
    "UPDATE ledger_walletcheckpoint SET checkpoint_number = 4 WHERE checkpoint_number = 3",
    "DELETE FROM ledger_walletcheckpoint WHERE seq = 1",
    "DELETE FROM ledger_sealedentry WHERE position = 2",
    "UPDATE ledger_sealedentry SET position = 9 WHERE position = 2",
    "DELETE FROM ledger_entry WHERE wallet_seq = 3",
]


@pytest.mark.parametrize("statement", TAMPERED)
def test_tampering_is_found(sealed: None, statement: str) -> None:
    execute(*statement.split(";"))
    assert find_broken()


def test_the_place_of_a_break_is_named(sealed: None) -> None:
    execute("UPDATE ledger_transaction SET reason = 'forged' WHERE kind = 'reversal'")
    [broken] = find_broken()
    assert broken == ledger.BrokenSeal(
        "wallet:org_acme:live",
        wallet().pk,
        4,
        "entries 2 to 4 are not those that were sealed",
    )


def test_a_cut_chain_is_named(sealed: None) -> None:
    execute("DELETE FROM ledger_entry WHERE wallet_seq >= 5")
    assert find_broken() == [
        ledger.BrokenSeal("wallet:org_acme:live", wallet().pk, 6, "entry 6 was sealed and is gone")
    ]


@pytest.mark.parametrize(
    ("owner", "takes"),
    [("org_acme", "a second place"), ("org_acme", "another's"), ("org_new", "another's")],
)
def test_each_chain_has_one_place_for_ever(sealed: None, owner: str, takes: str) -> None:
    """Two leaves of one chain would let two histories of it fit one head. The operator makes them,
    with a root and a hash that fit."""
    grant(5, owner=owner)
    seal(15)
    *states, last = WalletCheckpoint.objects.order_by("checkpoint_id", "leaf")
    newest = last.checkpoint
    tree = MerkleTree()
    for state in states:
        tree.put(state.leaf, _leaf_of(state))
    place = len(tree) if takes == "a second place" else 1
    tree.put(place, _leaf_of(last))
    root = tree.root.hex()
    sealed_at = format_moment(newest.sealed_at)
    forged = hash_header(newest.number, sealed_at, newest.previous, root, len(tree))
    execute(
        f"UPDATE ledger_walletcheckpoint SET leaf = {place} WHERE id = {last.pk}",
        f"UPDATE ledger_checkpoint SET root = '{root}', chains = {len(tree)}, hash = '{forged}' "
        f"WHERE number = {newest.number}",
    )
    [broken] = find_broken()
    assert (broken.chain, broken.seq) == ("checkpoints", newest.number)
    assert broken.reason == "its chains have not one place each"


def _leaf_of(state: WalletCheckpoint) -> bytes:
    return hash_state(state.chain, state.seq, state.posted_millitokens, state.head)


def test_a_forged_place_is_found(sealed: None) -> None:
    """It would be taken for sealed, and never be."""
    adjust("4")
    execute(
        "INSERT INTO ledger_sealedentry (entry_id, chain, position) "
        "SELECT MAX(id), 'operator:live', 3 FROM ledger_entry WHERE wallet_id IS NULL"
    )
    [broken] = find_broken()
    assert (broken.chain, broken.seq) == ("operator:live", 3)
