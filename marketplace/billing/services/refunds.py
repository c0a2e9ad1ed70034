"""Refund requests: asked by the buyer, decided by staff, sent to the payment provider.

A request takes its tokens out of the wallet at once (docs/adr/0111), by the same recomputation that
follows what the provider says. Declined or failed, they come back by it too.
"""

from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts import services as accounts
from accounts.models import User
from accounts.services import SYSTEM_ACTOR, Actor
from marketplace.billing.models import Order, RefundRequest, RequestState
from marketplace.billing.money_back import RefundOrder
from marketplace.billing.payment_provider import PaymentRefused
from marketplace.billing.providers import get_payment_provider
from marketplace.billing.refund_rule import quote_refund
from marketplace.billing.services import attempts, reversing, telling
from marketplace.ledger import services as ledger
from portal.kernel.errors import Conflict, DomainError, Rejected
from portal.kernel.quantities import MILLITOKENS_PER_TARIFF_UNIT
from portal.kernel.waking import wake_on_commit

_log = structlog.get_logger(__name__)

# A call whose outcome is unknown is made again after so long.
SEND_AGAIN_AFTER = timedelta(minutes=2)


class RefundNotPossible(Rejected):
    """This order cannot be refunded now; nothing was changed."""

    code = "refund_not_possible"
    sentence = _("This order cannot be refunded now. Nothing was changed.")


class RefundChanged(Conflict):
    """What can be refunded has changed since it was shown. Nothing was asked for; look again."""

    code = "refund_changed"
    sentence = _("What can be refunded has changed since it was shown. Please look again.")


class RefundDecided(Conflict):
    """This refund request was decided already; nothing was changed."""

    code = "refund_decided"
    sentence = _("This refund was decided already. Nothing was changed.")


class AnotherPersonNeeded(Rejected):
    """A second person has to agree to this refund. Nothing was changed."""

    code = "another_person_needed"
    sentence = _("Another person has to agree to this refund. Nothing was changed.")


def request_refund(
    *, order: Order, user: User, expected_minor: int, reason: str, actor: Actor, now: datetime
) -> RefundRequest:
    """Ask for what is unused. ``expected_minor`` is the amount that the person was shown.

    Request, tokens set aside and audit row are one commit, or join the caller's. Raises
    RefundNotPossible (its ``data`` says why), RefundChanged, LedgerUnguarded.
    """
    ledger.refuse_when_unguarded()
    with transaction.atomic():
        locked = attempts.lock_order(order.pk)
        quote = quote_refund(order=locked, now=now)
        if quote.refusal:
            raise RefundNotPossible(data={"reason": quote.refusal})
        if quote.amount_minor != expected_minor:
            raise RefundChanged
        request = RefundRequest.objects.create(
            order=locked,
            requested_by=user,
            amount_minor=quote.amount_minor,
            paid_millitokens=quote.paid_millitokens,
            bonus_millitokens=quote.bonus_millitokens,
            reason=reason,
            requested_at=now,
        )
        reversing.follow_in_ledger(order=locked, now=now)
        _audit(request, actor, "refund.requested", now=now)
    return request


def approve_refund(*, request: RefundRequest, user: User, actor: Actor, now: datetime) -> bool:
    """True when the money is to be sent; False when a second person has to agree yet.

    Raises RefundDecided, AnotherPersonNeeded (of who asked, or who agreed first).
    """
    with transaction.atomic(durable=True):
        locked = _lock_request(request, RequestState.REQUESTED)
        if user.pk in (locked.requested_by_id, locked.seconded_by_id):
            raise AnotherPersonNeeded
        if needs_two(locked) and locked.seconded_by_id is None:
            locked.seconded_by = user
            locked.save(update_fields=["seconded_by"])
            _audit(locked, actor, "refund.seconded", now=now)
            return False
        _decide(locked, RequestState.APPROVED, user, now=now)
        _audit(locked, actor, "refund.approved", now=now)
        telling.tell_of_refund(request=locked, outcome="approved", now=now)
        wake_on_commit("billing.send_refund", locked.public_id)
    return True


def decline_refund(
    *, request: RefundRequest, user: User, note: str, actor: Actor, now: datetime
) -> None:
    """The tokens go back into their lots. Raises RefundDecided, ValueError without a note."""
    if not note:
        raise ValueError("whoever is declined is told why")
    with transaction.atomic(durable=True):
        locked = _lock_request(request, RequestState.REQUESTED)
        locked.note = note
        _decide(locked, RequestState.DECLINED, user, now=now)
        reversing.follow_in_ledger(order=locked.order, now=now)
        _audit(locked, actor, "refund.declined", now=now)
        telling.tell_of_refund(request=locked, outcome="declined", now=now)


