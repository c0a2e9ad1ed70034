"""What a payment buys: the lots in the ledger, the order paid, its invoice."""

from datetime import datetime

from accounts import services as accounts
from accounts.services import SYSTEM_ACTOR
from marketplace.billing.models import Order, OrderStatus
from marketplace.billing.payment_provider import PaymentSession
from marketplace.billing.services import documents, strays, telling
from marketplace.ledger import services as ledger

# Sandbox orders credit live tokens too (docs/adr/0041): there is one unit to buy.
PURCHASE_UNIT = "live"


def credit_order(*, order: Order, session: PaymentSession, now: datetime) -> None:
    """Ledger, order, invoice, notice and audit row, in the caller's one commit and order lock."""
    before, order.paid_at = order.status, now
    expires_at = order.tokens_expire_at
    discount = order.paid_millitokens - order.tariff_millitokens
    paid_by = [("clearing", order.provider, order.tariff_millitokens)]
    strays.place_strays(order=order, session=session, now=now)
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
    if session.tax_minor is not None:
        # Which rate that was depends on where the buyer is, and may be several.
        order.tax_minor, order.tax_basis_points = session.tax_minor, 0
    order.save(
        update_fields=[
            "tax_minor",
            "tax_basis_points",
            "status",
            "paid_at",
            "failure_code",
            "provider_session_id",
            "provider_payment_id",
        ]
    )
    invoice = documents.issue_invoice(order=order, now=now)
    telling.tell_of_payment(order=order, now=now)
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
            "invoice": invoice.label,
        },
        now=now,
    )
