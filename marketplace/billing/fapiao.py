"""Reads of fapiao. What belongs to a tenant takes the organisation."""

from django.db.models import Q, QuerySet

from accounts.models import Organisation
from marketplace.billing.models import (
    CREDITED_ORDER_STATUSES,
    FAPIAO_CURRENCY,
    KEPT_MINOR,
    OPEN_REQUEST_STATES,
    WAITING_STATES,
    Fapiao,
    FapiaoLine,
    Order,
    RefundRequest,
)
from portal.kernel.errors import NotFound


def list_fapiao_orders(*, organisation: Organisation) -> QuerySet[Order]:
    """Orders that a fapiao can be asked for now, newest first: paid in yuan, not gone back, with
    no refund under way and no fapiao yet."""
    return (
        Order.objects.filter(
            organisation=organisation,
            currency=FAPIAO_CURRENCY,
            status__in=CREDITED_ORDER_STATUSES,
        )
        .annotate(kept_minor=KEPT_MINOR)
        .filter(kept_minor__gt=0)
        .exclude(pk__in=FapiaoLine.objects.filter(is_live=True).values("order_id"))
        .exclude(
            pk__in=RefundRequest.objects.filter(state__in=OPEN_REQUEST_STATES).values("order_id")
        )
        .prefetch_related("documents")
        .order_by("-paid_at", "-id")
    )


def may_ask_fapiao(*, order: Order) -> bool:
    """Whether it is one of those; other currencies cost no query."""
    return order.currency == FAPIAO_CURRENCY and (
        list_fapiao_orders(organisation=order.organisation).filter(pk=order.pk).exists()
    )


def buys_in_yuan(*, organisation: Organisation) -> bool:
    """Whether fapiao concern the organisation at all."""
    return Order.objects.filter(
        organisation=organisation,
        currency=FAPIAO_CURRENCY,
        status__in=CREDITED_ORDER_STATUSES,
    ).exists()


def list_fapiao(*, organisation: Organisation) -> QuerySet[Fapiao]:
    """The organisation's, newest first."""
    return _with_orders().filter(organisation=organisation).order_by("-requested_at", "-id")


def get_fapiao(*, organisation: Organisation, public_id: str) -> Fapiao:
    """One of the organisation's; another tenant's does not exist."""
    return _one(list_fapiao(organisation=organisation), public_id)


def find_fapiao_of(*, order: Order) -> Fapiao | None:
    """The one that names the order now."""
    if order.currency != FAPIAO_CURRENCY:
        return None
    return Fapiao.objects.filter(lines__order=order, lines__is_live=True).first()


def is_being_refunded(*, fapiao: Fapiao) -> bool:
    """Whether money of one of its orders is asked back and has not gone yet."""
    return RefundRequest.objects.filter(
        order__fapiao_lines__fapiao=fapiao, state__in=OPEN_REQUEST_STATES
    ).exists()


def list_all_fapiao(*, waiting: bool) -> QuerySet[Fapiao]:
    """For staff: those that wait for them, the longest first; or the others, newest first."""
    waits = Q(state__in=WAITING_STATES)
    if waiting:
        return _with_orders().filter(waits).order_by("requested_at", "id")
    return _with_orders().exclude(waits).order_by("-requested_at", "-id")


def get_any_fapiao(*, public_id: str) -> Fapiao:
    """For staff. Raises NotFound."""
    return _one(_with_orders(), public_id)


def _with_orders() -> QuerySet[Fapiao]:
    return Fapiao.objects.select_related(
        "organisation", "requested_by", "decided_by"
    ).prefetch_related("lines__order", "red_letters")


def _one(among: QuerySet[Fapiao], public_id: str) -> Fapiao:
    found = among.filter(public_id=public_id).first()
    if found is None:
        raise NotFound
    return found
