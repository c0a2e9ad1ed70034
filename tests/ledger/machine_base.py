"""What the steps of the ledger's machine stand on: a market, and what must always hold of it."""

from collections import Counter

from django.db import transaction
from hypothesis.stateful import RuleBasedStateMachine, invariant

from marketplace.ledger import services as ledger
from tests.ledger.auditor import Books, audit, read_books
from tests.ledger.cast import NOW, PROVIDER
from tests.ledger.model import Model
from tests.ledger.model_rows import ModelLimit

OWNER_OF = {
    "payable": PROVIDER,
    "suspense": PROVIDER,
    "clearing": "sandbox",
    "commission": ledger.OPERATOR,
    "promotion": ledger.OPERATOR,
    "discount": ledger.OPERATOR,
    "breakage": ledger.OPERATOR,
}
LIVE = ("pending", "expired")
UNKNOWN_HOLD = "hld_0123456789abcdefghjkmnpqrs"
# What a decline may change besides itself: lots that were due have expired.
OF_EXPIRY = {"Hold", "Wallet", "Lot", "Account", "Transaction", "Entry", "LotBurn"}


class MachineBase(RuleBasedStateMachine):
    """One market, in a savepoint of its own that is rolled back."""

    def __init__(self) -> None:
        super().__init__()
        self.outer = transaction.atomic()
        self.outer.__enter__()
        self.now = NOW
        self.model = Model(NOW)
        self.number = 0
        self.asked: list[tuple[ledger.HoldRequest, ledger.HoldResult]] = []
        self.hold_ids: list[str] = []
        self.captures: list[tuple[str, str]] = []

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.outer.__exit__(None, None, None)

    def fresh(self) -> str:
        self.number += 1
        return str(self.number)

    def last(self, things, pick):
        return things[-1 - pick % min(len(things), 6)]

    def pick_hold(self, pick) -> str:
        """Mostly one that can still be captured."""
        live = [name for name in self.hold_ids if self.model.holds[name].state in LIVE]
        return self.last(live if live and pick % 5 else self.hold_ids, pick // 5)

    def expect_unchanged(self, before: Books, *but: str) -> None:
        after = read_books()
        changed = {name for name in before if before[name] != after[name]}
        assert changed <= set(but)

    @invariant()
    def books_balance_and_agree_with_the_model(self) -> None:
        books = self.books = read_books()
        audit(books)
        model = self.model
        assert {lot["reference"]: lot["remaining_millitokens"] for lot in books["Lot"]} == {
            lot.reference: lot.remaining for wallet in model.wallets.values() for lot in wallet.lots
        }
        for wallet in books["Wallet"]:
            expected = model.wallets[wallet["owner_key"], wallet["scope"]]
            assert wallet["posted_millitokens"] == expected.posted
            assert wallet["held_millitokens"] == model.held(expected)
            reasons = {f["reason"] for f in books["Freeze"] if f["wallet_id"] == wallet["id"]}
            assert reasons == expected.reasons
        for row in books["Hold"]:
            if row["state"] != "declined":
                hold = model.holds[row["public_id"]]
                figures = (row["amount_millitokens"], row["captured_millitokens"])
                assert (row["state"], *figures) == (hold.state, hold.amount, hold.captured)
        for row in books["Limit"]:
            # A batch makes the limit even of a request that its earlier ones leave nothing for.
            limit = model.limits.get(row["subject"], ModelLimit(row["max_millitokens"]))
            expected_limit = (model.limit_held(row["subject"]), limit.spent, limit.maximum)
            assert expected_limit == tuple(
                row[f"{name}_millitokens"] for name in ("held", "spent", "max")
            )
        balances = {kind: amount for kind, amount in model.balances.items() if amount}
        assert sum_accounts(books) == balances


def sum_accounts(books: Books) -> dict[str, int]:
    """Credits less debits by kind, of accounts beside wallets."""
    names = {
        row["id"]: row["kind"]
        for row in books["Account"]
        if row["kind"] != "wallet" and row["owner_key"] == OWNER_OF.get(row["kind"])
    }
    sums: Counter[str] = Counter()
    for entry in books["Entry"]:
        for side, sign in (("credit", 1), ("debit", -1)):
            if name := names.get(entry[f"{side}_account_id"]):
                sums[name] += sign * entry["amount_millitokens"]
    return {name: amount for name, amount in sums.items() if amount}
