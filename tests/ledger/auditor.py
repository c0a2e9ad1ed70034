"""An auditor that knows the tables and the rules, and nothing of the code that writes them."""

from collections import defaultdict
from typing import Any

from marketplace.ledger.models import (
    Account,
    Entry,
    Freeze,
    Hold,
    HoldLimit,
    HoldPart,
    Limit,
    Lot,
    LotBurn,
    Transaction,
    Wallet,
)

TABLES = [
    Account,
    Wallet,
    Freeze,
    Lot,
    Limit,
    Hold,
    HoldPart,
    HoldLimit,
    Transaction,
    Entry,
    LotBurn,
]


Books = dict[str, list[dict[str, Any]]]  # rows by table


def read_books() -> Books:
    """Every row of the ledger, to be compared whole."""
    return {
        table.__name__: list(table._default_manager.order_by("pk").values()) for table in TABLES
    }


def audit(books: Books | None = None) -> None:
    """Assert everything that must hold between the tables."""
    books = books or read_books()
    accounts, wallets, transactions, holds, lots = (
        {row["id"]: row for row in books[name]}
        for name in ("Account", "Wallet", "Transaction", "Hold", "Lot")
    )
    entries = books["Entry"]
    _audit_entries(entries, accounts, wallets, transactions)
    _audit_chains(entries, wallets)
    _audit_lots(books["LotBurn"], lots, wallets, transactions, entries)
    _audit_holds(holds, books["HoldPart"], wallets, transactions, entries)
    _audit_limits(books["Limit"], books["HoldLimit"], holds)
    _audit_reversals(transactions, entries)
    frozen = {freeze["wallet_id"] for freeze in books["Freeze"]}
    for pk, wallet in wallets.items():
        assert wallet["frozen"] == (pk in frozen)


def _audit_entries(entries, accounts, wallets, transactions) -> None:
    lines = defaultdict(list)
    sums: dict[str, int] = defaultdict(int)
    balances: dict[int, int] = defaultdict(int)
    for entry in entries:
        debit, credit = accounts[entry["debit_account_id"]], accounts[entry["credit_account_id"]]
        assert debit["unit"] == credit["unit"]
        assert entry["amount_millitokens"] > 0
        lines[entry["transaction_id"]].append(entry["line"])
        balances[debit["id"]] -= entry["amount_millitokens"]
        balances[credit["id"]] += entry["amount_millitokens"]
        of_wallets = [account for account in (debit, credit) if account["kind"] == "wallet"]
        assert len(of_wallets) == (entry["wallet_id"] is not None)
        if of_wallets:
            assert wallets[entry["wallet_id"]]["account_id"] == of_wallets[0]["id"]
    for pk, transaction in transactions.items():
        assert sorted(lines[pk]) == list(range(1, transaction["entry_count"] + 1))
    for account_id, balance in balances.items():
        sums[accounts[account_id]["unit"]] += balance
    assert not any(sums.values())
    for wallet in wallets.values():
        assert wallet["posted_millitokens"] == balances[wallet["account_id"]]
        assert 0 <= wallet["held_millitokens"] <= wallet["posted_millitokens"]


def _audit_chains(entries, wallets) -> None:
    chains = defaultdict(list)
    for entry in entries:
        if entry["wallet_id"] is not None:
            chains[entry["wallet_id"]].append(entry)
    for pk, wallet in wallets.items():
        chain = sorted(chains[pk], key=lambda entry: entry["wallet_seq"])
        assert [entry["wallet_seq"] for entry in chain] == list(range(1, wallet["seq"] + 1))
        after = 0
        for entry in chain:
            into = entry["credit_account_id"] == wallet["account_id"]
            after += entry["amount_millitokens"] if into else -entry["amount_millitokens"]
            assert entry["wallet_after_millitokens"] == after
        assert after == wallet["posted_millitokens"]


