"""The local half of talking to a payment provider: what is recorded before and after each call.

Each function is one short transaction under the order's lock; the calls themselves happen
between them. PostgreSQL locks the row, SQLite the whole file (transaction_mode IMMEDIATE).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts import services as accounts
from accounts.services import SYSTEM_ACTOR, Actor
from marketplace.billing.models import Attempt, AttemptState, Order, OrderStatus
from marketplace.billing.payment_provider import PaymentSession, SessionRequest, SessionUnknown
from marketplace.billing.providers import get_payment_provider
from portal.kernel.errors import Conflict

MAX_ATTEMPTS = 10
LIVE_ATTEMPT_STATES = (AttemptState.STARTED, AttemptState.CREATED)


class TooManyAttempts(Conflict):
    """The order has had all attempts that one may have."""

    code = "too_many_attempts"
    sentence = _("This order was declined too often. Nothing was charged; please order again.")


def lock_order(order_pk: int) -> Order:
    """The order, held until the end of the transaction, with its people."""
    return (
        Order.objects.select_for_update(of=("self",))
        .select_related("organisation", "ordered_by")
        .get(pk=order_pk)
    )


def _lock_with_attempt(attempt_pk: int) -> tuple[Order, Attempt]:
    """Lock first, then read: what was read before the lock may have changed while waiting."""
    order = lock_order(Attempt.objects.values_list("order_id", flat=True).get(pk=attempt_pk))
    return order, order.attempts.get(pk=attempt_pk)


def begin_attempt(*, order_pk: int, now: datetime) -> Attempt | None:
    """The attempt that is live, or a new one, committed before the provider is called.

    None when the order can't be paid. The row holds the key and the exact parameters, so that
    after a time-out the very same call can be made again.
    """
    with transaction.atomic(durable=True):
        order = lock_order(order_pk)
        if not order.may_be_paid(now=now):
            return None
        live = order.attempts.filter(state__in=LIVE_ATTEMPT_STATES).first()
        if live is not None:
            return live
        number = order.attempts.count() + 1
        if number > MAX_ATTEMPTS:
            raise TooManyAttempts
        if number > 1:
            # A declined buyer gets the whole time again for another try.
            whole = now + timedelta(minutes=settings.ORDER_MINUTES)
            order.expires_at = max(order.expires_at, whole)
            order.save(update_fields=["expires_at"])
        return Attempt.objects.create(
            order=order,
            number=number,
            idempotency_key=f"{order.public_id}-{number}",
            parameters=_make_request(order).as_parameters(),
            created_at=now,
        )


def refuse_attempt(*, attempt_pk: int, code: str) -> None:
    """The provider will never accept these parameters: the order has failed."""
    with transaction.atomic(durable=True):
        order, _attempt = _lock_with_attempt(attempt_pk)
        Attempt.objects.filter(pk=attempt_pk, state=AttemptState.STARTED).update(
            state=AttemptState.REFUSED, error=code[:200]
        )
        if order.is_open:
            order.status, order.failure_code = OrderStatus.FAILED, code[:60]
            order.save(update_fields=["status", "failure_code"])


def record_session(*, attempt_pk: int, session: PaymentSession) -> bool:
    """Note the session that the call made. False when the order was closed meanwhile."""
    with transaction.atomic(durable=True):
        order, attempt = _lock_with_attempt(attempt_pk)
        if order.status in (OrderStatus.CANCELLED, OrderStatus.EXPIRED):
            note_session(order, attempt, session, state=AttemptState.CLOSED)
            return False
        if attempt.state == AttemptState.STARTED:
            note_session(order, attempt, session, state=AttemptState.CREATED)
            if order.status in (OrderStatus.DRAFT, OrderStatus.FAILED):
                order.status, order.failure_code = OrderStatus.PENDING, ""
                order.save(update_fields=["status", "failure_code"])
        return True


def note_session(
    order: Order, attempt: Attempt, session: PaymentSession, *, state: AttemptState
) -> None:
    """Inside the caller's transaction: the attempt's session is from now on the order's."""
    attempt.state = state
    attempt.session_id, attempt.pay_url = session.session_id, session.pay_url
    attempt.save(update_fields=["state", "session_id", "pay_url"])
    order.provider_session_id = session.session_id
    order.provider_payment_id = session.payment_id or None
    order.save(update_fields=["provider_session_id", "provider_payment_id"])


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedSession:
    """What the provider says after the request to close. ``attempt_pk`` is the attempt asked for.

    Both are None when there was nothing to close, ``session`` alone when the provider knows none.
    """

    attempt_pk: int | None = None
    session: PaymentSession | None = None

    @property
    def blocks(self) -> bool:
        """It was completed first: a payment was made or is under way."""
        return self.session is not None and not self.session.is_over


def close_session(*, order: Order) -> ClosedSession:
    """Over the network: expire the session that could still be paid.

    Also finds the session of a create call whose answer never came.
    """
    live = order.attempts.filter(state__in=LIVE_ATTEMPT_STATES).first()
    if live is None:
        return ClosedSession()
    provider = get_payment_provider(order.provider)
    session_id = live.session_id
    if not session_id:
        found = provider.find_session(order_id=order.public_id)
        session_id = found.session_id if found else ""
    try:
        session = provider.expire_session(session_id) if session_id else None
    except SessionUnknown:
        session = None
    return ClosedSession(attempt_pk=live.pk, session=session)


def close_order(
    *,
    order_pk: int,
    closed: ClosedSession,
    status: OrderStatus,
    actor: Actor = SYSTEM_ACTOR,
    now: datetime,
) -> Order | None:
    """End an open order as ``status`` once its session is over (or there was none).

    None when that is no longer true: it was paid or closed, or another session was opened.
    """
    with transaction.atomic(durable=True):
        order = lock_order(order_pk)
        live = order.attempts.filter(state__in=LIVE_ATTEMPT_STATES).first()
        if not order.is_open or order.status == OrderStatus.PROCESSING:
            return None
        if live is not None:
            if live.pk != closed.attempt_pk:
                return None
            live.state = AttemptState.CLOSED
            live.save(update_fields=["state"])
        before = order.status
        order.status, order.checked_at = status, now
        order.save(update_fields=["status", "checked_at"])
        accounts.record_audit(
            organisation=order.organisation,
            actor=actor,
            action=f"order.{status.value}",
            target_id=order.public_id,
            target_label=order.pack_name,
            before={"status": before},
            after={"status": order.status},
            now=now,
        )
    return order


def _make_request(order: Order) -> SessionRequest:
    page = reverse(
        "billing:order",
        kwargs={"organisation": order.organisation.slug, "order": order.public_id},
    )
    return SessionRequest(
        amount_minor=order.amount_minor,
        currency=order.currency,
        description=describe_order(order),
        customer_email=order.organisation.billing_email or order.ordered_by.email,
        language=order.ordered_by.language,
        return_url=f"{settings.SITE_URL}{page}",
        cancel_url=f"{settings.SITE_URL}{page}",
        expires_at=order.expires_at.isoformat(),
        metadata={"order": order.public_id, "organisation": order.organisation.public_id},
    )


def describe_order(order: Order) -> str:
    """On the pay page and the account statement, in the language of who ordered."""
    with translation.override(order.ordered_by.language):
        return gettext("%(pack)s × %(quantity)s, order %(order)s") % {
            "pack": order.pack_name,
            "quantity": order.quantity,
            "order": order.public_id,
        }
