"""``settle_order``: the one way from a payment to tokens, whoever noticed the payment.

Webhook, sweep, reconciliation and the buyer's "check again" all end here. What a message says is
never believed: the session is retrieved from the provider, outside any transaction, compared
with the order under its lock, and credited in the ledger under a reference that can exist once.
"""

from collections.abc import Sequence
from datetime import datetime

import structlog
from django.db import transaction
from django.db.models import Q

from accounts import services as accounts
from accounts.services import SYSTEM_ACTOR
from marketplace.billing.models import Attempt, AttemptState, Order, OrderStatus
from marketplace.billing.models.orders import MISMATCH
from marketplace.billing.payment_provider import (
    NoPayment,
    PaymentProvider,
    PaymentSession,
    SessionState,
    SessionUnknown,
)
from marketplace.billing.providers import get_payment_provider
from marketplace.billing.services import attempts, strays, telling
from marketplace.billing.services.crediting import credit_order
from portal.kernel.errors import DomainError, NotFound

_log = structlog.get_logger(__name__)


class OrderUnknown(NotFound):
    """No order belongs to this payment, yet or at all."""

    code = "order_unknown"


def settle_order(*, order_public_id: str, object_id: str = "", now: datetime) -> bool:
    """Ask the provider about the order and act on the answer. True when it is credited.

    ``object_id`` is a session or payment that an event named, looked at besides the order's own:
    what it paid for an order that is credited already is remembered as a stray payment. Safe to
    call at any time, any number of times, from any number of processes. Raises NotFound,
    PaymentsUnavailable (then nothing has changed).
    """
    order = Order.objects.filter(public_id=order_public_id).first()
    if order is None:
        raise NotFound
    if order.is_credited and (not object_id or object_id in _objects_of(order)):
        return True
    provider = get_payment_provider(order.provider)
    sessions = _retrieve_sessions(order, provider, object_id)
    credited = _apply_sessions(order.pk, provider, sessions, now=now)
    if credited:
        _close_other_session(order.pk, provider, now=now)
    return credited


def place_payment(*, provider: str, object_id: str, final: bool = False, now: datetime) -> bool:
    """Settle the order that a session or payment belongs to; True when it has found its place.

    By what we know of sessions and payments, else by what the session says of itself: that serves
    an event that overtook our own commit of the session's id. A payment whose order is unknown is
    OrderUnknown, since the order may still turn up; with ``final`` it is remembered as unmatched.
    Raises what ``settle_order`` raises, and SessionUnknown.
    """
    order_id = _find_order_id(provider, object_id)
    if order_id is None:
        door = get_payment_provider(provider)
        try:
            session = door.retrieve_session(object_id)
        except NoPayment:
            return True
        order_id = session.metadata.get("order", "")
        if not Order.objects.filter(public_id=order_id, provider=provider).exists():
            if strays.is_known_stray(provider=provider, session=session):
                return True
            if final and session.is_paid:
                return strays.note_unmatched(provider=door, session=session, now=now)
            raise OrderUnknown
    settle_order(order_public_id=order_id, object_id=object_id, now=now)
    return True


def _find_order_id(provider: str, object_id: str) -> str | None:
    known = Order.objects.filter(provider=provider).filter(
        Q(provider_session_id=object_id) | Q(provider_payment_id=object_id)
    )
    if order := known.first():
        return order.public_id
    attempt = Attempt.objects.filter(session_id=object_id).select_related("order").first()
    return attempt.order.public_id if attempt else None


def _objects_of(order: Order) -> tuple[str | None, str | None]:
    return order.provider_session_id, order.provider_payment_id


def _retrieve_sessions(
    order: Order, provider: PaymentProvider, object_id: str
) -> list[PaymentSession]:
    """Over the network: the order's newest session, and the one that an event named."""
    live = order.attempts.filter(state__in=attempts.LIVE_ATTEMPT_STATES).first()
    named = [object_id, order.provider_session_id or "", live.session_id if live else ""]
    wanted = [wanted_id for wanted_id in dict.fromkeys(named) if wanted_id]
    found: dict[str, PaymentSession] = {}
    for wanted_id in wanted:
        try:
            session = provider.retrieve_session(wanted_id)
        except SessionUnknown:
            _log.warning("session_unknown", order=order.public_id, session=wanted_id)
            continue
        found[session.session_id] = session
    if live is not None and not live.session_id:
        # The create call's answer was lost; the session may exist and may have been paid.
        lost = provider.find_session(order_id=order.public_id)
        if lost is not None:
            found[lost.session_id] = lost
    return list(found.values())


