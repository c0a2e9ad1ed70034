"""``settle_order``: the one way from a payment to tokens, whoever noticed the payment.

Webhook, sweep, reconciliation and the buyer's "check again" all end here. What a message says is
never believed: the session is retrieved from the provider, outside any transaction, compared
with the order under its lock, and credited in the ledger under a reference that can exist once.
"""

from collections.abc import Sequence
from datetime import datetime

import structlog
from django.db import transaction

from accounts import services as accounts
from accounts.services import SYSTEM_ACTOR
from marketplace.billing.models import Attempt, AttemptState, Order, OrderStatus
from marketplace.billing.models.orders import MISMATCH
from marketplace.billing.payment_provider import (
    PaymentProvider,
    PaymentSession,
    SessionState,
    SessionUnknown,
)
from marketplace.billing.providers import get_payment_provider
from marketplace.billing.services import attempts, receipts
from marketplace.ledger import services as ledger
from portal.kernel.errors import NotFound

_log = structlog.get_logger(__name__)

# Sandbox orders credit live tokens too (docs/adr/0041): there is one unit to buy.
PURCHASE_UNIT = "live"


def settle_order(*, order_public_id: str, object_id: str = "", now: datetime) -> bool:
    """Ask the provider about the order and act on the answer. True when it is credited.

    ``object_id`` is a session or payment that an event named, looked at besides the order's own.
    Safe to call at any time, any number of times, from any number of processes. Raises NotFound,
    PaymentsUnavailable (then nothing has changed).
    """
    order = Order.objects.filter(public_id=order_public_id).first()
    if order is None:
        raise NotFound
    if order.is_credited:
        return True
    provider = get_payment_provider(order.provider)
    sessions = _retrieve_sessions(order, provider, object_id)
    return _apply_sessions(order.pk, provider, sessions, now=now)


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
        if order.is_credited:
            return True
        order.checked_at = now
        order.save(update_fields=["checked_at"])
        paid = next((session for session in sessions if session.is_paid), None)
        if paid is None:
            for session in sessions:
                _note_unpaid(order, session, now=now)
            return False
        differences = _find_differences(order, paid, provider)
        if differences:
            _note_mismatch(order, paid, differences, now=now)
            return False
        _credit(order, paid, now=now)
        return True


def _find_differences(
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
    if attempt is None:
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
    return order.attempts.filter(state=AttemptState.STARTED, session_id="").first()


def _credit(order: Order, session: PaymentSession, *, now: datetime) -> None:
    """Ledger, order, receipt and audit row, all in the caller's one commit."""
    before, order.paid_at = order.status, now
    expires_at = order.tokens_expire_at
    discount = order.paid_millitokens - order.tariff_millitokens
    paid_by = [("clearing", order.provider, order.tariff_millitokens)]
    ledger.grant_lot(
        owner_key=order.organisation.public_id,
        unit=PURCHASE_UNIT,
        reference=order.reference,
        kind="paid",
        face_millitokens=order.paid_millitokens,
        debits=[*paid_by, ("discount", "operator", discount)] if discount else paid_by,
        transaction_kind="purchase",
        scope=order.scope,
        paid_minor=order.amount_minor,
        currency=order.currency,
        expires_at=expires_at,
        now=now,
    )
    if order.bonus_millitokens:
        ledger.grant_lot(
            owner_key=order.organisation.public_id,
            unit=PURCHASE_UNIT,
            reference=order.reference,
            kind="bonus",
            face_millitokens=order.bonus_millitokens,
            debits=[("promotion", "operator", order.bonus_millitokens)],
            transaction_kind="purchase",
            scope=order.scope,
            expires_at=expires_at,
            now=now,
        )
    order.status, order.failure_code = OrderStatus.PAID, ""
    order.provider_session_id = session.session_id
    order.provider_payment_id = session.payment_id or None
    order.save(
        update_fields=[
            "status",
            "paid_at",
            "failure_code",
            "provider_session_id",
            "provider_payment_id",
        ]
    )
    receipt = receipts.issue_receipt(order=order, now=now)
    accounts.record_audit(
        organisation=order.organisation,
        actor=SYSTEM_ACTOR,
        action="order.paid",
        target_id=order.public_id,
        target_label=order.pack_name,
        before={"status": before},
        after={
            "status": order.status,
            "amount_minor": order.amount_minor,
            "currency": order.currency,
            "receipt": receipt.label,
        },
        now=now,
    )
