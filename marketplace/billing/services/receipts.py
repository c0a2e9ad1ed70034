"""Receipts: numbered without gaps in the settlement's own commit, mailed once after it."""

from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import F, Q
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext

from accounts.models import Organisation
from marketplace.billing.models import Order, Receipt, ReceiptCounter
from marketplace.billing.waking import wake_on_commit

_log = structlog.get_logger(__name__)

MAIL_LEASE = timedelta(minutes=5)


def issue_receipt(*, order: Order, now: datetime) -> Receipt:
    """The next number of the year (UTC) and a snapshot of both parties.

    Inside the caller's transaction. The counter's row stays locked until its commit, so numbers
    are given out one after the other and a rollback gives its number back.
    """
    assert transaction.get_connection().in_atomic_block
    ReceiptCounter.objects.bulk_create([ReceiptCounter(year=now.year)], ignore_conflicts=True)
    ReceiptCounter.objects.filter(year=now.year).update(last_number=F("last_number") + 1)
    number = ReceiptCounter.objects.get(year=now.year).last_number
    receipt = Receipt.objects.create(
        order=order,
        year=now.year,
        number=number,
        parties={"seller": _describe_seller(), "buyer": _describe_buyer(order.organisation)},
        issued_at=now,
    )
    wake_on_commit("billing.mail_receipts")
    return receipt


def mail_due_receipts(*, now: datetime, limit: int = 100) -> int:
    """Mail what has not been mailed; the number of mails sent.

    One sender at a time per receipt. Killed between the mail server's yes and our note of it, a
    sender leaves its receipt to be mailed again: twice is better than never.
    """
    due = Receipt.objects.filter(mailed_at__isnull=True).filter(_lease_is_over(now))
    sent = 0
    for pk in list(due.order_by("id").values_list("pk", flat=True)[:limit]):
        sent += _mail_receipt(pk, now=now)
    return sent


def _mail_receipt(pk: int, *, now: datetime) -> bool:
    leased = (
        Receipt.objects.filter(pk=pk, mailed_at__isnull=True)
        .filter(_lease_is_over(now))
        .update(mail_leased_until=now + MAIL_LEASE)
    )
    if not leased:
        return False
    receipt = Receipt.objects.select_related("order__organisation", "order__ordered_by").get(pk=pk)
    try:
        _compose_mail(receipt).send()
    except (OSError, ValueError):
        # The mail server (smtplib's errors are OSErrors) or an address that is none: one receipt
        # must not hold up the others. The lease says when to try again.
        _log.warning("receipt_not_mailed", receipt=receipt.public_id, exc_info=True)
        return False
    Receipt.objects.filter(pk=pk).update(mailed_at=now)
    return True


def _lease_is_over(now: datetime) -> Q:
    return Q(mail_leased_until__isnull=True) | Q(mail_leased_until__lte=now)


def _compose_mail(receipt: Receipt) -> EmailMessage:
    order = receipt.order
    page = reverse(
        "billing:receipt",
        kwargs={"organisation": order.organisation.slug, "order": order.public_id},
    )
    with translation.override(order.ordered_by.language):
        subject = gettext("Receipt %(number)s from %(seller)s") % {
            "number": receipt.label,
            "seller": receipt.parties["seller"]["name"],
        }
        body = render_to_string(
            "billing/mail/receipt.txt",
            {"receipt": receipt, "order": order, "url": f"{settings.SITE_URL}{page}"},
        )
    recipient = order.organisation.billing_email or order.ordered_by.email
    return EmailMessage(subject=" ".join(subject.split()), body=body, to=[recipient])


def _describe_seller() -> dict[str, str]:
    return {
        "name": settings.SITE_NAME,
        "legal_name": settings.SELLER_NAME,
        "address": settings.SELLER_ADDRESS,
        "country": settings.SELLER_COUNTRY,
        "tax_id": settings.SELLER_TAX_ID,
        "email": settings.SELLER_EMAIL,
    }


def _describe_buyer(organisation: Organisation) -> dict[str, str]:
    return {
        "name": organisation.name,
        "legal_name": organisation.legal_name,
        "address": "",
        "country": organisation.country,
        "tax_id": organisation.tax_id,
        "email": organisation.billing_email,
    }
