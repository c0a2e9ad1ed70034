"""Fapiao: asked for by the buyer, issued by staff in the tax authority's system, recorded here.

Nothing of it moves money, so nothing is posted. What is to be taken back in red is recomputed from
the orders, never added up from refunds (docs/adr/0151). Locks: orders by id, then the fapiao, then
the number.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime

from django.db import transaction
from django.db.models import Sum
from django.utils.translation import gettext_lazy as _

from accounts import services as accounts
from accounts.models import Organisation, User
from accounts.services import Actor
from marketplace.billing.fapiao import list_fapiao_orders
from marketplace.billing.models import (
    FAPIAO_CURRENCY,
    ISSUED_STATES,
    Fapiao,
    FapiaoLine,
    FapiaoState,
    Order,
    RedLetter,
    kept_minor,
)
from marketplace.billing.services import attempts, telling
from marketplace.billing.services.fapiao_details import (
    FapiaoDetails,
    FapiaoRejected,
    clean_details,
)
from marketplace.billing.services.fapiao_numbers import check_day, clean_number, refuse_used
from portal.kernel.errors import Conflict

MAX_FAPIAO_ORDERS = 50


class FapiaoNotPossible(Conflict):
    """An order has a fapiao already, is not paid in yuan, or nothing of it was kept."""

    code = "fapiao_not_possible"
    sentence = _(
        "One of these orders cannot have a fapiao now: it has one, is not paid in yuan, or has "
        "gone back. Nothing was changed."
    )


class FapiaoDecided(Conflict):
    """This fapiao is not in the state that the step begins in."""

    code = "fapiao_decided"
    sentence = _("This fapiao was decided or withdrawn already. Nothing was changed.")


class FapiaoChanged(Conflict):
    """The amount has changed since it was shown: something went back, or came back."""

    code = "fapiao_changed"
    sentence = _("The amount has changed since it was shown. Please look again.")


def request_fapiao(
    *,
    organisation: Organisation,
    user: User,
    orders: Sequence[str],
    details: FapiaoDetails,
    actor: Actor,
    now: datetime,
) -> Fapiao:
    """One fapiao for these orders (public ids). Raises FapiaoRejected, FapiaoNotPossible."""
    fields = clean_details(details)
    wanted = set(orders)
    if not 1 <= len(wanted) <= MAX_FAPIAO_ORDERS:
        raise FapiaoRejected(_("Choose at least one order."), data={"field": "orders"})
    with transaction.atomic(durable=True):
        keys = Order.objects.filter(organisation=organisation, public_id__in=wanted)
        locked = _lock_orders(keys.values_list("pk", flat=True))
        able = list_fapiao_orders(organisation=organisation).filter(pk__in=[o.pk for o in locked])
        # What moved no money is never mixed with what did.
        if able.count() != len(wanted) or len({order.livemode for order in locked}) != 1:
            raise FapiaoNotPossible
        fapiao = Fapiao.objects.create(
            organisation=organisation, requested_by=user, requested_at=now, **fields
        )
        FapiaoLine.objects.bulk_create(FapiaoLine(fapiao=fapiao, order=one) for one in locked)
        _audit(fapiao, actor, "fapiao.requested", now=now)
    return fapiao


def withdraw_fapiao(*, fapiao: Fapiao, actor: Actor, now: datetime) -> None:
    """By the buyer, before we decided. Raises FapiaoDecided."""
    with transaction.atomic(durable=True):
        locked, _orders = _lock(fapiao, FapiaoState.REQUESTED)
        _end(locked, FapiaoState.WITHDRAWN, now=now)
        _audit(locked, actor, "fapiao.withdrawn", now=now)


def decline_fapiao(*, fapiao: Fapiao, user: User, note: str, actor: Actor, now: datetime) -> None:
    """With words for the buyer. Raises FapiaoDecided, FapiaoRejected without a note."""
    if not note.strip():
        raise FapiaoRejected(_("Say why, so that the buyer understands."), data={"field": "note"})
    with transaction.atomic(durable=True):
        locked, _orders = _lock(fapiao, FapiaoState.REQUESTED)
        locked.note, locked.decided_by = note.strip(), user
        _end(locked, FapiaoState.DECLINED, now=now)
        _audit(locked, actor, "fapiao.declined", now=now)
        telling.tell_of_fapiao(fapiao=locked, outcome="declined", now=now)


def issue_fapiao(
    *,
    fapiao: Fapiao,
    user: User,
    number: str,
    issued_on: date,
    expected_minor: int,
    actor: Actor,
    now: datetime,
) -> None:
    """Record what was issued. ``expected_minor`` is the amount that staff were shown and typed.

    Raises FapiaoDecided, FapiaoRejected, FapiaoChanged.
    """
    number = clean_number(number)
    check_day(issued_on, now)
    with transaction.atomic(durable=True):
        locked, orders = _lock(fapiao, FapiaoState.REQUESTED)
        if sum(map(kept_minor, orders)) != expected_minor:
            raise FapiaoChanged
        if not expected_minor:
            raise FapiaoRejected(_("All of it has gone back, so there is nothing to issue."))
        refuse_used(number)
        for line in locked.lines.all():
            line.amount_minor = kept_minor(next(o for o in orders if o.pk == line.order_id))
            line.save(update_fields=["amount_minor"])
        locked.state, locked.amount_minor = FapiaoState.ISSUED, expected_minor
        locked.number, locked.issued_on = number, issued_on
        locked.decided_by, locked.decided_at = user, now
        locked.save()
        _audit(locked, actor, "fapiao.issued", now=now)
        telling.tell_of_fapiao(fapiao=locked, outcome="issued", now=now)


def record_red_letter(
    *,
    fapiao: Fapiao,
    user: User,
    number: str,
    issued_on: date,
    expected_minor: int,
    actor: Actor,
    now: datetime,
) -> None:
    """All that is due, in one red-letter fapiao. One that is wholly red frees its orders.

    Raises FapiaoDecided, FapiaoRejected, FapiaoChanged.
    """
    number = clean_number(number)
    check_day(issued_on, now)
    with transaction.atomic(durable=True):
        locked, _orders = _lock(fapiao, FapiaoState.RED_LETTER_DUE)
        if locked.red_due_minor != expected_minor:
            raise FapiaoChanged
        refuse_used(number)
        RedLetter.objects.create(
            fapiao=locked,
            number=number,
            issued_on=issued_on,
            amount_minor=expected_minor,
            recorded_by=user,
            recorded_at=now,
        )
        _follow(locked)
        if _sum_red(locked) == locked.amount_minor:
            locked.lines.update(is_live=False)
        _audit(locked, actor, "fapiao.red_lettered", now=now)
        telling.tell_of_fapiao(fapiao=locked, outcome=f"red:{number}", now=now)


def follow_fapiao(*, order: Order) -> None:
    """Within the order's lock and commit, after its ``reversed_minor`` has changed."""
    issued = Fapiao.objects.filter(state__in=ISSUED_STATES)
    for fapiao in issued.filter(lines__order=order, lines__is_live=True):
        _follow(Fapiao.objects.select_for_update().get(pk=fapiao.pk))


