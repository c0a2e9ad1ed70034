"""Reads for staff who match transfers and send refunds by bank."""

from django.db.models import QuerySet

from marketplace.billing.bank.references import find_references
from marketplace.billing.models import (
    BankPayback,
    BankTransfer,
    Order,
    PaybackState,
    TransferSlip,
)
from portal.kernel.errors import NotFound


def list_transfers(*, waiting: bool) -> QuerySet[BankTransfer]:
    """Those that nobody has matched, the oldest first; or the others, newest first."""
    transfers = BankTransfer.objects.select_related("slip", "recorded_by", "matched_by")
    if waiting:
        return transfers.waiting().order_by("recorded_at", "id")
    return transfers.filter(slip__isnull=False).order_by("-matched_at", "-id")


def get_transfer(*, public_id: str) -> BankTransfer:
    """Raises NotFound."""
    transfers = BankTransfer.objects.select_related("slip", "recorded_by", "matched_by")
    found = transfers.filter(public_id=public_id).first()
    if found is None:
        raise NotFound
    return found


def find_named_slip(transfer: BankTransfer) -> TransferSlip | None:
    """What the payer's words name; None when that is nothing, or more than one thing."""
    slips = list(TransferSlip.objects.filter(reference__in=find_references(transfer.text))[:2])
    return slips[0] if len(slips) == 1 else None


def find_order_of(slip: TransferSlip) -> Order | None:
    return (
        Order.objects.select_related("organisation")
        .filter(public_id=slip.metadata["order"])
        .first()
    )


def list_paybacks() -> list[tuple[BankPayback, Order | None]]:
    """What is to be sent, the oldest first, with its order."""
    to_send = BankPayback.objects.filter(state=PaybackState.PENDING).select_related("slip")
    return [(one, find_order_of(one.slip)) for one in to_send.order_by("created_at", "id")]


def get_payback(*, public_id: str) -> BankPayback:
    """Raises NotFound."""
    found = BankPayback.objects.select_related("slip").filter(public_id=public_id).first()
    if found is None:
        raise NotFound
    return found