def withdraw_refund(*, request: RefundRequest, actor: Actor, now: datetime) -> None:
    """By the buyer, before we decided: its tokens go back into their lots. Raises RefundDecided."""
    with transaction.atomic(durable=True):
        locked = _lock_request(request, RequestState.REQUESTED)
        locked.state, locked.decided_at = RequestState.WITHDRAWN, now
        locked.save(update_fields=["state", "decided_at"])
        reversing.follow_in_ledger(order=locked.order, now=now)
        _audit(locked, actor, "refund.withdrawn", now=now)


def needs_two(request: RefundRequest) -> bool:
    """Above the limit, by what the money is worth in the tariff currency."""
    order = request.order
    worth = order.tariff_millitokens * request.amount_minor // order.amount_minor
    return worth > settings.REFUND_SECOND_PERSON_ABOVE * MILLITOKENS_PER_TARIFF_UNIT


def send_refund(*, request_public_id: str, now: datetime) -> None:
    """Make the call that sends an approved refund, or make it again; then look what came of it.

    Over the network, so never inside a transaction. Raises PaymentsUnavailable: the request stays
    approved, and the sweep makes the very same call again.
    """
    request = RefundRequest.objects.select_related("order").get(public_id=request_public_id)
    mine = RefundRequest.objects.filter(
        Q(sent_at__isnull=True) | Q(sent_at__lte=now - SEND_AGAIN_AFTER),
        pk=request.pk,
        state=RequestState.APPROVED,
    ).update(sent_at=now)
    if not mine:
        return
    order = request.order
    try:
        get_payment_provider(order.provider).send_refund(
            RefundOrder(
                payment_id=order.payment_reference,
                amount_minor=request.amount_minor,
                currency=order.currency,
                request_id=request.public_id,
                order_id=order.public_id,
            )
        )
    except PaymentRefused as refusal:
        _fail(request, refusal.code, now=now)
        return
    reversing.settle_reversals(order_public_id=order.public_id, now=now)


def send_due_refunds(*, now: datetime) -> None:
    """Approved ones that no worker has sent, or whose outcome is unknown."""
    due = RefundRequest.objects.filter(
        Q(sent_at__isnull=True) | Q(sent_at__lte=now - SEND_AGAIN_AFTER),
        state=RequestState.APPROVED,
    )
    for request in due.order_by(F("sent_at").asc(nulls_first=True))[:50]:
        try:
            send_refund(request_public_id=request.public_id, now=now)
        except DomainError as error:
            _log.warning("refund_not_sent", request=request.public_id, code=error.code)


def _fail(request: RefundRequest, code: str, *, now: datetime) -> None:
    """The provider will never send it: the tokens go back, and staff see why."""
    with transaction.atomic(durable=True):
        order = attempts.lock_order(request.order_id)
        locked = order.refund_requests.get(pk=request.pk)
        if locked.state != RequestState.APPROVED:
            return
        locked.state, locked.failure_code = RequestState.FAILED, code[:60]
        locked.save(update_fields=["state", "failure_code"])
        reversing.follow_in_ledger(order=order, now=now)
        _audit(locked, SYSTEM_ACTOR, "refund.failed", now=now)
        telling.tell_of_refund(request=locked, outcome="failed", now=now)


def _lock_request(request: RefundRequest, state: RequestState) -> RefundRequest:
    """Lock its order first, as everybody does, then read it again."""
    order = attempts.lock_order(request.order_id)
    locked = order.refund_requests.get(pk=request.pk)
    locked.order = order
    if locked.state != state:
        raise RefundDecided
    return locked


def _decide(request: RefundRequest, state: RequestState, user: User, *, now: datetime) -> None:
    request.state, request.decided_by, request.decided_at = state, user, now
    request.save(update_fields=["state", "decided_by", "decided_at", "note"])


def _audit(request: RefundRequest, actor: Actor, action: str, *, now: datetime) -> None:
    order = request.order
    accounts.record_audit(
        organisation=order.organisation,
        actor=actor,
        action=action,
        target_id=order.public_id,
        target_label=order.pack_name,
        after={"amount_minor": request.amount_minor, "currency": order.currency},
        now=now,
    )
