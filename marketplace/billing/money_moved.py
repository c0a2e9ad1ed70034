"""What billing asks of a payment provider about its account. See payment_provider."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from marketplace.billing.models import MovementKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderMovement:
    """One line of the provider's account: see MoneyMovement for the fields."""

    movement_id: str
    kind: MovementKind
    payment_id: str
    source_id: str
    amount_minor: int
    currency: str
    gross_minor: int
    fee_minor: int
    account_currency: str
    created_at: datetime


class AccountedProvider(Protocol):
    """The part of a PaymentProvider that is about its account. Goes over a network."""

    def list_movements(self, *, since: datetime) -> Sequence[ProviderMovement]:
        """All that moved at or after ``since``, oldest first, and nothing left out.

        Raises PaymentsUnavailable, also where a line cannot be read.
        """
        ...
