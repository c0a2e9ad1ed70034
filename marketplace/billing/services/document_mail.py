"""Mailing documents: once each, after the commit that issued them, with the PDF and a link."""

from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import Q
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation

from marketplace.billing.models import Document
from marketplace.billing.paper import describe_document, draw_pdf

_log = structlog.get_logger(__name__)

MAIL_LEASE = timedelta(minutes=5)


def mail_due_documents(*, now: datetime, limit: int = 100) -> int:
    """Mail what has not been mailed; the number of mails sent.

    One sender at a time per document. Killed between the mail server's yes and our note of it, a
    sender leaves its document to be mailed again: twice is better than never.
    """
    due = Document.objects.filter(mailed_at__isnull=True).filter(_lease_is_over(now))
    sent = 0
    for pk in list(due.order_by("id").values_list("pk", flat=True)[:limit]):
        sent += _mail_document(pk, now=now)
    return sent


def _mail_document(pk: int, *, now: datetime) -> bool:
    leased = (
        Document.objects.filter(pk=pk, mailed_at__isnull=True)
        .filter(_lease_is_over(now))
        .update(mail_leased_until=now + MAIL_LEASE)
    )
    if not leased:
        return False
    document = Document.objects.select_related(
        "order__organisation", "order__ordered_by", "corrects"
    ).get(pk=pk)
    try:
        _compose_mail(document).send()
    except (OSError, ValueError):
        # The mail server (smtplib's errors are OSErrors) or an address that is none: one document
        # must not hold up the others. The lease says when to try again.
        _log.warning("document_not_mailed", document=document.public_id, exc_info=True)
        return False
    Document.objects.filter(pk=pk).update(mailed_at=now)
    return True


def _lease_is_over(now: datetime) -> Q:
    return Q(mail_leased_until__isnull=True) | Q(mail_leased_until__lte=now)


def _compose_mail(document: Document) -> EmailMessage:
    order = document.order
    page = reverse(
        "billing:document",
        kwargs={"organisation": order.organisation.slug, "document": document.public_id},
    )
    with translation.override(order.ordered_by.language):
        paper = describe_document(document)
        subject = f"{paper.heading} · {document.parties['seller']['name']}"
        body = render_to_string(
            "billing/mail/document.txt",
            {
                "paper": paper,
                "document": document,
                "order": order,
                "url": f"{settings.SITE_URL}{page}",
            },
        )
        pdf = draw_pdf(paper)
    recipient = order.organisation.billing_email or order.ordered_by.email
    mail = EmailMessage(subject=" ".join(subject.split()), body=body, to=[recipient])
    mail.attach(f"{document.label}.pdf", pdf, "application/pdf")
    return mail
