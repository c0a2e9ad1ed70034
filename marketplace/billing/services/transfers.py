"""Bank transfers: staff record what the bank's statement says and match it to orders.

What arrives waits in suspense, as every payment that has bought nothing (docs/adr/0076), and check
15 reports it. ``settle_order`` credits the order that it pays, as it does for every provider.
"""

from datetime import date, datetime

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from accounts import services as accounts
from accounts.models import Membership, User
from accounts.services import Actor
from marketplace.billing.bank.references import find_references
from marketplace.billing.models import (
    BankPayback,
    BankTransfer,
    Order,
    PaybackState,
    StrayKind,
    StrayPayment,
    TransferSlip,
)
from marketplace.billing.models.orders import BY_TRANSFER
from marketplace.billing.services import attempts, reversing, settlement, strays
from marketplace.ledger import services as ledger
from portal.kernel.errors import Conflict, Rejected
from portal.kernel.quantities import MILLITOKENS_PER_TARIFF_UNIT


class TransferRecordedOtherwise(Conflict):
    """The bank's id stands for a transfer with other content."""

    code = "transfer_recorded_otherwise"
    sentence = _("A transfer with this bank id was recorded with other content. Nothing was added.")


class TransferNotMatched(Rejected):
    """No order has this reference, several are named, or it is in another currency."""

    code = "transfer_not_matched"
    sentence = _("No order waits under this reference. Nothing was changed.")


class TransferSettled(Conflict):
    """It is matched to another order, or its order has all its money."""

    code = "transfer_settled"
    sentence = _("This transfer was matched already. Nothing was changed.")


class TransferNeedsAnother(Rejected):
    """Somebody else has to match it: the same person recorded it, or belongs to the company."""

    code = "transfer_needs_another"
    sentence = _("Another person has to match this transfer. Nothing was changed.")


class PaybackRecorded(Conflict):
    """How it went was recorded already."""

    code = "payback_recorded"
    sentence = _("This was recorded already. Nothing was changed.")


def record_transfer(
    *,
    account: str,
    bank_id: str,
    amount_minor: int,
    currency: str,
    value_date: date,
    payer: str,
    text: str,
    user: User,
    actor: Actor,
    now: datetime,
) -> BankTransfer:
    """The transfer of this bank id: recorded now, or before with the same content.

    Its worth goes into suspense in the same commit. Raises TransferRecordedOtherwise,
    LedgerUnguarded.
    """
    ledger.refuse_when_unguarded()
    draft = BankTransfer(
        account=account,
        bank_id=bank_id,
        amount_minor=amount_minor,
        currency=currency,
        value_date=value_date,
        payer=payer,
        text=text,
        recorded_by=user,
        recorded_at=now,
    )
    with transaction.atomic(durable=True):
        # Of two that arrive together one inserts; the other waits for it and reads its row.
        BankTransfer.objects.bulk_create([draft], ignore_conflicts=True)
        recorded = BankTransfer.objects.get(account=account, bank_id=bank_id)
        if recorded.public_id == draft.public_id:
            strays.note_arrival(
                provider=BY_TRANSFER,
                payment_id=recorded.public_id,
                amount_minor=amount_minor,
                currency=currency,
                now=now,
            )
            _audit(recorded, actor, "transfer.recorded", now=now)
    if _content_of(recorded) != _content_of(draft):
        raise TransferRecordedOtherwise
    return recorded


def match_transfer(
    *, transfer: BankTransfer, reference: str, user: User, actor: Actor, now: datetime
) -> bool:
    """Say which order it is for; True when that order is credited (now or before).

    More than the order costs, and all that comes after, stays in suspense as its surplus. Repeated,
    it is the same match. Raises TransferNotMatched, TransferSettled, TransferNeedsAnother.
    """
    slip = _find_slip(reference)
    with transaction.atomic(durable=True):
        order = _lock_order_of(slip)
        locked = _lock_transfer(transfer)
        if locked.slip_id not in (None, slip.pk):
            raise TransferSettled
        if locked.currency != slip.currency:
            raise TransferNotMatched(_("The order is in another currency. Nothing was changed."))
        if locked.slip_id is None:
            _require_disinterested(order, locked.recorded_by, user)
            locked.slip, locked.matched_by, locked.matched_at = slip, user, now
            locked.save(update_fields=["slip", "matched_by", "matched_at"])
            kind = StrayKind.SURPLUS if order.is_credited else StrayKind.PART
            _stray_of(locked).update(kind=kind, order=order)
            _audit(locked, actor, "transfer.matched", order=order, now=now)
    return settlement.settle_order(
        order_public_id=order.public_id, object_id=slip.reference, now=now
    )