def _follow(fapiao: Fapiao) -> None:
    """State and what is due in red, from what is kept of its orders now."""
    lines = fapiao.lines.select_related("order")
    gone = sum(max(0, (line.amount_minor or 0) - kept_minor(line.order)) for line in lines)
    red = _sum_red(fapiao)
    fapiao.red_due_minor = max(0, gone - red)
    if fapiao.red_due_minor:
        fapiao.state = FapiaoState.RED_LETTER_DUE
    else:
        fapiao.state = FapiaoState.RED_LETTERED if red else FapiaoState.ISSUED
    fapiao.save(update_fields=["state", "red_due_minor"])


def _sum_red(fapiao: Fapiao) -> int:
    return fapiao.red_letters.aggregate(total=Sum("amount_minor"))["total"] or 0


def _lock(fapiao: Fapiao, state: FapiaoState) -> tuple[Fapiao, list[Order]]:
    """Its orders first, as whoever follows a refund does, then itself."""
    orders = _lock_orders(fapiao.lines.values_list("order_id", flat=True))
    locked = Fapiao.objects.select_for_update().get(pk=fapiao.pk)
    if locked.state != state:
        raise FapiaoDecided
    return locked, orders


def _lock_orders(keys: Iterable[int]) -> list[Order]:
    return [attempts.lock_order(key) for key in sorted(keys)]


def _end(fapiao: Fapiao, state: FapiaoState, *, now: datetime) -> None:
    """Without a number: its orders may be asked for again."""
    fapiao.state, fapiao.decided_at = state, now
    fapiao.save(update_fields=["state", "decided_at", "decided_by", "note"])
    fapiao.lines.update(is_live=False)


def _audit(fapiao: Fapiao, actor: Actor, action: str, *, now: datetime) -> None:
    after: dict[str, object] = {"title": fapiao.title}
    if fapiao.amount_minor is not None:
        after |= {"amount_minor": fapiao.amount_minor, "currency": FAPIAO_CURRENCY}
        after["number"] = fapiao.number
    accounts.record_audit(
        organisation=fapiao.organisation,
        actor=actor,
        action=action,
        target_id=fapiao.public_id,
        target_label=fapiao.title,
        after=after,
        now=now,
    )
