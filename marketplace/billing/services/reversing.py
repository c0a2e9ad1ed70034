"""``settle_reversals``: the one way from refunds and disputes to the ledger, whoever noticed them.

As with payments, a message is only a reason to look: everything that was given or taken back of the
payment is retrieved, outside any transaction, and the order follows it under its lock.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models import QuerySet, Sum
from django.utils.translation import gettext_lazy as _

from accounts import services as accounts
from accounts.services import SYSTEM_ACTOR
from marketplace.billing.models import (
    WITHDRAWN_STATES,
    Dispute,
    DisputeState,
    Order,
    OrderStatus,
    Refund,
    RefundRequest,
    RefundState,
    RequestState,
    StrayPayment,
)
from marketplace.billing.money_back import ProviderDispute, ProviderRefund
from marketplace.billing.payment_provider import PaymentsUnavailable
from marketplace.billing.providers import get_payment_provider
from marketplace.billing.services import attempts, documents, fapiao, settlement, telling
from marketplace.ledger import services as ledger
from portal.kernel.errors import DomainError, NotFound

_log = structlog.get_logger(__name__)

# Refunds take days, disputes weeks: events tell sooner, this is for those that were lost.
ASK_AGAIN_AFTER = timedelta(minutes=30)
_REQUEST_FOLLOWS = {
    RefundState.PENDING: RequestState.SENT,
    RefundState.SUCCEEDED: RequestState.DONE,
    RefundState.FAILED: RequestState.FAILED,
}


class MoneyBackMismatch(PaymentsUnavailable):
    """Money went back in another currency than was paid. Staff decide."""

    code = "money_back_mismatch"
    sentence = _("Money went back in another currency than was paid. We are looking into it.")


def settle_reversals(*, order_public_id: str, now: datetime) -> bool:
    """Ask the provider what has gone back of the order and make the books say so.

    True when the order is credited (there is nothing to take back of any other). Safe at any
    time, any number of times, at once. Raises NotFound, PaymentsUnavailable, MoneyBackMismatch.
    """
    order = Order.objects.filter(public_id=order_public_id).first()
    if order is None:
        raise NotFound
    if not order.is_credited:
        return False
    provider = get_payment_provider(order.provider)
    known = provider.retrieve_money_back(order.payment_reference)
    currencies = {refund.currency for refund in known.refunds}
    currencies |= {dispute.currency for dispute in known.disputes}
    if currencies - {order.currency}:
        _log.error("money_back_mismatch", order=order.public_id, currencies=sorted(currencies))
        raise MoneyBackMismatch
    with transaction.atomic(durable=True):
        locked = attempts.lock_order(order.pk)
        if locked.money_back_asked_at is not None and locked.money_back_asked_at > now:
            # Who asked later has been here first: what we heard may be old.
            return True
        locked.money_back_asked_at = now
        locked.save(update_fields=["money_back_asked_at"])
        _note_refunds(locked, known.refunds, now=now)
        _note_disputes(locked, known.disputes, now=now)
        _follow_order(locked, now=now)
        follow_in_ledger(order=locked, now=now)
        documents.issue_credit_note(order=locked, reversed_minor=_final_minor(locked), now=now)
    return True


def place_reversal(*, provider: str, object_id: str, now: datetime) -> None:
    """Follow an event about money that went back, even if its payment has not been heard of.

    Raises what ``settle_reversals`` and ``place_payment`` raise.
    """
    payment_id = get_payment_provider(provider).find_payment(object_id)
    orders = Order.objects.filter(provider=provider, provider_payment_id=payment_id)
    order = orders.first()
    if order is None or not order.is_credited:
        settlement.place_payment(provider=provider, object_id=payment_id, now=now)
        order = orders.first()
    if order is not None:
        settle_reversals(order_public_id=order.public_id, now=now)
    elif not StrayPayment.objects.filter(provider=provider, payment_id=payment_id).exists():
        raise settlement.OrderUnknown


def sweep_reversals(*, now: datetime, limit: int = 100) -> int:
    """Ask about refunds under way and disputes undecided; how many orders were looked at."""
    due = Order.objects.awaiting_money_back(asked_before=now - ASK_AGAIN_AFTER)[:limit]
    looked = 0
    for order in due:
        try:
            settle_reversals(order_public_id=order.public_id, now=now)
            looked += 1
        except DomainError as error:
            _log.warning("reversals_not_swept", order=order.public_id, code=error.code)
    return looked


def follow_in_ledger(*, order: Order, now: datetime) -> None:
    """Within the order's lock: what has gone back, and what open requests set aside, is taken."""
    refunds = order.refunds.exclude(state=RefundState.FAILED)
    waiting = order.refund_requests.open().filter(refund__isnull=True)
    ledger.reverse_purchase(
        reference=order.reference,
        refunded_minor=_sum(refunds) + _sum(waiting),
        charged_back_minor=_sum(order.disputes.filter(state__in=WITHDRAWN_STATES)),
        now=now,
    )


