"""Reading the payment providers' accounts: every line is kept, and none is acted on.

The reconciliation compares them with orders, refunds and disputes (check 18).
"""

from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from marketplace.billing.models import MoneyMovement, MovementCursor
from marketplace.billing.money_moved import ProviderMovement
from marketplace.billing.payment_provider import PaymentProvider, PaymentsUnavailable
from marketplace.billing.providers import list_payment_providers
from portal.kernel.errors import DomainError

_log = structlog.get_logger(__name__)

# Lines become visible late, and webhooks tell us late: what is younger is not judged yet.
SETTLES_AFTER = timedelta(hours=1)
# Each reading begins a little before the last one ended.
OVERLAP = timedelta(days=1)
# How far back the first one goes; and what an order of its first day was paid by may be older.
FIRST_READING = timedelta(days=30)
_EARLIER = timedelta(days=3)


class AccountUnread(PaymentsUnavailable):
    """A provider did not show its account; nothing can be said about it now."""

    code = "account_unread"
    sentence = _("A payment provider did not show its account; it is asked again by the next run.")


def read_movements(*, now: datetime) -> int:
    """Take in what has moved in each provider's account since the last reading; how many lines.

    Safe at any time and twice at once. Raises AccountUnread, naming them, when any could not be
    read: the others have been.
    """
    new, unread = 0, []
    for provider in list_payment_providers():
        if not provider.shows_account:
            continue
        try:
            new += _read_account(provider, now=now)
        except DomainError as error:
            _log.warning("account_unread", provider=provider.name, code=error.code)
            unread.append(f"{provider.name} ({error.code})")
        except Exception as error:
            # A line that breaks our arithmetic or the database: no other account is left for it.
            _log.exception("account_unread", provider=provider.name)
            unread.append(f"{provider.name} ({type(error).__name__})")
    if unread:
        raise AccountUnread(", ".join(unread))
    return new


def _read_account(provider: PaymentProvider, *, now: datetime) -> int:
    """The cursor moves in the commit that keeps the lines, and never back."""
    until = now - SETTLES_AFTER
    cursor = MovementCursor.objects.filter(provider=provider.name).first()
    since = cursor.read_until - OVERLAP if cursor else until - FIRST_READING - _EARLIER
    told = provider.list_movements(since=since)
    known = set(
        MoneyMovement.objects.filter(
            provider=provider.name, created_at__gte=since - OVERLAP
        ).values_list("movement_id", flat=True)
    )
    fresh = [_keep(line, provider, now=now) for line in told if line.movement_id not in known]
    with transaction.atomic(durable=True):
        MoneyMovement.objects.bulk_create(fresh, batch_size=500, ignore_conflicts=True)
        MovementCursor.objects.get_or_create(
            provider=provider.name,
            defaults={"read_from": until - FIRST_READING, "read_until": until},
        )
        MovementCursor.objects.filter(provider=provider.name, read_until__lt=until).update(
            read_until=until
        )
    return len(fresh)


def _keep(line: ProviderMovement, provider: PaymentProvider, *, now: datetime) -> MoneyMovement:
    return MoneyMovement(
        provider=provider.name,
        movement_id=line.movement_id,
        kind=line.kind,
        payment_id=line.payment_id,
        source_id=line.source_id,
        amount_minor=line.amount_minor,
        currency=line.currency,
        gross_minor=line.gross_minor,
        fee_minor=line.fee_minor,
        account_currency=line.account_currency,
        created_at=line.created_at,
        read_at=now,
    )
