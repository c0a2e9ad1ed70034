"""Mailing notices: one to each reader, after the commit that wrote them, in their language.

At least once, whatever dies in between; never twice while all goes well (docs/adr/0131).
"""

from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db.models import Q
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation

from accounts import selectors
from accounts.models import Notice
from accounts.notice_words import describe_notice

_log = structlog.get_logger(__name__)

MAIL_LEASE = timedelta(minutes=5)
# A mail server that was down for longer would deliver yesterday's news.
WORTH_MAILING = timedelta(days=2)


def mail_due_notices(*, now: datetime, limit: int = 100) -> int:
    """Mail what waits for it; the number of mails sent.

    Not mailed any more: what is over by now, what its reader has read in the portal, may not
    read any more or has switched off, and what is too old.
    """
    due = Notice.objects.filter(mail_due=True).filter(_lease_is_over(now))
    pks = list(due.order_by("id").values_list("pk", flat=True)[:limit])
    return sum(_mail_notice(pk, now=now) for pk in pks)


def _mail_notice(pk: int, *, now: datetime) -> bool:
    leased = (
        Notice.objects.filter(pk=pk, mail_due=True)
        .filter(_lease_is_over(now))
        .update(mail_leased_until=now + MAIL_LEASE)
    )
    if not leased:
        return False
    notice = Notice.objects.select_related("organisation", "person", "cause").get(pk=pk)
    if not _is_worth_mailing(notice, now):
        Notice.objects.filter(pk=pk).update(mail_due=False)
        return False
    try:
        _compose_mail(notice).send()
    except (OSError, ValueError):
        # The mail server (smtplib's errors are OSErrors) or an address that is none: one notice
        # must not hold up the others. The lease says when to try again.
        _log.warning("notice_not_mailed", notice=notice.public_id, exc_info=True)
        return False
    Notice.objects.filter(pk=pk).update(mail_due=False, mailed_at=now)
    return True


def _lease_is_over(now: datetime) -> Q:
    """Also one that ends much later than any could: it was taken before the clock was set back.

    Not one that ends a little later: its holder's clock, or its ``now``, may be ahead of ours.
    """
    return (
        Q(mail_leased_until__isnull=True)
        | Q(mail_leased_until__lte=now)
        | Q(mail_leased_until__gt=now + 2 * MAIL_LEASE)
    )


def _is_worth_mailing(notice: Notice, now: datetime) -> bool:
    if notice.is_over or notice.read_at is not None or notice.created_at < now - WORTH_MAILING:
        return False
    readers = selectors.list_notice_readers(
        organisation=notice.organisation, kind=notice.kind, person=notice.person
    )
    return any(channels.by_mail for channels in readers.values())


def _compose_mail(notice: Notice) -> EmailMultiAlternatives:
    person, organisation = notice.person, notice.organisation
    choices = reverse("accounts:notice_settings", kwargs={"organisation": organisation.slug})
    with translation.override(person.language):
        words = describe_notice(notice)
        context = {
            "words": words,
            "organisation": organisation,
            "site_name": settings.SITE_NAME,
            "cause_url": settings.SITE_URL + words.url,
            "way_out_url": settings.SITE_URL + words.way_out_url if words.way_out_url else "",
            "choices_url": settings.SITE_URL + choices,
            "language": person.language,
        }
        subject = f"{words.title} · {organisation.name}"
        body = render_to_string("accounts/mail/notice.txt", context)
        page = render_to_string("accounts/mail/notice.html", context)
    mail = EmailMultiAlternatives(
        subject=" ".join(subject.split()),
        body=body,
        to=[person.email],
        headers={"Auto-Submitted": "auto-generated"},
    )
    mail.attach_alternative(page, "text/html")
    return mail
