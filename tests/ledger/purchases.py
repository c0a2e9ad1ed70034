"""A purchase that is taken back, in short: the pack of docs/money.md, a thousand times smaller."""

from typing import Any

from marketplace.ledger import selectors
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Entry
from tests.ledger.auditor import audit
from tests.ledger.cast import ACME, NOW, capture, hold

ORDER = "order:ord_1"
FACE, BONUS, PAID = 100_000, 5_000, 9_500
SCOPE = "modality:chat"


def buy(*, bonus: int = BONUS, face: int = FACE, worth: int = 95_000, **changes: Any) -> None:
    """100,000 millitokens for 95.00, and a bonus."""
    values: dict[str, Any] = {
        "owner_key": ACME,
        "unit": "live",
        "reference": ORDER,
        "transaction_kind": "purchase",
        "now": NOW,
        **changes,
    }
    discount = [("discount", ledger.OPERATOR, face - worth)] if face > worth else []
    ledger.grant_lot(
        kind="paid",
        face_millitokens=face,
        debits=[("clearing", "sandbox", worth), *discount],
        paid_minor=PAID,
        currency="USD",
        **values,
    )
    if bonus:
        ledger.grant_lot(
            kind="bonus",
            face_millitokens=bonus,
            debits=[("promotion", ledger.OPERATOR, bonus)],
            **values,
        )


def spend(amount: int) -> ledger.CaptureResult:
    return capture(hold(amount), amount)


def reverse(refunded: int = 0, charged_back: int = 0, **more: Any) -> ledger.PurchaseReversal:
    result = reverse_unaudited(refunded, charged_back, **more)
    audit()
    return result


def reverse_unaudited(
    refunded: int = 0, charged_back: int = 0, **more: Any
) -> ledger.PurchaseReversal:
    """While others write, the books cannot be read table by table."""
    return ledger.reverse_purchase(
        **{"reference": ORDER, "now": NOW, **more},
        refunded_minor=refunded,
        charged_back_minor=charged_back,
    )


def moved() -> dict[tuple[str, str], int]:
    """Net of what refunds, charge-backs and their reversals moved, by kinds of accounts."""
    net: dict[tuple[str, str], int] = {}
    for entry in Entry.objects.filter(transaction__reference=ORDER).exclude(
        transaction__kind="purchase"
    ):
        sides = (entry.debit_account.kind, entry.credit_account.kind)
        sign = 1
        if entry.transaction.kind == "reversal":
            sides, sign = sides[::-1], -1
        net[sides] = net.get(sides, 0) + sign * entry.amount_millitokens
    return {sides: amount for sides, amount in net.items() if amount}


def balance(kind: str, owner: str = ledger.OPERATOR) -> int:
    return selectors.get_account_balance(kind=kind, owner_key=owner, unit="live")