def _audit_lots(burns, lots, wallets, transactions, entries) -> None:
    remaining: dict[int, int] = defaultdict(int)
    expiries = defaultdict(list)
    for lot in lots.values():
        remaining[lot["wallet_id"]] += lot["remaining_millitokens"]
        assert 0 <= lot["remaining_millitokens"] <= lot["face_millitokens"]
        if lot["remaining_millitokens"] and lot["expires_at"]:
            expiries[lot["wallet_id"]].append(lot["expires_at"])
    for pk, wallet in wallets.items():
        assert remaining[pk] == wallet["posted_millitokens"]
        if expiries[pk]:
            assert wallet["next_expiry_at"] is not None
            assert wallet["next_expiry_at"] <= min(expiries[pk])
    taken: dict[int, int] = defaultdict(int)
    burnt: dict[tuple[int, int], int] = defaultdict(int)
    for burn in burns:
        kind = transactions[burn["transaction_id"]]["kind"]
        sign = -1 if kind == "reversal" else 1
        taken[burn["lot_id"]] += sign * burn["amount_millitokens"]
        wallet_id = lots[burn["lot_id"]]["wallet_id"]
        burnt[burn["transaction_id"], wallet_id] += burn["amount_millitokens"]
    for pk, lot in lots.items():
        assert taken[pk] == lot["face_millitokens"] - lot["remaining_millitokens"]
    moved: dict[tuple[int, int], int] = defaultdict(int)
    for entry in entries:
        kind = transactions[entry["transaction_id"]]["kind"]
        if entry["wallet_id"] is not None and kind not in ("purchase", "grant"):
            moved[entry["transaction_id"], entry["wallet_id"]] += entry["amount_millitokens"]
    assert moved == burnt


def _audit_holds(holds, parts, wallets, transactions, entries) -> None:
    reserved: dict[int, int] = defaultdict(int)
    parted: dict[int, int] = defaultdict(int)
    for part in parts:
        hold = holds[part["hold_id"]]
        wallet = wallets[part["wallet_id"]]
        assert (hold["owner_key"], hold["unit"]) == (wallet["owner_key"], wallet["unit"])
        parted[hold["id"]] += part["amount_millitokens"]
        if hold["state"] == "pending":
            reserved[wallet["id"]] += part["amount_millitokens"]
    for pk, wallet in wallets.items():
        assert wallet["held_millitokens"] == reserved[pk]
    paid: dict[int, int] = defaultdict(int)
    captures = defaultdict(list)
    for transaction in transactions.values():
        if transaction["kind"] == "capture":
            captures[transaction["hold_id"]].append(transaction["id"])
    for entry in entries:
        transaction = transactions[entry["transaction_id"]]
        if transaction["kind"] == "capture" and entry["wallet_id"] is not None:
            paid[transaction["hold_id"]] += entry["amount_millitokens"]
    for pk, hold in holds.items():
        if hold["state"] == "pending":
            assert parted[pk] == hold["amount_millitokens"]
        assert len(captures[pk]) == (hold["state"] == "captured")
        assert paid[pk] == hold["captured_millitokens"] <= hold["amount_millitokens"]


def _audit_limits(limits, memberships, holds) -> None:
    held: dict[int, int] = defaultdict(int)
    spent: dict[int, int] = defaultdict(int)
    for membership in memberships:
        hold = holds[membership["hold_id"]]
        if hold["state"] == "pending":
            held[membership["limit_id"]] += hold["amount_millitokens"]
        spent[membership["limit_id"]] += hold["captured_millitokens"]
    for limit in limits:
        assert limit["held_millitokens"] == held[limit["id"]]
        assert limit["spent_millitokens"] == spent[limit["id"]]
        if limit["max_millitokens"] is not None:
            used = limit["held_millitokens"] + limit["spent_millitokens"]
            assert used <= limit["max_millitokens"]


def _audit_reversals(transactions, entries) -> None:
    original: dict[tuple[int, int, int], int] = defaultdict(int)
    reversed_: dict[tuple[int, int, int], int] = defaultdict(int)
    for entry in entries:
        transaction = transactions[entry["transaction_id"]]
        debit, credit = entry["debit_account_id"], entry["credit_account_id"]
        if transaction["reverses_id"]:
            reversed_[transaction["reverses_id"], credit, debit] += entry["amount_millitokens"]
        else:
            original[transaction["id"], debit, credit] += entry["amount_millitokens"]
    for key, amount in reversed_.items():
        assert amount <= original[key]
