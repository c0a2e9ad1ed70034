"""The balance of the Stripe account in memory: a line for all that moved, made by what moved it.

Stripe takes its fee of what comes in and gives none of it back; a dispute costs one of its own.
"""

import time
from typing import Any

from tests.fakes.stripe_server_money_back import make_token

# The type that stands beside a reporting category.
_TYPES = {"dispute": "adjustment", "dispute_reversal": "adjustment", "fee": "stripe_fee"}


class Balance:
    """Of one account, in ``currency``; "" keeps each line in the currency that was paid.

    What is exchanged comes in at ``rate`` hundredths.
    """

    def __init__(self) -> None:
        self.currency = ""
        self.rate = 110
        # The newest last; each with the object that moved it, as it was then.
        self.lines: list[dict[str, Any]] = []

    def note(self, category: str, source: dict[str, Any], amount: int, fee: int = 0) -> None:
        """``amount`` in the source's currency: in is positive, out negative."""
        currency = self.currency or source["currency"]
        exchanged = currency != source["currency"]
        if exchanged:
            amount = amount * self.rate // 100
        self.lines.append(
            {
                "id": f"txn_{make_token(24)}",
                "object": "balance_transaction",
                "amount": amount,
                "available_on": int(time.time()),
                "balance_type": "payments",
                "created": int(time.time()),
                "currency": currency,
                "description": None,
                "exchange_rate": self.rate / 100 if exchanged else None,
                "fee": fee,
                "fee_details": [],
                "net": amount - fee,
                "reporting_category": category,
                "source": dict(source),
                "status": "available",
                "type": _TYPES.get(category, category),
            }
        )

    def note_charge(self, charge: dict[str, Any]) -> None:
        self.note("charge", charge, charge["amount"], charge["amount"] * 29 // 1000 + 30)

    def list(self) -> list[dict[str, Any]]:
        """Newest first."""
        return self.lines[::-1]


def show(line: dict[str, Any], expand: list[str]) -> dict[str, Any]:
    """What moved it is only named, unless it is asked for."""
    return line if "source" in expand else {**line, "source": line["source"].get("id")}
