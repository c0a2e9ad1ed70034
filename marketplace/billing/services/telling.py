"""Telling people what was asked for and what became of it, in the commit of it."""

from datetime import datetime

from accounts import services as accounts
from accounts.models import NoticeKind
from marketplace.billing.models import (
    Fapiao,
    Order,
    PurchaseRequest,
    RefundRequest,
    RuleEnd,
    TopUpRule,
)
from marketplace.billing.top_up_state import begin_of_month


def tell_of_payment(*, order: Order, now: datetime) -> None:
    """Once for each order."""
    accounts.announce_event(
        organisation=order.organisation,
        kind=NoticeKind.TOP_UP_PAID if order.top_up_id else NoticeKind.ORDER_PAID,
        subject=order.reference,
        params={**_facts(order), "millitokens": order.total_millitokens},
        now=now,
    )


def tell_of_failure(*, order: Order, session_id: str, now: datetime) -> None:
    """Once for each session at the provider, since a declined payment may be tried again."""
    if order.top_up_id:
        tell_of_top_up(order=order, outcome="declined", now=now)
        return
    accounts.announce_event(
        organisation=order.organisation,
        kind=NoticeKind.ORDER_FAILED,
        subject=f"{order.reference}:{session_id}",
        params=_facts(order),
        now=now,
    )


def tell_of_top_up(*, order: Order, outcome: str, now: datetime) -> None:
    """Once for each outcome of an order: "authenticate", "declined"."""
    accounts.announce_event(
        organisation=order.organisation,
        kind=NoticeKind.TOP_UP_FAILED,
        subject=f"{order.reference}:{outcome}",
        params={**_facts(order), "outcome": outcome},
        now=now,
    )


def tell_of_top_up_end(*, rule: TopUpRule, reason: RuleEnd, now: datetime) -> None:
    """That a rule is off without anybody having asked for it; the reason is the outcome."""
    accounts.announce_event(
        organisation=rule.organisation,
        kind=NoticeKind.TOP_UP_FAILED,
        subject=f"{rule.public_id}:ended",
        params={
            "amount_minor": rule.amount_minor,
            "currency": rule.currency,
            "outcome": str(reason),
        },
        now=now,
    )


def tell_of_cap(*, rule: TopUpRule, now: datetime) -> None:
    """That a rule would charge more than its most in this month; once a month."""
    accounts.announce_event(
        organisation=rule.organisation,
        kind=NoticeKind.TOP_UP_FAILED,
        subject=f"{rule.public_id}:cap:{begin_of_month(rule.timezone, now=now):%Y-%m}",
        params={"amount_minor": rule.cap_minor, "currency": rule.currency, "outcome": "cap"},
        now=now,
    )


def tell_of_refund(*, request: RefundRequest, outcome: str, now: datetime) -> None:
    """Once for each outcome of a request: "approved", "declined", "failed"."""
    accounts.announce_event(
        organisation=request.order.organisation,
        kind=NoticeKind.REFUND_DECIDED,
        subject=f"{request.public_id}:{outcome}",
        params={
            **_facts(request.order),
            "amount_minor": request.amount_minor,
            "outcome": outcome,
        },
        now=now,
    )


def tell_of_fapiao(*, fapiao: Fapiao, outcome: str, now: datetime) -> None:
    """Once for each outcome: "issued", "declined", "red:" and the number of a red letter."""
    kind, _colon, _number = outcome.partition(":")
    accounts.announce_event(
        organisation=fapiao.organisation,
        kind=NoticeKind.FAPIAO_DECIDED,
        subject=f"{fapiao.public_id}:{outcome}",
        params={"title": fapiao.title, "outcome": kind},
        now=now,
    )


def tell_of_purchase_request(*, request: PurchaseRequest, now: datetime) -> None:
    """Everybody who may buy, once for each request."""
    accounts.announce_event(
        organisation=request.organisation,
        kind=NoticeKind.PURCHASE_ASKED,
        subject=request.public_id,
        params={**_wish(request), "person": str(request.requested_by)},
        now=now,
    )


def tell_of_purchase_decision(*, request: PurchaseRequest, now: datetime) -> None:
    """Only who asked, once."""
    accounts.announce_event(
        organisation=request.organisation,
        kind=NoticeKind.PURCHASE_DECIDED,
        subject=request.public_id,
        params={**_wish(request), "outcome": str(request.state)},
        person=request.requested_by,
        now=now,
    )


def _wish(request: PurchaseRequest) -> dict[str, str | int]:
    return {
        "request": request.public_id,
        "pack": request.pack.name,
        "quantity": request.quantity,
        "amount_minor": request.amount_minor,
        "currency": request.currency,
    }


def _facts(order: Order) -> dict[str, str | int]:
    return {
        "order": order.public_id,
        "pack": order.pack_name,
        "amount_minor": order.amount_minor,
        "currency": order.currency,
    }
