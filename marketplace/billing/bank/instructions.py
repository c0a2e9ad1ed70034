"""How a buyer pays an order by bank transfer, and how much of it has arrived."""

from dataclasses import dataclass

from marketplace.billing.bank.account import BankAccount, bank_is_set_up, get_account
from marketplace.billing.bank.references import print_reference
from marketplace.billing.models import Order, TransferSlip


@dataclass(frozen=True, slots=True)
class TransferInstructions:
    """``reference`` in groups of four; ``received_minor`` of ``amount_minor`` has arrived."""

    account: BankAccount
    reference: str
    amount_minor: int
    received_minor: int
    currency: str

    @property
    def missing_minor(self) -> int:
        return max(0, self.amount_minor - self.received_minor)


def describe_transfer(order: Order) -> TransferInstructions | None:
    """Of an order that waits for its transfer; None for any other."""
    if not order.is_by_transfer or not order.is_open or not bank_is_set_up():
        return None
    slip = TransferSlip.objects.filter(reference=order.provider_session_id).first()
    if slip is None:
        return None
    return TransferInstructions(
        account=get_account(),
        reference=print_reference(slip.reference),
        amount_minor=slip.amount_minor,
        received_minor=slip.received_minor,
        currency=slip.currency,
    )
