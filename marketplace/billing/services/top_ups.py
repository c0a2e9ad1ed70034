"""Automatic top-ups: who needs one, the order that is made for it, and the charge of its card.

A top-up is an order like any other and is credited by ``settle_order`` alone. Whoever dies on the
way leaves an order with an attempt; the next pass makes the very same call again.
"""

from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import translation

from accounts import services as accounts
from accounts.services import SYSTEM_ACTOR
from marketplace.billing.models import (
    Attempt,
    AttemptState,
    Order,
    OrderStatus,
    RuleEnd,
    TopUpRule,
)
from marketplace.billing.offers import Offer, PackUnavailable, QuantityRejected, make_offer
from marketplace.billing.payment_provider import PaymentRefused
from marketplace.billing.providers import get_payment_provider
from marketplace.billing.saved_cards import AuthenticationNeeded, ChargeRequest
from marketplace.billing.services import attempts, cards, settlement, telling, top_up_rules
from marketplace.billing.services.checkout import snapshot_of
from marketplace.billing.top_up_state import (
    FAILURES_ALLOWED,
    count_failures,
    find_open_order,
    judge_rule,
)
from marketplace.ledger import services as ledger
from portal.kernel.errors import DomainError
from portal.kernel.public_ids import new_public_id

_log = structlog.get_logger(__name__)

# A worker that died is succeeded after so long: more than all the tries of a charge take.
LEASE = timedelta(minutes=3)
# How long the holder of a card has to confirm; a provider's page lives a day at most.
HOLDER_HAS = timedelta(hours=22)


def run_due_top_ups(*, now: datetime) -> int:
    """One pass over all rules that are on; how many orders were credited.

    Any number of passes may run at once: each rule is one worker's at a time.
    """
    credited = 0
    for rule in TopUpRule.objects.filter(ended_at__isnull=True).order_by("pk"):
        reason = judge_rule(rule, now=now).reason
        if reason == "cap":
            with transaction.atomic():
                telling.tell_of_cap(rule=rule, now=now)
        if reason not in ("", "in_flight", "failures") or not _claim(rule, now=now):
            continue
        try:
            credited += _advance(rule, now=now)
        except DomainError as error:
            _log.warning("top_up_not_advanced", rule=rule.public_id, code=error.code)
        except Exception:  # a bug of ours must not keep the other rules waiting
            _log.exception("top_up_crashed", rule=rule.public_id)
        finally:
            TopUpRule.objects.filter(pk=rule.pk, leased_until=now + LEASE).update(leased_until=None)
    cards.forget_removed_cards(now=now)
    return credited


def _claim(rule: TopUpRule, *, now: datetime) -> bool:
    free = Q(leased_until__isnull=True) | Q(leased_until__lte=now)
    return bool(TopUpRule.objects.filter(free, pk=rule.pk).update(leased_until=now + LEASE))


def _advance(rule: TopUpRule, *, now: datetime) -> bool:
    ledger.refuse_when_unguarded()
    order = find_open_order(rule.organisation) or _start_order(rule, now=now)
    credited = order is not None and _charge(order, now=now)
    if count_failures(rule) >= FAILURES_ALLOWED:
        with transaction.atomic(durable=True):
            top_up_rules.end_rule(rule=rule, reason=RuleEnd.FAILURES, now=now)
    return credited


def _start_order(rule: TopUpRule, *, now: datetime) -> Order | None:
    """The order and the attempt that charges for it, in one commit; None when none is due."""
    with transaction.atomic(durable=True):
        locked = (
            TopUpRule.objects.select_for_update(of=("self",))
            .select_related("organisation", "agreed_by", "card", "pack")
            .filter(pk=rule.pk, ended_at__isnull=True)
            .first()
        )
        if locked is None or judge_rule(locked, now=now).reason:
            return None
        with translation.override(locked.agreed_by.language):
            offer = _offer_of(locked)
            if offer is None or offer.terms != locked.terms:
                top_up_rules.end_rule(rule=locked, reason=RuleEnd.OFFER_CHANGED, now=now)
                return None
            order = _draft_order(locked, offer, now=now)
        # Of rules and workers at once one inserts; the UNIQUE on what is in flight sends the rest
        # away.
        Order.objects.bulk_create([order], ignore_conflicts=True)
        made = Order.objects.filter(public_id=order.public_id).first()
        if made is None:
            return None
        Attempt.objects.create(
            order=made,
            number=1,
            idempotency_key=f"{made.public_id}-1",
            is_charge=True,
            parameters=_make_charge(made, locked).as_parameters(),
            created_at=now,
        )
        accounts.record_audit(
            organisation=locked.organisation,
            actor=SYSTEM_ACTOR,
            action="order.started",
            target_id=made.public_id,
            target_label=made.pack_name,
            after={
                "amount_minor": made.amount_minor,
                "currency": made.currency,
                "quantity": made.quantity,
            },
            now=now,
        )
    return made


