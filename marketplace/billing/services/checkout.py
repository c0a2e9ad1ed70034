"""From a chosen pack to the provider's pay page: order, attempt, session; and back out again."""

import hashlib
import json
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts import services as accounts
from accounts.models import Organisation, User
from accounts.services import Actor
from marketplace.billing.models import Order, OrderStatus, Pack, PurchaseRequest
from marketplace.billing.models.orders import BY_TRANSFER
from marketplace.billing.offers import Offer, make_offer
from marketplace.billing.payment_provider import PaymentRefused, SessionRequest
from marketplace.billing.providers import (
    get_default_provider,
    get_payment_provider,
    get_transfer_provider,
)
from marketplace.billing.services import attempts, purchase_requests, settlement
from marketplace.billing.services.crediting import PURCHASE_UNIT
from marketplace.ledger import selectors as ledger_selectors
from marketplace.ledger import services as ledger
from portal.kernel.errors import Conflict, Rejected

MAX_OPEN_ORDERS = 50
_MAX_KEY_LENGTH = 200
_MAX_REFERENCE_LENGTH = 80


class IdempotencyKeyReused(Conflict):
    """The key stands for an order with other content."""

    code = "idempotency_key_reused"
    sentence = _("This key already stands for another order. Nothing was ordered.")


class IdempotencyKeyRejected(Rejected):
    """Empty, too long, or not printable."""

    code = "idempotency_key_rejected"
    sentence = _("The Idempotency-Key must be 1 to 200 printable characters. Nothing was ordered.")


class PurchaseReferenceRejected(Rejected):
    """Too long, or not printable."""

    code = "purchase_reference_rejected"
    sentence = _("The reference must be at most 80 printable characters. Nothing was ordered.")


class OfferChanged(Conflict):
    """The offer is not the one that the buyer was shown."""

    code = "offer_changed"
    sentence = _(
        "The price or the terms of this pack changed since you saw them. Nothing was ordered."
    )


class TooManyOpenOrders(Conflict):
    """More unpaid orders than one organisation may have."""

    code = "too_many_open_orders"
    sentence = _("Too many orders are waiting for payment. Pay or cancel some of them first.")


class OrderClosed(Conflict):
    """The order has reached its end."""

    code = "order_closed"
    sentence = _("This order can no longer be paid or cancelled.")


class DebtOutstanding(Conflict):
    """Your bank took back money for tokens that were used. Please settle it before you buy more.
    Nothing was charged."""

    code = "debt_outstanding"


def start_checkout(
    *,
    organisation: Organisation,
    user: User,
    pack: Pack,
    currency: str,
    quantity: int,
    idempotency_key: str,
    purchase_reference: str = "",
    terms: str = "",
    purchase_request: PurchaseRequest | None = None,
    by_transfer: bool = False,
    actor: Actor | None = None,
    now: datetime,
) -> Order:
    """The order of this key: made now, or by an earlier call with the same content.

    ``terms`` is the digest of the offer that the buyer saw (``Offer.terms``); an order is only
    made under those. The order stays a draft until ``open_payment``. ``purchase_request`` is what
    it approves, in the same commit. ``by_transfer``: the buyer will transfer the money to our bank.

    Raises IdempotencyKeyReused, OfferChanged, TooManyOpenOrders, PackUnavailable,
    QuantityRejected, IdempotencyKeyRejected, PurchaseReferenceRejected, PaymentsUnavailable,
    DebtOutstanding, LedgerUnguarded, PurchaseDecided.
    """
    ledger.refuse_when_unguarded()
    _refuse_debtors(organisation)
    actor = actor or Actor(id=user.public_id, label=user.email)
    _require_text(idempotency_key, 1, _MAX_KEY_LENGTH, IdempotencyKeyRejected)
    _require_text(purchase_reference, 0, _MAX_REFERENCE_LENGTH, PurchaseReferenceRejected)
    request_hash = _hash_request(
        pack, currency, quantity, purchase_reference, purchase_request, by_transfer=by_transfer
    )
    # Asked first: a repeated request gets its order even if the pack has changed since.
    earlier = Order.objects.filter(
        organisation=organisation, idempotency_key=idempotency_key
    ).first()
    if earlier is not None:
        return _require_same(earlier, request_hash)
    provider = get_transfer_provider() if by_transfer else get_default_provider()
    offer = make_offer(pack=pack, currency=currency, quantity=quantity)
    if terms and terms != offer.terms:
        raise OfferChanged
    draft = Order(
        organisation=organisation,
        ordered_by=user,
        idempotency_key=idempotency_key,
        request_hash=request_hash,
        purchase_reference=purchase_reference,
        livemode=provider.livemode,
        provider=provider.name,
        created_at=now,
        expires_at=now + _time_to_pay(by_transfer=by_transfer),
        **snapshot_of(offer),
    )
    with transaction.atomic(durable=True):
        asked = purchase_request and purchase_requests.lock_request(purchase_request)
        if Order.objects.open().filter(organisation=organisation).count() >= MAX_OPEN_ORDERS:
            raise TooManyOpenOrders
        # Of two that arrive together one inserts; the other waits for it and reads its row.
        Order.objects.bulk_create([draft], ignore_conflicts=True)
        order = Order.objects.get(organisation=organisation, idempotency_key=idempotency_key)
        if order.public_id == draft.public_id:
            accounts.record_audit(
                organisation=organisation,
                actor=actor,
                action="order.started",
                target_id=order.public_id,
                target_label=order.pack_name,
                after={
                    "amount_minor": order.amount_minor,
                    "currency": order.currency,
                    "quantity": order.quantity,
                },
                now=now,
            )
            if asked is not None:
                purchase_requests.approve_purchase(
                    asked=asked, order=order, user=user, actor=actor, now=now
                )
    return _require_same(order, request_hash)


