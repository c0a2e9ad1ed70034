"""Payments that paid for nothing: remembered once each, their worth set aside in suspense.

Nothing is ever credited here. Staff see each as a finding (check 15) and give the money back.
"""

from dataclasses import replace
from datetime import datetime

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q

from accounts import services as accounts
from accounts.services import SYSTEM_ACTOR
from marketplace.billing.models import Order, StrayKind, StrayPayment
from marketplace.billing.payment_provider import (
    PaymentProvider,
    PaymentSession,
    PaymentState,
    SessionState,
)
from marketplace.billing.services.packs import value_of_money
from marketplace.ledger import services as ledger
from marketplace.ledger.services import Move

_log = structlog.get_logger(__name__)

_SCOPE = "stray_payment"
# Sandbox payments count in the live unit, as their orders do (docs/adr/0041).
UNIT = "live"
_MOST_MILLITOKENS = 10**18


def payment_id_of(session: PaymentSession) -> str:
    """What a payment is known by, also where the provider names only its session."""
    return session.payment_id or session.session_id


def is_known_stray(*, provider: str, session: PaymentSession) -> bool:
    return StrayPayment.objects.filter(
        provider=provider, payment_id=payment_id_of(session)
    ).exists()


def note_surplus(*, order: Order, session: PaymentSession, now: datetime) -> bool:
    """A payment of an order that another one paid for. Within the order's lock; twice is once."""
    stray = _note(
        provider=order.provider, kind=StrayKind.SURPLUS, order=order, session=session, now=now
    )
    if stray is None:
        return False
    _warn(stray)
    accounts.record_audit(
        organisation=order.organisation,
        actor=SYSTEM_ACTOR,
        action="order.paid_again",
        target_id=order.public_id,
        target_label=order.pack_name,
        after={"amount_minor": stray.amount_minor, "currency": stray.currency},
        now=now,
    )
    return True


def note_unmatched(*, provider: PaymentProvider, session: PaymentSession, now: datetime) -> bool:
    """A payment that names no order of ours. Twice is once."""
    with transaction.atomic():
        stray = _note(
            provider=provider.name,
            kind=StrayKind.UNMATCHED,
            order=None,
            session=session,
            now=now,
        )
    if stray is None:
        return False
    _warn(stray)
    return True


def note_arrival(
    *, provider: str, payment_id: str, amount_minor: int, currency: str, now: datetime
) -> None:
    """Money of which nobody has said yet what it is for. In the caller's transaction."""
    arrived = PaymentSession(
        session_id=payment_id,
        payment_id=payment_id,
        state=SessionState.COMPLETE,
        payment_state=PaymentState.PAID,
        amount_minor=amount_minor,
        currency=currency,
        livemode=True,
        metadata={},
        pay_url="",
    )
    _note(provider=provider, kind=StrayKind.UNMATCHED, order=None, session=arrived, now=now)


def place_strays(*, order: Order, session: PaymentSession, now: datetime) -> None:
    """Their order is being credited with them: out of suspense again, but for what is too much.

    The payment itself, where its order turned up late, or the parts that it was paid in.
    """
    waiting = Q(kind=StrayKind.UNMATCHED, payment_id=payment_id_of(session))
    waiting |= Q(kind=StrayKind.PART, order=order)
    found = StrayPayment.objects.select_for_update().filter(waiting, provider=order.provider)
    placed = list(found.order_by("id"))
    for stray in placed:
        stray.kind, stray.order = StrayKind.PLACED, order
        stray.save(update_fields=["kind", "order"])
        _post(stray, back=True, reason=f"credited to its order {order.public_id}", now=now)
    rest = sum(stray.amount_minor for stray in placed) - session.amount_minor
    if rest > 0:
        surplus_id = f"{payment_id_of(session)}:rest"
        surplus = replace(session, payment_id=surplus_id, amount_minor=rest)
        note_surplus(order=order, session=surplus, now=now)


def _note(
    *,
    provider: str,
    kind: StrayKind,
    order: Order | None,
    session: PaymentSession,
    now: datetime,
) -> StrayPayment | None:
    draft = StrayPayment(
        provider=provider,
        payment_id=payment_id_of(session),
        session_id=session.session_id,
        kind=kind,
        order=order,
        amount_minor=session.amount_minor,
        currency=session.currency,
        suspense_millitokens=_worth_of(session, order),
        found_at=now,
    )
    # Whoever comes second waits for the first and finds its row.
    StrayPayment.objects.bulk_create([draft], ignore_conflicts=True)
    stray = StrayPayment.objects.get(provider=draft.provider, payment_id=draft.payment_id)
    if stray.public_id != draft.public_id:
        return None
    _post(stray, back=False, reason=f"{kind.value} payment", now=now)
    return stray


def _warn(stray: StrayPayment) -> None:
    _log.error(
        "stray_payment",
        kind=str(stray.kind),
        payment=str(stray),
        order=stray.order.public_id if stray.order else "",
        amount_minor=stray.amount_minor,
        currency=stray.currency,
    )


def _post(stray: StrayPayment, *, back: bool, reason: str, now: datetime) -> None:
    if not stray.suspense_millitokens:
        return
    sides = ("clearing", stray.provider), ("suspense", ledger.OPERATOR)
    debit, credit = reversed(sides) if back else sides
    ledger.post_transaction(
        kind="adjustment",
        unit=UNIT,
        idempotency_scope=_SCOPE,
        idempotency_key=f"{stray.public_id}{':back' if back else ''}",
        moves=[Move(debit, credit, stray.suspense_millitokens)],
        reason=reason,
        reference=stray.reference,
        now=now,
    )


def _worth_of(session: PaymentSession, order: Order | None) -> int:
    """In millitokens: what such an order is worth to the books, else what the money is.

    0 for a currency that nothing converts, and for sums that no book could hold.
    """
    paid = (session.amount_minor, session.currency)
    if order is not None and paid == (order.amount_minor, order.currency):
        return order.tariff_millitokens
    if session.currency != settings.TARIFF_CURRENCY:
        return 0
    worth = value_of_money(session.amount_minor, session.currency)
    return worth if worth <= _MOST_MILLITOKENS else 0
