"""Seals: every entry is committed to once, in one order, on both databases alike."""

import hashlib
import json
from collections import defaultdict
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from marketplace.ledger import services as ledger
from marketplace.ledger.models import (
    Checkpoint,
    Entry,
    SealedEntry,
    Wallet,
    WalletCheckpoint,
)
from tests.databases import CommittedDatabase
from tests.ledger import crowd
from tests.ledger.auditor import audit, read_books
from tests.ledger.cast import GLOBEX, LATER, NOW, PROVIDER, capture, grant, hold, wallet
from tests.ledger.crowd import run_crowd

LOT: dict[str, Any] = {"days": 30, "paid_minor": 95, "currency": "USD", "reason": "给 Acme"}


def seal(**later: int) -> list[Checkpoint]:
    return ledger.seal_entries(now=NOW + timedelta(**later))


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
def trade(db: None) -> None:
    """Two tenants, both units, a scoped wallet, a reversal, and entries of the operator's."""
    grant(1000, reference="order:1", **LOT)
    grant(300, reference="order:2", scope="service:1")
    grant(500, unit="test", reference="order:3")
    grant(400, owner=GLOBEX, reference="order:4", days=-1)
    result = capture(hold(700, scopes=("service:1",)), 650)
    ledger.reverse_transaction(
        transaction_id=result.transaction_id,
        debits=[("commission", ledger.OPERATOR, 5)],
        idempotency_key="1",
        reason="test",
        now=NOW,
    )
    ledger.expire_lots(now=NOW)
    adjust("1")
    adjust("2", "test")


def test_seals_what_is_new_and_nothing_twice(trade: None) -> None:
    [first] = seal()
    assert first.number == 1
    assert first.previous == "0" * 64
    assert first.chains == 6
    assert seal() == []
    capture(hold(10), 9)
    [second] = seal(minutes=5)
    assert (second.number, second.previous, second.chains) == (2, first.hash, 6)
    [state] = second.states.all()
    assert (state.wallet, state.seq) == (wallet(), wallet().seq)
    assert state.posted_millitokens == wallet().posted_millitokens
    assert seal() == []


def test_every_entry_is_in_one_chain(trade: None) -> None:
    seal()
    for state in WalletCheckpoint.objects.exclude(wallet=None).select_related("wallet"):
        assert state.wallet is not None
        assert state.seq == state.wallet.seq
        assert state.posted_millitokens == state.wallet.posted_millitokens
    sealed = set(SealedEntry.objects.values_list("entry", flat=True))
    assert sealed == set(Entry.objects.filter(wallet=None).values_list("pk", flat=True))
    positions = defaultdict(list)
    for chain, position in SealedEntry.objects.order_by("pk").values_list("chain", "position"):
        positions[chain].append(position)
    for chain, places in positions.items():
        assert places == list(range(1, len(places) + 1))
        assert WalletCheckpoint.objects.get(chain=chain).seq == len(places)


def test_head_is_what_the_documentation_says(db: None) -> None:
    """Made again here by hand, with nothing of the code: the same bytes on both databases."""
    lot = grant(1000, reference="order:1", **LOT)
    entry = Entry.objects.select_related("transaction").get()
    seal()
    record: dict[str, Any] = {
        "after": "1000",
        "amount": "1000",
        "burns": [],
        "chain": "wallet:org_acme:live",
        "credit": "wallet:org_acme:live",
        "debit": "clearing:sandbox:live",
        "effective_at": "2026-10-01T12:00:00.000000Z",
        "hold": None,
        "key": "paid:order:1",
        "kind": "grant",
        "line": 1,
        "lines": 1,
        "lot": {
            "currency": "USD",
            "expires_at": "2026-10-31T12:00:00.000000Z",
            "face": "1000",
            "granted_at": "2026-10-01T12:00:00.000000Z",
            "id": lot.public_id,
            "kind": "paid",
            "paid_minor": "95",
        },
        "reason": "\u7ed9 Acme",
        "recorded_at": "2026-10-01T12:00:00.000000Z",
        "reference": "order:1",
        "request_hash": entry.transaction.request_hash,
        "reversal_no": None,
        "reverses": None,
        "scope": "grant",
        "seq": 1,
        "transaction": entry.transaction.public_id,
    }
    head = sha(sha(b"wallet:org_acme:live") + canonical(record))
    state = {"chain": "wallet:org_acme:live", "head": head.hex(), "posted": "1000", "seq": 1}
    root = sha(b"\x00" + canonical(state))
    header = {
        "chains": 1,
        "number": 1,
        "previous": "0" * 64,
        "root": root.hex(),
        "sealed_at": "2026-10-01T12:00:00.000000Z",
    }
    assert WalletCheckpoint.objects.get().head == head.hex()
    assert Checkpoint.objects.get().root == root.hex()
    assert Checkpoint.objects.get().hash == sha(canonical(header)).hex()


