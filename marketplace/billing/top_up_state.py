"""Whether an automatic top-up is due, and if not, why: for the worker and for the page alike.

All of it follows from orders and the wallet; nothing is counted on the side.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Q, QuerySet, Sum

from accounts.models import Organisation
from marketplace.billing.models import (
    CREDITED_ORDER_STATUSES,
    OPEN_ORDER_STATUSES,
    Order,
    OrderStatus,
    Pack,
    SavedCard,
    TopUpRule,
)
from marketplace.billing.providers import tax_is_computed_on_payment
from marketplace.ledger import selectors as ledger
from marketplace.ledger.selectors import Purse

UNIT = "live"
FAILURES_ALLOWED = 3
# After the first failure in a row, and after the second.
BACK_OFF = (timedelta(minutes=15), timedelta(hours=2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """``reason`` is "" when a top-up is due, else why none is: "in_flight", "failures",
    "waiting" (until ``until``), "tax", "debt", "frozen", "enough" or "cap"."""

    reason: str
    until: datetime | None = None


def judge_rule(rule: TopUpRule, *, now: datetime) -> Judgement:
    """As things stand at this moment. Says nothing about the price of the pack."""
    if find_open_order(rule.organisation) is not None:
        return Judgement(reason="in_flight")
    failures = list_failures(rule)
    if len(failures) >= FAILURES_ALLOWED:
        return Judgement(reason="failures")
    if failures:
        until = (failures[0].checked_at or failures[0].created_at) + BACK_OFF[len(failures) - 1]
        if now < until:
            return Judgement(reason="waiting", until=until)
    if tax_is_computed_on_payment():
        return Judgement(reason="tax")
    owner = rule.organisation.public_id
    if count_free(rule.organisation) >= rule.threshold_millitokens:
        return Judgement(reason="enough")
    # Before the freeze that comes with it: a debt is what there is to settle.
    if ledger.get_debt(owner_key=owner, unit=UNIT):
        return Judgement(reason="debt")
    if ledger.is_frozen(owner_key=owner, unit=UNIT):
        return Judgement(reason="frozen")
    spent = sum_of_month(rule, now=now)
    if spent + rule.amount_minor > rule.cap_minor:
        return Judgement(reason="cap")
    return Judgement(reason="")


def count_free(organisation: Organisation) -> int:
    """Millitokens of the general wallet that no call has set aside: what a threshold is about.

    Tokens for certain services don't count, since they run no others.
    """
    return ledger.list_spendable([Purse(organisation.public_id, UNIT, ())])[0]


def find_open_order(organisation: Organisation) -> Order | None:
    """The top-up in flight; the database allows one."""
    return list_top_up_orders(organisation).filter(status__in=OPEN_ORDER_STATUSES).first()


def list_top_up_orders(organisation: Organisation) -> QuerySet[Order]:
    """The newest first."""
    return (
        Order.objects.filter(organisation=organisation, top_up__isnull=False)
        .select_related("top_up")
        .order_by("-id")
    )


def find_rule(organisation: Organisation) -> TopUpRule | None:
    """The one that is on."""
    on = TopUpRule.objects.filter(organisation=organisation, ended_at__isnull=True)
    return on.select_related("organisation", "card", "pack", "agreed_by").first()


def find_last_rule(organisation: Organisation) -> TopUpRule | None:
    """The newest, on or not."""
    return TopUpRule.objects.filter(organisation=organisation).order_by("-id").first()


def list_packs() -> list[Pack]:
    """What can be bought so: packs on sale that are good for everything, with their prices."""
    packs = Pack.objects.filter(on_sale=True, scope="").prefetch_related("prices")
    return list(packs.order_by("position", "id"))


def find_card(organisation: Organisation) -> SavedCard | None:
    """The saved one."""
    saved = SavedCard.objects.filter(saved_at__isnull=False, removed_at__isnull=True)
    return saved.filter(organisation=organisation).first()


def count_failures(rule: TopUpRule) -> int:
    return len(list_failures(rule))


def list_failures(rule: TopUpRule) -> list[Order]:
    """The rule's last orders in a row that came to nothing, the newest first, up to those allowed.

    Whatever the way: declined, not confirmed in time, called off.
    """
    failures: list[Order] = []
    for order in rule.orders.order_by("-id")[:FAILURES_ALLOWED]:
        if order.status not in (OrderStatus.FAILED, OrderStatus.EXPIRED, OrderStatus.CANCELLED):
            break
        failures.append(order)
    return failures


def begin_of_month(timezone: str, *, now: datetime) -> datetime:
    local = now.astimezone(ZoneInfo(timezone))
    return local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def sum_of_month(rule: TopUpRule, *, now: datetime) -> int:
    """What top-ups charged, or still may, in the calendar month of the rule's time zone.

    In minor units of its currency, of all rules of its organisation; what went back later counts
    too.
    """
    began = begin_of_month(rule.timezone, now=now)
    charged = Order.objects.filter(
        Q(created_at__gte=began) | Q(paid_at__gte=began),
        organisation=rule.organisation,
        currency=rule.currency,
        top_up__isnull=False,
        status__in=(*OPEN_ORDER_STATUSES, *CREDITED_ORDER_STATUSES),
    )
    return charged.aggregate(total=Sum("amount_minor"))["total"] or 0
