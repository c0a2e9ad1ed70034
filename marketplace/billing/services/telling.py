"""Telling people what was asked for and what became of it, in the commit of it."""

from datetime import datetime

from accounts import services as accounts
from accounts.models import NoticeKind
from marketplace.billing.models import Fapiao, Order, PurchaseRequest, RefundRequest


def tell_of_payment(*, order: Order, now: datetime) -> None:
    """Once for each order."""
    accounts.announce_event(
        organisation=order.organisation,
        kind=NoticeKind.ORDER_PAID,
        subject=order.reference,
        params={**_facts(order), "millitokens": order.total_millitokens},
        now=now,
    )


def tell_of_failure(*, order: Order, session_id: str, now: datetime) -> None:
    """Once for each session at the provider, since a declined payment may be tried again."""
    accounts.announce_event(
        organisation=order.organisation,
        kind=NoticeKind.ORDER_FAILED,
        subject=f"{order.reference}:{session_id}",
        params=_facts(order),
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