def sha(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def test_fractions_of_seconds_are_kept(db: None) -> None:
    grant(1000, now=NOW + timedelta(microseconds=120_000))
    seal()
    [row] = read_records()
    assert row["recorded_at"] == "2026-10-01T12:00:00.120000Z"


def read_records() -> list[dict[str, Any]]:
    from marketplace.ledger.chain_rows import read_ranges

    return [row.as_record() for row in read_ranges([(wallet().pk, 1, wallet().seq)])]


def test_burns_of_a_transaction_stand_with_its_first_line(db: None) -> None:
    soon, later = (grant(100, days=days).public_id for days in (1, 2))
    capture(hold(150), 150)
    records = read_records()
    assert [record["line"] for record in records] == [1, 1, 1, 2]
    assert records[2]["burns"] == sorted([[soon, "100"], [later, "50"]])
    assert records[3]["burns"] == []


def test_many_wallets_and_a_small_memory(trade: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same heads, whatever fits into memory and into one checkpoint."""
    from marketplace.ledger.services import sealing

    monkeypatch.setattr(sealing, "_ENTRIES_AT_ONCE", 2)
    monkeypatch.setattr(sealing, "_MOST_WALLETS", 1)
    monkeypatch.setattr(sealing, "_MOST_OF_OPERATOR", 1)
    with transaction.atomic():
        slowly = seal()
        heads = read_heads()
        transaction.set_rollback(True)
    monkeypatch.undo()
    [at_once] = seal()
    assert len(slowly) == 4
    assert read_heads() == heads
    assert at_once.chains == slowly[-1].chains == 6


def read_heads() -> dict[str, tuple[int, int, str]]:
    return {
        state.chain: (state.seq, state.posted_millitokens, state.head)
        for state in WalletCheckpoint.objects.order_by("seq")
    }


@pytest.mark.parametrize("table", ["checkpoint", "walletcheckpoint", "sealedentry"])
def test_seals_never_change(trade: None, table: str) -> None:
    seal()
    before = read_books(), read_heads()
    for statement in (f"UPDATE ledger_{table} SET id = id + 1", f"DELETE FROM ledger_{table}"):  # noqa: S608
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    assert (read_books(), read_heads()) == before


def test_broken_wallet_is_not_sealed_further(trade: None) -> None:
    seal()
    drop = "DROP TRIGGER ledger_entry_no_update"
    if connection.vendor == "postgresql":
        drop += " ON ledger_entry"
    capture(hold(10), 9)
    with connection.cursor() as cursor:
        cursor.execute(drop)
        cursor.execute(
            "UPDATE ledger_entry SET wallet_after_millitokens = wallet_after_millitokens + 1 "
            "WHERE wallet_id = %s AND wallet_seq = %s",
            [wallet().pk, wallet().seq - 1],
        )
    grant(5, owner=GLOBEX)
    [checkpoint] = seal()
    assert [state.chain for state in checkpoint.states.all()] == ["wallet:org_globex:live"]
    assert seal() == []


def test_missing_entry_is_not_sealed(db: None) -> None:
    grant(1000)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE ledger_wallet SET seq = seq + 1")
    assert seal() == []
    assert not Checkpoint.objects.exists()


def test_records_name_holds_and_reversals_by_their_public_ids(db: None) -> None:
    grant(1000)
    hold_id = hold(100)
    result = capture(hold_id, 40)
    ledger.reverse_transaction(
        transaction_id=result.transaction_id, idempotency_key="1", reason="test", now=LATER
    )
    records = read_records()
    assert records[1]["hold"] == hold_id
    assert records[-1]["reverses"] == result.transaction_id
    assert records[-1]["reversal_no"] == 1


def test_sealing_while_others_write(committed_db: CommittedDatabase) -> None:
    """Two sealers and six writers at once, as processes: one chain, and everything in it."""
    for number in range(4):
        grant(1500, owner=f"org_{number}")
        grant(300, owner=f"org_{number}", scope="service:1")
    counts = run_crowd(committed_db, crowd.mix_or_seal, 8, turns=15, sealers=2)
    seal()
    numbers = list(Checkpoint.objects.order_by("number").values_list("number", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))
    assert sum(counts[:2]) <= len(numbers) <= sum(counts[:2]) + 1
    with connection.cursor() as cursor:
        assert ledger.find_broken_seals(cursor) == []
    for item in Wallet.objects.all():
        state = item.sealed_states.order_by("-seq").first()
        assert state is not None
        assert (state.seq, state.posted_millitokens) == (item.seq, item.posted_millitokens)
    assert not Entry.objects.filter(wallet=None, sealed=None).exists()
    audit()
