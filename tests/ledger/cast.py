"""Short ways to say what a test of the ledger does; amounts are in millitokens."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from marketplace.ledger import services as ledger
from marketplace.ledger.models import Lot, Wallet

NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=10)
MONTH = datetime(2026, 10, 1, tzinfo=UTC)
ACME, GLOBEX = "org_acme", "org_globex"
PROVIDER = "prv_hosty"

_numbers = itertools.count(1)


def fresh(prefix: str) -> str:
    return f"{prefix}:{next(_numbers)}"


def grant(
    amount: int,
    *,
    owner: str = ACME,
    unit: str = "live",
    kind: str = "paid",
    days: int | None = None,
    **fields: Any,
) -> Lot:
    """A lot paid through the clearing account, expiring so many days after NOW."""
    expires_at = None if days is None else NOW + timedelta(days=days)
    values = {
        "reference": fresh("order"),
        "debits": [("clearing", "sandbox", amount)],
        "expires_at": expires_at,
        "now": NOW,
        **fields,
    }
    return ledger.grant_lot(
        owner_key=owner, unit=unit, kind=kind, face_millitokens=amount, **values
    ).lot


def ask(amount: int, **fields: Any) -> ledger.HoldRequest:
    """A request for a hold, under a key of its own unless given."""
    values = {
        "owner_key": ACME,
        "unit": "live",
        "idempotency_scope": "test",
        "idempotency_key": fresh("key"),
        "request_hash": "same",
        "expires_at": LATER,
        **fields,
    }
    return ledger.HoldRequest(amount_millitokens=amount, **values)


def place(amount: int, *, now: datetime = NOW, **fields: Any) -> ledger.HoldResult:
    [result] = ledger.place_holds([ask(amount, **fields)], now=now)
    return result


def hold(amount: int, *, now: datetime = NOW, **fields: Any) -> str:
    """A hold that must succeed; its id."""
    result = place(amount, now=now, **fields)
    assert result.outcome == "held"
    return result.hold_id


def cost(hold_id: str, amount: int, **fields: Any) -> ledger.CaptureRequest:
    """A request for a capture: 90 % to the provider, the rest commission."""
    values: dict[str, Any] = {
        "payee": PROVIDER,
        "share_basis_points": 9000,
        "reference": f"call:{hold_id}",
        **fields,
    }
    return ledger.CaptureRequest(hold_id, amount, **values)


def capture(
    hold_id: str, amount: int, *, now: datetime = NOW, **fields: Any
) -> ledger.CaptureResult:
    [result] = ledger.capture_holds([cost(hold_id, amount, **fields)], now=now)
    return result


def limit(subject: str, maximum: int | None) -> ledger.LimitDemand:
    return ledger.LimitDemand(subject, MONTH, maximum)


def wallet(owner: str = ACME, scope: str = "", unit: str = "live") -> Wallet:
    return Wallet.objects.get(owner_key=owner, scope=scope, unit=unit)


def remainders(owner: str = ACME) -> dict[str, int]:
    """What remains of each lot, by reference."""
    lots = Lot.objects.filter(wallet__owner_key=owner).order_by("pk")
    return {lot.reference: lot.remaining_millitokens for lot in lots}
