"""Telling staff of findings: a mail to each of them and a signed webhook, after the commit.

At least once, whatever dies in between; never twice while all goes well: whoever tells holds a
lease, and what was told is noted per channel.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import Q
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import ngettext

from accounts.models import User
from marketplace.reconciliation.models import Finding, FindingState
from portal.kernel.errors import DomainError
from portal.kernel.webhooks import send_webhook

log = structlog.get_logger(__name__)

LEASE = timedelta(minutes=5)
# One round's mail; the rest follows in the next.
_BATCH = 50


def announce_findings(*, now: datetime) -> int:
    """Tell staff of findings that wait for a person and that they have not heard of; how many."""
    if not settings.STAFF_WEBHOOK_URL:
        unheard = Q(mailed_at__isnull=True)
    else:
        unheard = Q(mailed_at__isnull=True) | Q(webhook_sent_at__isnull=True)
    due = Finding.objects.filter(
        unheard,
        Q(notice_leased_until__isnull=True) | Q(notice_leased_until__lte=now),
        state__in=[FindingState.OPEN, FindingState.ACKNOWLEDGED],
        opened_at__isnull=False,
    )
    leased = [
        finding
        for finding in due.order_by("-at_stake_millitokens", "pk")[:_BATCH]
        if _lease(finding, now)
    ]
    _mail([finding for finding in leased if finding.mailed_at is None], now)
    if settings.STAFF_WEBHOOK_URL:
        _send([finding for finding in leased if finding.webhook_sent_at is None], now)
    return len(leased)


def _lease(finding: Finding, now: datetime) -> bool:
    """Whether we are the one who tells of it."""
    before = finding.notice_leased_until
    taken = Finding.objects.filter(pk=finding.pk, notice_leased_until=before)
    return bool(taken.update(notice_leased_until=now + LEASE))


def _mail(findings: Sequence[Finding], now: datetime) -> None:
    """One mail per member of staff, in their language, that names all."""
    if not findings:
        return
    staff = User.objects.filter(is_staff=True, is_active=True).order_by("pk")
    try:
        for person in staff:
            _compose(person, findings).send()
    except (OSError, ValueError):
        # The mail server's errors are OSErrors; the lease says when to try again.
        log.warning("findings_not_mailed", count=len(findings), exc_info=True)
        return
    Finding.objects.filter(pk__in=[finding.pk for finding in findings]).update(mailed_at=now)


def _compose(person: User, findings: Sequence[Finding]) -> EmailMessage:
    with translation.override(person.language):
        subject = ngettext(
            "%(site)s: %(count)s new finding in the books",
            "%(site)s: %(count)s new findings in the books",
            len(findings),
        ) % {"site": settings.SITE_NAME, "count": len(findings)}
        body = render_to_string(
            "ops/mail/findings.txt", {"findings": findings, "site_url": settings.SITE_URL}
        )
    return EmailMessage(subject=subject, body=body, to=[person.email])


def _send(findings: Sequence[Finding], now: datetime) -> None:
    for finding in findings:
        try:
            send_webhook(
                settings.STAFF_WEBHOOK_URL,
                settings.STAFF_WEBHOOK_SECRET,
                finding.public_id,
                "finding.opened",
                _describe(finding),
            )
        except (DomainError, ValueError):
            log.warning("finding_not_sent", finding=finding.public_id, exc_info=True)
            return  # the next round begins with this one
        Finding.objects.filter(pk=finding.pk).update(webhook_sent_at=now)


def _describe(finding: Finding) -> dict[str, object]:
    """Amounts are strings: a receiver's numbers may be floats."""
    opened = finding.opened_at
    return {
        "id": finding.public_id,
        "check": finding.check_number,
        "subject": finding.subject,
        "detail": finding.detail,
        "at_stake_millitokens": str(finding.at_stake_millitokens),
        "froze_wallet": finding.froze_wallet,
        "opened_at": opened.isoformat() if opened else None,
        "url": f"{settings.SITE_URL}/ops/reconciliation/findings/{finding.public_id}/",
    }