def unmatch_transfer(*, transfer: BankTransfer, actor: Actor, now: datetime) -> None:
    """Undo a wrong match of an order that has not got all its money. Raises TransferSettled: what
    was credited is taken back by a refund only."""
    matched = BankTransfer.objects.select_related("slip").get(pk=transfer.pk)
    if matched.slip is None:
        return
    with transaction.atomic(durable=True):
        order = _lock_order_of(matched.slip)
        locked = _lock_transfer(transfer)
        if locked.slip_id is None:
            return
        slip = matched.slip
        if locked.slip_id != slip.pk or order.is_credited:
            raise TransferSettled
        if slip.received_minor >= slip.amount_minor:
            raise TransferSettled
        locked.slip = locked.matched_by = locked.matched_at = None
        locked.save(update_fields=["slip", "matched_by", "matched_at"])
        _stray_of(locked).update(kind=StrayKind.UNMATCHED, order=None)
        _audit(locked, actor, "transfer.unmatched", order=order, now=now)


def record_payback(
    *, payback: BankPayback, bank_id: str, user: User, actor: Actor, now: datetime
) -> None:
    """Staff have sent the money under this id of the bank; with "" it could not be sent, and the
    tokens go back. Repeated, it is the same. Raises PaybackRecorded."""
    state = PaybackState.SUCCEEDED if bank_id else PaybackState.FAILED
    with transaction.atomic(durable=True):
        order = _lock_order_of(payback.slip)
        locked = BankPayback.objects.select_for_update().get(pk=payback.pk)
        if locked.state == PaybackState.PENDING:
            locked.state, locked.bank_id = state, bank_id
            locked.recorded_by, locked.changed_at = user, now
            locked.save(update_fields=["state", "bank_id", "recorded_by", "changed_at"])
            accounts.record_audit(
                organisation=order.organisation,
                actor=actor,
                action=f"payback.{'sent' if bank_id else 'failed'}",
                target_id=order.public_id,
                target_label=order.pack_name,
                after={"amount_minor": locked.amount_minor, "currency": order.currency},
                now=now,
            )
        elif (locked.state, locked.bank_id) != (state, bank_id):
            raise PaybackRecorded
    reversing.settle_reversals(order_public_id=order.public_id, now=now)


def transfer_needs_two(order: Order) -> bool:
    """Above the limit of refunds who records the money must not be who matches it."""
    limit = settings.REFUND_SECOND_PERSON_ABOVE * MILLITOKENS_PER_TARIFF_UNIT
    return order.tariff_millitokens > limit


def _require_disinterested(order: Order, recorder: User, matcher: User) -> None:
    """To record money that isn't there is the way to steal here."""
    theirs = Membership.objects.filter(
        organisation=order.organisation, user__in=[recorder, matcher]
    )
    if theirs.exists() or (transfer_needs_two(order) and recorder == matcher):
        raise TransferNeedsAnother


def _find_slip(reference: str) -> TransferSlip:
    """By a payment reference, however it is spaced, or by an order's number."""
    references = find_references(reference)
    if len(references) > 1:
        raise TransferNotMatched(_("Several references are named. Nothing was changed."))
    slips = TransferSlip.objects.filter(reference__in=references)
    if not references:
        slips = TransferSlip.objects.filter(metadata__order=reference.strip())
    slip = slips.order_by("-id").first()
    if slip is None:
        raise TransferNotMatched
    return slip


def _lock_order_of(slip: TransferSlip) -> Order:
    found = Order.objects.filter(public_id=slip.metadata["order"]).values_list("pk", flat=True)
    return attempts.lock_order(found.get())


def _lock_transfer(transfer: BankTransfer) -> BankTransfer:
    return (
        BankTransfer.objects.select_for_update(of=("self",))
        .select_related("recorded_by")
        .get(pk=transfer.pk)
    )


def _stray_of(transfer: BankTransfer) -> QuerySet[StrayPayment]:
    return StrayPayment.objects.filter(provider=BY_TRANSFER, payment_id=transfer.public_id)


def _content_of(transfer: BankTransfer) -> tuple[object, ...]:
    names = ("amount_minor", "currency", "value_date", "payer", "text")
    return tuple(getattr(transfer, name) for name in names)


def _audit(
    transfer: BankTransfer,
    actor: Actor,
    action: str,
    *,
    order: Order | None = None,
    now: datetime,
) -> None:
    accounts.record_audit(
        organisation=order.organisation if order else None,
        actor=actor,
        action=action,
        target_id=transfer.public_id,
        target_label=order.pack_name if order else transfer.bank_id,
        after={"amount_minor": transfer.amount_minor, "currency": transfer.currency},
        now=now,
    )
