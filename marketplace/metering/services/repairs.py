"""Repairs by rule, for the reconciliation: what a closing wrote, written again from the books."""

from django.db import transaction
from django.db.models import Sum

from marketplace.ledger.models import Entry, TransactionKind
from marketplace.metering.models import UsageCharge, UsageEvent


def write_missing_charge(*, call_id: str) -> int | None:
    """Write the charge of a call's usage event from the capture of its hold.

    Returns the millitokens that wallets paid, which the charge then says. None, and nothing is
    written, when there is a charge, when there is no event, or when capture and call do not name
    one amount: then a person must look.
    """
    with transaction.atomic():
        event = (
            UsageEvent.objects.select_related("call")
            .select_for_update(of=("self",))
            .filter(call__public_id=call_id)
            .first()
        )
        # Asked anew under the lock: another run may have written it meanwhile.
        if event is None or UsageCharge.objects.filter(event=event).exists():
            return None
        paid = Entry.objects.filter(
            transaction__kind=TransactionKind.CAPTURE,
            transaction__hold=event.call.hold_id,
            wallet__isnull=False,
        )
        amount = int(paid.aggregate(total=Sum("amount_millitokens"))["total"] or 0)
        if amount != event.call.cost_millitokens:
            return None
        UsageCharge.objects.create(
            event=event,
            transaction_id=paid.values_list("transaction_id", flat=True).first(),
            price_version_id=event.call.price_version_id,
            amount_millitokens=amount,
        )
    return amount