def _apply_sessions(
    order_pk: int,
    provider: PaymentProvider,
    sessions: Sequence[PaymentSession],
    *,
    now: datetime,
) -> bool:
    with transaction.atomic(durable=True):
        order = attempts.lock_order(order_pk)
        paid = [session for session in sessions if session.is_paid]
        if not order.is_credited:
            order.checked_at = now
            order.save(update_fields=["checked_at"])
            fitting = [one for one in paid if not find_differences(order, one, provider)]
            if fitting:
                credit_order(order=order, session=fitting[0], now=now)
            elif paid:
                _note_mismatch(order, paid[0], find_differences(order, paid[0], provider), now=now)
        if not paid:
            for session in sessions:
                _note_unpaid(order, session, now=now)
        if order.is_credited:
            for session in paid:
                if session.session_id not in _objects_of(order):
                    strays.note_surplus(order=order, session=session, now=now)
        return order.is_credited


def _close_other_session(order_pk: int, provider: PaymentProvider, *, now: datetime) -> None:
    """A credited order needs no second payment: close the session that could still take one.

    A processor that can't be reached only leaves it open: what it took would be found stray.
    """
    order = Order.objects.get(pk=order_pk)
    other = (
        order.attempts.filter(state__in=attempts.LIVE_ATTEMPT_STATES)
        .exclude(session_id__in=["", order.provider_session_id])
        .first()
    )
    if other is None:
        return
    try:
        session = provider.expire_session(other.session_id)
    except DomainError as error:
        _log.warning("session_not_closed", order=order.public_id, code=error.code)
        return
    _apply_sessions(order_pk, provider, [session], now=now)


def find_differences(
    order: Order, session: PaymentSession, provider: PaymentProvider
) -> dict[str, list[object]]:
    """What was ordered against what was paid; empty when they agree in everything."""
    compared: dict[str, tuple[object, object]] = {
        "amount_minor": (order.amount_minor, session.amount_minor),
        "currency": (order.currency, session.currency),
        "livemode": (order.livemode, session.livemode),
        "provider_livemode": (provider.livemode, session.livemode),
        "order": (order.public_id, session.metadata.get("order")),
        "organisation": (order.organisation.public_id, session.metadata.get("organisation")),
    }
    return {name: list(pair) for name, pair in compared.items() if pair[0] != pair[1]}


def _note_mismatch(
    order: Order, session: PaymentSession, differences: dict[str, list[object]], *, now: datetime
) -> None:
    """Money came that was not ordered so: credit nothing, keep the order where staff find it."""
    _log.error(
        "payment_mismatch",
        order=order.public_id,
        session=session.session_id,
        differences=differences,
    )
    if order.failure_code == MISMATCH:
        return
    order.failure_code = MISMATCH
    order.save(update_fields=["failure_code"])
    accounts.record_audit(
        organisation=order.organisation,
        actor=SYSTEM_ACTOR,
        action="order.mismatched",
        target_id=order.public_id,
        target_label=order.pack_name,
        after={"session": session.session_id, "differences": differences},
        now=now,
    )


def _note_unpaid(order: Order, session: PaymentSession, *, now: datetime) -> None:
    """Follow the session as far as an unpaid one goes; a closed order stays as it was closed."""
    attempt = _find_attempt(order, session)
    if attempt is None or (attempt.is_charge and attempt.state == AttemptState.STARTED):
        # Why a charge came to nothing is told to who asks under its key.
        return
    if attempt.state == AttemptState.STARTED:
        attempts.note_session(order, attempt, session, state=AttemptState.CREATED)
    if session.is_over:
        attempt.state = AttemptState.CLOSED
        attempt.save(update_fields=["state"])
    if not order.is_open or order.provider_session_id != session.session_id:
        return
    before = order.status
    if session.state is SessionState.EXPIRED:
        order.status = OrderStatus.EXPIRED
    elif session.is_over:
        order.status, order.failure_code = OrderStatus.FAILED, session.failure_code[:60]
    elif session.state is SessionState.COMPLETE:
        order.status, order.failure_code = OrderStatus.PROCESSING, ""
    elif order.status == OrderStatus.DRAFT:
        order.status = OrderStatus.PENDING
    order.save(update_fields=["status", "failure_code"])
    if order.status == OrderStatus.FAILED:
        telling.tell_of_failure(order=order, session_id=session.session_id, now=now)
    if not order.is_open:
        accounts.record_audit(
            organisation=order.organisation,
            actor=SYSTEM_ACTOR,
            action="order.declined" if order.status == OrderStatus.FAILED else "order.expired",
            target_id=order.public_id,
            target_label=order.pack_name,
            before={"status": before},
            after={"status": order.status},
            now=now,
        )


def _find_attempt(order: Order, session: PaymentSession) -> Attempt | None:
    """The attempt that made this session: by its id, or the one whose answer was lost."""
    same = order.attempts.filter(session_id=session.session_id).first()
    if same is not None or session.metadata.get("order") != order.public_id:
        return same
    if named := session.metadata.get("attempt"):
        return order.attempts.filter(idempotency_key=named).first()
    return order.attempts.filter(state=AttemptState.STARTED, session_id="").first()