def _note_refunds(order: Order, refunds: Iterable[ProviderRefund], *, now: datetime) -> None:
    for told in refunds:
        request = order.refund_requests.filter(public_id=told.request_id).first()
        # A second one that names the same request was not made by us.
        if order.refunds.filter(request=request).exclude(refund_id=told.refund_id).exists():
            request = None
        row, _created = Refund.objects.get_or_create(
            order=order,
            refund_id=told.refund_id,
            defaults={
                "request": request,
                "amount_minor": told.amount_minor,
                "state": RefundState.PENDING,
                "first_seen_at": now,
                "changed_at": now,
            },
        )
        if (row.state, row.amount_minor) != (told.state, told.amount_minor):
            row.changed_at = now
        succeeds = told.state == RefundState.SUCCEEDED and row.succeeded_at is None
        row.state, row.amount_minor = told.state, told.amount_minor
        if succeeds:
            row.succeeded_at = now
        row.save(update_fields=["state", "amount_minor", "changed_at", "succeeded_at"])
        if request is not None:
            _follow_request(request, told, now=now)
        if succeeds:
            _audit(
                order,
                "refund.paid",
                after={"amount_minor": told.amount_minor, "currency": order.currency},
                now=now,
            )


def _follow_request(request: RefundRequest, told: ProviderRefund, *, now: datetime) -> None:
    """A refund that came back from the bank ends its request as failed, even after it was done."""
    state = _REQUEST_FOLLOWS[told.state]
    if request.state not in (state, RequestState.DECLINED, RequestState.WITHDRAWN):
        request.state = state
        request.save(update_fields=["state"])
        if state == RequestState.FAILED:
            telling.tell_of_refund(request=request, outcome="failed", now=now)


def _note_disputes(order: Order, disputes: Iterable[ProviderDispute], *, now: datetime) -> None:
    for told in disputes:
        row, is_new = Dispute.objects.get_or_create(
            order=order,
            dispute_id=told.dispute_id,
            defaults={
                "amount_minor": told.amount_minor,
                "state": told.state,
                "first_seen_at": now,
                "changed_at": now,
            },
        )
        if not is_new and (row.state, row.amount_minor) == (told.state, told.amount_minor):
            continue
        before = None if is_new else {"status": row.state}
        row.state, row.amount_minor, row.changed_at = told.state, told.amount_minor, now
        row.save(update_fields=["state", "amount_minor", "changed_at"])
        _audit(
            order,
            "order.disputed",
            before=before,
            after={
                "status": told.state.value,
                "amount_minor": told.amount_minor,
                "currency": order.currency,
            },
            now=now,
        )


def _follow_order(order: Order, *, now: datetime) -> None:
    gone = _sum(order.refunds.exclude(state=RefundState.FAILED))
    gone += _sum(order.disputes.filter(state__in=WITHDRAWN_STATES))
    reversed_minor = min(gone, order.amount_minor)
    status = OrderStatus.PARTIALLY_REVERSED
    if not reversed_minor:
        status = OrderStatus.PAID
    elif reversed_minor == order.amount_minor:
        status = OrderStatus.REVERSED
    if (order.status, order.reversed_minor) == (status, reversed_minor):
        return
    before = order.status
    order.status, order.reversed_minor = status, reversed_minor
    order.save(update_fields=["status", "reversed_minor"])
    fapiao.follow_fapiao(order=order)
    _audit(
        order,
        "order.reversed",
        before={"status": before},
        after={
            "status": status.value,
            "amount_minor": reversed_minor,
            "currency": order.currency,
        },
        now=now,
    )


def _final_minor(order: Order) -> int:
    """What will not come back: refunds that arrived and disputes that were lost."""
    gone = _sum(order.refunds.filter(state=RefundState.SUCCEEDED))
    gone += _sum(order.disputes.filter(state=DisputeState.LOST))
    return min(gone, order.amount_minor)


def _audit(
    order: Order, action: str, *, now: datetime, **figures: Mapping[str, object] | None
) -> None:
    accounts.record_audit(
        organisation=order.organisation,
        actor=SYSTEM_ACTOR,
        action=action,
        target_id=order.public_id,
        target_label=order.pack_name,
        now=now,
        **figures,
    )


def _sum(rows: QuerySet[Any]) -> int:
    return rows.aggregate(total=Sum("amount_minor"))["total"] or 0
