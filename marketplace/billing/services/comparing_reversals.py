"""What the reconciliation asks the payment providers about refunds and disputes (check 17).

As ``comparing``: over the network and only reading; who cannot be reached accuses nobody.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db.models import Q

from marketplace.billing.models import CREDITED_ORDER_STATUSES, Order, RefundState
from marketplace.billing.models.disputes import UNDECIDED_STATES
from marketplace.billing.money_back import MoneyBack
from marketplace.billing.payment_provider import MONEY_BACK_EVENTS, PaymentProvider
from marketplace.billing.providers import list_payment_providers
from marketplace.billing.services.sweeping import FIRST_CHECK_AFTER, LOOK_BACK
from portal.kernel.errors import DomainError

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReversalApart:
    """A credited order of which the provider tells other refunds or disputes than we keep.

    ``differences`` by id: what we have, what the provider says ("" for nothing). ``is_final``:
    all that the provider says about them will not change any more, and it knows all of ours.
    """

    order: Order
    differences: Mapping[str, list[str]]
    is_final: bool


def find_reversals_apart(*, now: datetime) -> Iterator[ReversalApart]:
    """Among orders that providers' recent events name, and those with rows that are recent."""
    for provider in list_payment_providers():
        try:
            named = _find_named(provider, now=now)
        except DomainError as error:
            _log.warning("events_not_listed", provider=provider.name, code=error.code)
            named = set()
        since = now - LOOK_BACK
        recent = (
            Q(provider_payment_id__in=named)
            | Q(refunds__first_seen_at__gt=since)
            | Q(refunds__state=RefundState.PENDING)
            | Q(disputes__changed_at__gt=since)
            | Q(disputes__state__in=UNDECIDED_STATES)
        )
        orders = Order.objects.filter(
            recent, provider=provider.name, status__in=CREDITED_ORDER_STATUSES
        )
        for order in orders.distinct():
            try:
                told = provider.retrieve_money_back(order.payment_reference)
            except DomainError as error:
                _log.warning("reversals_not_compared", order=order.public_id, code=error.code)
                continue
            if apart := _compare(order, told):
                yield apart


def _find_named(provider: PaymentProvider, *, now: datetime) -> set[str]:
    """Payments that older events about money going back belong to."""
    objects = {
        event.object_id
        for event in provider.list_events(since=now - LOOK_BACK)
        if event.type in MONEY_BACK_EVENTS and event.created_at <= now - FIRST_CHECK_AFTER
    }
    payments = set()
    for object_id in sorted(objects):
        try:
            payments.add(provider.find_payment(object_id))
        except DomainError as error:
            _log.warning("reversal_not_compared", object=object_id, code=error.code)
    return payments


def _compare(order: Order, told: MoneyBack) -> ReversalApart | None:
    theirs = {refund.refund_id: _say(refund.state, refund.amount_minor) for refund in told.refunds}
    theirs |= {one.dispute_id: _say(one.state, one.amount_minor) for one in told.disputes}
    ours = {row.refund_id: _say(row.state, row.amount_minor) for row in order.refunds.all()}
    ours |= {row.dispute_id: _say(row.state, row.amount_minor) for row in order.disputes.all()}
    differences = {
        object_id: [ours.get(object_id, ""), theirs.get(object_id, "")]
        for object_id in sorted(theirs.keys() | ours.keys())
        if ours.get(object_id) != theirs.get(object_id)
    }
    if not differences:
        return None
    unsettled = {refund.refund_id for refund in told.refunds if refund.state == RefundState.PENDING}
    unsettled |= {one.dispute_id for one in told.disputes if one.state in UNDECIDED_STATES}
    is_final = differences.keys() <= theirs.keys() - unsettled
    return ReversalApart(order=order, differences=differences, is_final=is_final)


def _say(state: str, amount_minor: int) -> str:
    return f"{state} {amount_minor}"