def open_payment(*, order: Order, now: datetime) -> str:
    """The address of the pay page: of the session there is, or of a new one.

    Goes over the network, so never inside a transaction. The buyer comes back to SITE_URL,
    whatever host the request named. Raises OrderClosed, PaymentRefused, DebtOutstanding,
    LedgerUnguarded, and PaymentsUnavailable: then the attempt stays as it is, and the next call
    repeats it under the same key.
    """
    ledger.refuse_when_unguarded()
    _refuse_debtors(order.organisation)
    provider = get_payment_provider(order.provider)
    attempt = attempts.begin_attempt(order_pk=order.pk, now=now)
    if attempt is None:
        raise OrderClosed
    if attempt.pay_url:
        return attempt.pay_url
    request = SessionRequest.from_parameters(attempt.parameters)
    try:
        session = provider.create_session(request, idempotency_key=attempt.idempotency_key)
    except PaymentRefused as refusal:
        attempts.refuse_attempt(attempt_pk=attempt.pk, code=refusal.code)
        raise
    if not attempts.record_session(attempt_pk=attempt.pk, session=session):
        # Cancelled while the call was under way: nobody was sent there, nobody should pay.
        provider.expire_session(session.session_id)
        raise OrderClosed
    return session.pay_url


def cancel_order(*, order: Order, actor: Actor, now: datetime) -> Order:
    """Close an order that nobody has paid, its session at the provider first.

    Raises OrderClosed when it was paid meanwhile (it is then credited), when a payment is under
    way, or when it is already closed.
    """
    if not order.is_open or order.is_charging:
        raise OrderClosed
    closed = attempts.close_session(order=order)
    if closed.blocks:
        credited = settlement.settle_order(order_public_id=order.public_id, now=now)
        raise OrderClosed(_blocking_reason(credited))
    cancelled = attempts.close_order(
        order_pk=order.pk, closed=closed, status=OrderStatus.CANCELLED, actor=actor, now=now
    )
    if cancelled is None:
        raise OrderClosed
    return cancelled


def _refuse_debtors(organisation: Organisation) -> None:
    """Who owes buys nothing: the new tokens would be frozen with the others."""
    if ledger_selectors.get_debt(owner_key=organisation.public_id, unit=PURCHASE_UNIT):
        raise DebtOutstanding(
            _("Your bank took back a payment. Please settle it first. Nothing was charged.")
        )


def _blocking_reason(credited: bool) -> object:
    if credited:
        return _("This order has just been paid, so it cannot be cancelled.")
    return _("A payment for this order is under way, so it cannot be cancelled now.")


def _require_text(text: str, shortest: int, longest: int, refusal: type[Rejected]) -> None:
    if not shortest <= len(text) <= longest or not text.isprintable():
        raise refusal


def _require_same(order: Order, request_hash: str) -> Order:
    if order.request_hash != request_hash:
        raise IdempotencyKeyReused
    return order


def _hash_request(
    pack: Pack,
    currency: str,
    quantity: int,
    purchase_reference: str,
    asked: PurchaseRequest | None,
    *,
    by_transfer: bool,
) -> str:
    content = [pack.public_id, currency, quantity, purchase_reference]
    content += [asked.public_id] if asked else []
    content += [BY_TRANSFER] if by_transfer else []
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _time_to_pay(*, by_transfer: bool) -> timedelta:
    if by_transfer:
        return timedelta(days=settings.TRANSFER_DAYS)
    return timedelta(minutes=settings.ORDER_MINUTES)


def snapshot_of(offer: Offer) -> dict[str, object]:
    """What was offered, in the buyer's language: later changes of the pack don't touch it."""
    return {
        "pack": offer.pack,
        "pack_name": offer.name,
        "quantity": offer.quantity,
        "paid_millitokens": offer.paid_millitokens,
        "bonus_millitokens": offer.bonus_millitokens,
        "tariff_millitokens": offer.tariff_millitokens,
        "expires_after_days": offer.expires_after_days,
        "scope": offer.scope,
        "currency": offer.currency,
        "amount_minor": offer.amount_minor,
        "tax_minor": offer.tax_minor,
        "tax_name": offer.tax_name,
        "tax_basis_points": offer.tax_basis_points,
    }
