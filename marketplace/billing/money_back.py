"""What billing asks of a payment provider about money that goes back. See payment_provider."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from marketplace.billing.models import DisputeState, RefundState


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundOrder:
    """The exact content of one call that sends money back, whatever the number of its tries.

    ``request_id`` and ``order_id`` come back with the refund.
    """

    payment_id: str
    amount_minor: int
    currency: str
    request_id: str
    order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRefund:
    """A refund as the provider knows it now; ``request_id`` is "" where it was not made by us."""

    refund_id: str
    amount_minor: int
    currency: str
    state: RefundState
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderDispute:
    """A dispute as the provider knows it now."""

    dispute_id: str
    amount_minor: int
    currency: str
    state: DisputeState


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyBack:
    """All that was ever given or taken back of one payment."""

    refunds: Sequence[ProviderRefund]
    disputes: Sequence[ProviderDispute]


class ReversingProvider(Protocol):
    """The part of a PaymentProvider that is about money going back. All go over a network."""

    def send_refund(self, refund: RefundOrder) -> ProviderRefund:
        """Send money back, or return what was sent before for this ``request_id``.

        Raises PaymentOutcomeUnknown (repeat the same call), PaymentsUnavailable, PaymentRefused
        (for good: more than is left of the payment, or it is disputed).
        """
        ...

    def retrieve_money_back(self, payment_id: str) -> MoneyBack:
        """Raises SessionUnknown, PaymentsUnavailable."""
        ...

    def find_payment(self, object_id: str) -> str:
        """The payment's id for that of a refund, charge, dispute, session or payment.

        Raises SessionUnknown, PaymentsUnavailable.
        """
        ...
