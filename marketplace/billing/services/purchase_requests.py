"""Purchase requests: asked by a member, declined by owners or billing, or decided by an order.

Nobody approves in words: ``start_checkout`` takes the request along, and the order that it makes is
the approval. So two who approve at once, or twice, make one order.
"""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts import services as accounts
from accounts.models import Organisation, User
from accounts.services import Actor
from marketplace.billing.models import Order, Pack, PurchaseRequest, PurchaseState
from marketplace.billing.offers import make_offer
from marketplace.billing.services import telling
from portal.kernel.errors import Conflict

MAX_OPEN_REQUESTS = 10


class PurchaseDecided(Conflict):
    """This purchase request was decided or withdrawn already; nothing was changed."""

    code = "purchase_decided"
    sentence = _("This request was decided or withdrawn already. Nothing was changed.")


class TooManyPurchaseRequests(Conflict):
    """More undecided requests than one person may have in an organisation."""

    code = "too_many_purchase_requests"
    sentence = _("Too many of your requests wait for a decision. Withdraw one of them first.")


class FormAlreadySent(Conflict):
    """The form's key stands for a request with other content."""

    code = "form_already_sent"
    sentence = _("Another request was already made from this form. Nothing new was asked for.")


def request_purchase(
    *,
    organisation: Organisation,
    user: User,
    pack: Pack,
    currency: str,
    quantity: int,
    note: str,
    form_key: str,
    actor: Actor,
    now: datetime,
) -> PurchaseRequest:
    """The request of this form: made now, or by an earlier submit with the same content.

    Raises PackUnavailable, QuantityRejected, TooManyPurchaseRequests, FormAlreadySent.
    """
    offer = make_offer(pack=pack, currency=currency, quantity=quantity)
    mine = PurchaseRequest.objects.filter(organisation=organisation, requested_by=user)
    draft = PurchaseRequest(
        organisation=organisation,
        requested_by=user,
        form_key=form_key,
        pack=pack,
        quantity=quantity,
        currency=currency,
        amount_minor=offer.amount_minor,
        note=note,
        requested_at=now,
    )
    with transaction.atomic(durable=True):
        earlier = mine.filter(form_key=form_key)
        if not earlier.exists() and mine.open().count() >= MAX_OPEN_REQUESTS:
            raise TooManyPurchaseRequests
        # Of two that arrive together one inserts; the other waits for it and reads its row.
        PurchaseRequest.objects.bulk_create([draft], ignore_conflicts=True)
        request = mine.select_related("pack").get(form_key=form_key)
        if _content_of(request) != _content_of(draft):
            raise FormAlreadySent
        if request.public_id == draft.public_id:
            _audit(request, actor, "purchase.requested", now=now)
            telling.tell_of_purchase_request(request=request, now=now)
    return request


def decline_purchase(
    *, request: PurchaseRequest, user: User, answer: str, actor: Actor, now: datetime
) -> None:
    """Raises PurchaseDecided; ValueError without an answer."""
    if not answer:
        raise ValueError("whoever is declined is told why")
    with transaction.atomic(durable=True):
        locked = _lock_undecided(request)
        locked.state, locked.answer = PurchaseState.DECLINED, answer
        locked.decided_by, locked.decided_at = user, now
        locked.save(update_fields=["state", "answer", "decided_by", "decided_at"])
        _audit(locked, actor, "purchase.declined", now=now)
        telling.tell_of_purchase_decision(request=locked, now=now)


def withdraw_purchase(*, request: PurchaseRequest, actor: Actor, now: datetime) -> None:
    """By who asked, before anybody decided. Raises PurchaseDecided."""
    with transaction.atomic(durable=True):
        locked = _lock_undecided(request)
        locked.state, locked.decided_at = PurchaseState.WITHDRAWN, now
        locked.save(update_fields=["state", "decided_at"])
        _audit(locked, actor, "purchase.withdrawn", now=now)


def lock_request(request: PurchaseRequest) -> PurchaseRequest:
    """The request as it is by now, held until the end of the transaction."""
    return (
        PurchaseRequest.objects.select_for_update(of=("self",))
        .select_related("organisation", "requested_by", "pack")
        .get(pk=request.pk)
    )


def approve_purchase(
    *, asked: PurchaseRequest, order: Order, user: User, actor: Actor, now: datetime
) -> None:
    """In the commit that makes the order, of a request from ``lock_request``. Raises
    PurchaseDecided: then there must be no order either."""
    if not asked.waits:
        raise PurchaseDecided
    asked.state, asked.order = PurchaseState.ORDERED, order
    asked.decided_by, asked.decided_at = user, now
    asked.save(update_fields=["state", "order", "decided_by", "decided_at"])
    _audit(asked, actor, "purchase.ordered", now=now)
    telling.tell_of_purchase_decision(request=asked, now=now)


def _lock_undecided(request: PurchaseRequest) -> PurchaseRequest:
    locked = lock_request(request)
    if not locked.waits:
        raise PurchaseDecided
    return locked


def _content_of(request: PurchaseRequest) -> tuple[object, ...]:
    return request.pack_id, request.quantity, request.currency, request.note


def _audit(request: PurchaseRequest, actor: Actor, action: str, *, now: datetime) -> None:
    accounts.record_audit(
        organisation=request.organisation,
        actor=actor,
        action=action,
        target_id=request.public_id,
        target_label=request.pack.name,
        after={
            "amount_minor": request.amount_minor,
            "currency": request.currency,
            "quantity": request.quantity,
        },
        now=now,
    )
