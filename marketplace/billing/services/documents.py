"""Issuing invoices and credit notes: numbered without gaps, in the commit of what they are about.

A number is taken by an UPDATE of its counter's row, which stays locked until that commit: numbers
are given out one after the other, and a rollback or a crash gives its number back. So take it
last, after the locks on order and wallet, and never wait for a network while holding it.
"""

from datetime import datetime

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F

from marketplace.billing.models import Document, DocumentCounter, DocumentKind, Order
from marketplace.billing.parties import describe_buyer, describe_seller
from marketplace.billing.services import attempts
from portal.kernel.waking import wake_on_commit

_log = structlog.get_logger(__name__)

TEST_SERIES = "TEST"
CREDIT_NOTE_SERIES = "CN"


def issue_invoice(*, order: Order, now: datetime) -> Document:
    """The next number of the year (UTC) and a snapshot of both parties.

    Inside the transaction that pays the order, which the caller has locked.
    """
    return _issue(
        order=order,
        kind=DocumentKind.INVOICE,
        amount_minor=order.amount_minor,
        tax_minor=order.tax_minor,
        now=now,
    )


def issue_credit_note(*, order: Order, reversed_minor: int, now: datetime) -> Document | None:
    """Note what was given back beyond what earlier notes say; None when there is nothing new.

    ``reversed_minor`` is a target, not an amount: all that was given back of the order so far, in
    its currency's minor unit, at most what was paid. So this is safe to repeat, in any order. Its
    tax is what is due on the target, rounded down, less what was noted: all of it in the end.

    Inside the caller's transaction; locks the order. Call it for what is final (a refund that
    succeeded, a dispute that was lost): a note is never taken back. A target below the last one
    is logged, and left to people.
    """
    order = attempts.lock_order(order.pk)
    assert 0 <= reversed_minor <= order.amount_minor, reversed_minor
    invoice = order.invoice
    assert invoice is not None, order.public_id
    earlier = list(invoice.credit_notes.all())
    noted = sum(note.amount_minor for note in earlier)
    if reversed_minor <= noted:
        if reversed_minor < noted:
            _log.warning("credited_too_much", order=order.public_id, noted_minor=noted)
        return None
    tax_minor = order.tax_minor * reversed_minor // order.amount_minor
    return _issue(
        order=order,
        kind=DocumentKind.CREDIT_NOTE,
        corrects=invoice,
        amount_minor=reversed_minor - noted,
        tax_minor=tax_minor - sum(note.tax_minor for note in earlier),
        reversed_minor=reversed_minor,
        now=now,
    )


def _issue(*, order: Order, kind: DocumentKind, now: datetime, **fields: object) -> Document:
    assert transaction.get_connection().in_atomic_block
    series = _series_of(order, kind)
    document = Document.objects.create(
        order=order,
        kind=kind,
        series=series,
        year=now.year,
        number=_take_number(series, now.year),
        parties={"seller": describe_seller(), "buyer": describe_buyer(order.organisation)},
        currency=order.currency,
        issued_at=now,
        **fields,
    )
    wake_on_commit("billing.mail_documents")
    return document


def _series_of(order: Order, kind: DocumentKind) -> str:
    """Of a legal seller and a kind; what no money was paid for leaves no gap among the rest."""
    parts = [
        "" if order.livemode else TEST_SERIES,
        settings.DOCUMENT_SERIES,
        CREDIT_NOTE_SERIES if kind == DocumentKind.CREDIT_NOTE else "",
    ]
    return "-".join(part for part in parts if part)


def _take_number(series: str, year: int) -> int:
    DocumentCounter.objects.bulk_create(
        [DocumentCounter(series=series, year=year)], ignore_conflicts=True
    )
    counter = DocumentCounter.objects.filter(series=series, year=year)
    counter.update(last_number=F("last_number") + 1)
    return counter.get().last_number