def _charge(order: Order, *, now: datetime) -> bool:
    """Make the call, or make it again, and act on its answer. True when the order is credited.

    Over the network. Raises PaymentsUnavailable: the attempt stays, the next pass repeats it.
    """
    attempt = order.attempts.filter(state__in=attempts.LIVE_ATTEMPT_STATES, is_charge=True).first()
    is_on = order.top_up is not None and order.top_up.ended_at is None
    if attempt is None or now >= order.expires_at or not is_on:
        # Waits for the holder, or no longer wanted: if it was charged, the sweep finds it.
        return False
    if attempt.state == AttemptState.CREATED:
        return settlement.settle_order(order_public_id=order.public_id, now=now)
    provider = get_payment_provider(order.provider)
    request = ChargeRequest.from_parameters(attempt.parameters)
    try:
        session = provider.charge_card(request, idempotency_key=attempt.idempotency_key)
    except AuthenticationNeeded:
        _ask_holder(attempt, now=now)
        return False
    except PaymentRefused as refusal:
        _note_refusal(attempt, refusal.code, now=now)
        return False
    attempts.record_session(attempt_pk=attempt.pk, session=session)
    return settlement.settle_order(
        order_public_id=order.public_id, object_id=session.session_id, now=now
    )


def _ask_holder(attempt: Attempt, *, now: datetime) -> None:
    """The order stays open for its pay page, and nothing else is charged meanwhile."""
    with transaction.atomic(durable=True):
        order = attempts.lock_order(attempt.order_id)
        if not _close_attempt(attempt, AttemptState.CLOSED, AuthenticationNeeded.code):
            return
        if order.status != OrderStatus.DRAFT:
            return
        order.failure_code = AuthenticationNeeded.code
        order.expires_at = now + HOLDER_HAS
        order.checked_at = now
        order.save(update_fields=["failure_code", "expires_at", "checked_at"])
        telling.tell_of_top_up(order=order, outcome="authenticate", now=now)


def _note_refusal(attempt: Attempt, code: str, *, now: datetime) -> None:
    with transaction.atomic(durable=True):
        order = attempts.lock_order(attempt.order_id)
        if not _close_attempt(attempt, AttemptState.REFUSED, code) or not order.is_open:
            return
        before = order.status
        order.status, order.failure_code = OrderStatus.FAILED, code[:60]
        order.checked_at = now
        order.save(update_fields=["status", "failure_code", "checked_at"])
        telling.tell_of_top_up(order=order, outcome="declined", now=now)
        accounts.record_audit(
            organisation=order.organisation,
            actor=SYSTEM_ACTOR,
            action="order.declined",
            target_id=order.public_id,
            target_label=order.pack_name,
            before={"status": before},
            after={"status": order.status},
            now=now,
        )


def _close_attempt(attempt: Attempt, state: AttemptState, error: str) -> bool:
    """Under the order's lock; False when somebody did so before."""
    return bool(
        Attempt.objects.filter(pk=attempt.pk, state=AttemptState.STARTED).update(
            state=state, error=error[:200]
        )
    )


def _offer_of(rule: TopUpRule) -> Offer | None:
    try:
        return make_offer(pack=rule.pack, currency=rule.currency, quantity=rule.quantity)
    except (PackUnavailable, QuantityRejected):
        return None


def _draft_order(rule: TopUpRule, offer: Offer, *, now: datetime) -> Order:
    provider = get_payment_provider(rule.card.provider)
    return Order(
        organisation=rule.organisation,
        ordered_by=rule.agreed_by,
        idempotency_key=f"top-up-{new_public_id('key')}",
        request_hash="",
        top_up=rule,
        livemode=provider.livemode,
        provider=provider.name,
        created_at=now,
        expires_at=now + timedelta(minutes=settings.ORDER_MINUTES),
        **snapshot_of(offer),
    )


def _make_charge(order: Order, rule: TopUpRule) -> ChargeRequest:
    return ChargeRequest(
        customer_id=rule.card.customer_id,
        card_id=rule.card.card_id,
        amount_minor=order.amount_minor,
        currency=order.currency,
        description=attempts.describe_order(order),
        metadata={"order": order.public_id, "organisation": order.organisation.public_id},
    )
