"""What the reconciliation asks the payment providers: over the network, and only reading.

A provider that is switched off or cannot be reached says nothing now; the next run asks again.
What happened in the last minutes is left to its webhooks.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db.models import Q

from marketplace.billing.models import (
    CREDITED_ORDER_STATUSES,
    Order,
    StrayPayment,
)
from marketplace.billing.models.orders import MISMATCH
from marketplace.billing.payment_provider import (
    EventType,
    PaymentProvider,
    PaymentSession,
    PaymentsUnavailable,
    SessionUnknown,
)
from marketplace.billing.providers import list_payment_providers
from marketplace.billing.services.settlement import find_differences
from marketplace.billing.services.strays import payment_id_of
from marketplace.billing.services.sweeping import FIRST_CHECK_AFTER, LOOK_BACK
from portal.kernel.errors import DomainError

_log = structlog.get_logger(__name__)

_PAYING_EVENTS = (EventType.SESSION_COMPLETED, EventType.PAYMENT_SUCCEEDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownPayment:
    """A payment that a provider has and that is neither an order's nor a known stray.

    ``object_id`` is what to retrieve it by; ``order_id`` the order that it names, or "".
    """

    provider: str
    object_id: str
    payment_id: str
    order_id: str
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputedOrder:
    """A credited order of which its provider says something else.

    ``differences`` by name: what we have, what the provider says.
    """

    order: Order
    differences: Mapping[str, list[object]]


def find_uncredited_orders(*, now: datetime) -> Iterator[tuple[str, int]]:
    """Orders that the provider says are paid and that we have not credited (check 14).

    (public id, millitokens to credit), for recent orders in every uncredited state, but for
    those whose payment is known not to be the one that was ordered (check 16).
    """
    recent = Order.objects.uncredited().filter(
        created_at__gt=now - LOOK_BACK, created_at__lte=now - FIRST_CHECK_AFTER
    )
    providers = _providers()
    for order in recent.select_related("organisation").filter(
        provider__in=providers, provider_session_id__isnull=False
    ):
        provider = providers[order.provider]
        session = _retrieve(provider, order.provider_session_id or "")
        if session is None or not session.is_paid:
            continue
        if order.failure_code != MISMATCH or not find_differences(order, session, provider):
            yield order.public_id, order.total_millitokens


def find_unknown_payments(*, now: datetime) -> Iterator[UnknownPayment]:
    """Recent payments that the providers list and that have no place here (check 15).

    Not those that an order is known to wait for in vain (check 16).
    """
    for provider in _providers().values():
        try:
            events = provider.list_events(since=now - LOOK_BACK)
        except PaymentsUnavailable as error:
            _log.warning("events_not_listed", provider=provider.name, code=error.code)
            continue
        named = {
            event.object_id
            for event in events
            if event.type in _PAYING_EVENTS and event.created_at <= now - FIRST_CHECK_AFTER
        }
        for object_id in sorted(named - _placed_objects(provider.name, named)):
            session = _retrieve(provider, object_id)
            if session is None or not session.is_paid:
                continue
            payment_id = payment_id_of(session)
            if _placed_objects(provider.name, {session.session_id, payment_id}):
                continue
            if _is_known_mismatch(session):
                continue
            yield UnknownPayment(
                provider=provider.name,
                object_id=object_id,
                payment_id=payment_id,
                order_id=session.metadata.get("order", ""),
                amount_minor=session.amount_minor,
                currency=session.currency,
            )


def find_disputed_orders(*, now: datetime) -> Iterator[DisputedOrder]:
    """Recently credited orders with which the provider disagrees: in amount, currency, mode or
    metadata, or because it knows no such payment or has not got the money (check 16)."""
    providers = _providers()
    credited = Order.objects.filter(
        status__in=CREDITED_ORDER_STATUSES,
        paid_at__gt=now - LOOK_BACK,
        provider__in=providers,
    )
    for order in credited.select_related("organisation"):
        provider = providers[order.provider]
        try:
            session = provider.retrieve_session(order.provider_session_id or "")
        except SessionUnknown:
            yield DisputedOrder(order=order, differences={"session": ["paid", "unknown"]})
            continue
        except DomainError as error:
            _log.warning("order_not_compared", order=order.public_id, code=error.code)
            continue
        differences = find_differences(order, session, provider)
        if not session.is_paid:
            differences["payment_state"] = ["paid", session.payment_state.value]
        if differences:
            yield DisputedOrder(order=order, differences=differences)


def _providers() -> dict[str, PaymentProvider]:
    return {provider.name: provider for provider in list_payment_providers()}


def _retrieve(provider: PaymentProvider, object_id: str) -> PaymentSession | None:
    try:
        return provider.retrieve_session(object_id)
    except DomainError as error:
        _log.warning("payment_not_compared", object=object_id, code=error.code)
        return None


def _is_known_mismatch(session: PaymentSession) -> bool:
    """Its order says already that this payment is not the one that was ordered."""
    its_order = Q(public_id=session.metadata.get("order", "")) | Q(
        attempts__session_id=session.session_id
    )
    return Order.objects.uncredited().filter(its_order, failure_code=MISMATCH).exists()


def _placed_objects(provider: str, object_ids: set[str]) -> set[str]:
    """Those that an order or a stray payment accounts for, or that an uncredited order waits for:
    that one is asked about by itself."""
    placed: set[str] = set()
    for field in ("provider_session_id", "provider_payment_id"):
        placed |= set(
            Order.objects.filter(provider=provider, **{f"{field}__in": object_ids}).values_list(
                field, flat=True
            )
        )
    for field in ("session_id", "payment_id"):
        placed |= set(
            StrayPayment.objects.filter(
                provider=provider, **{f"{field}__in": object_ids}
            ).values_list(field, flat=True)
        )
    return placed
