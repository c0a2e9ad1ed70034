"""Prices: new versions only. What was charged stays as it was; a rise is announced before."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts.models import User
from accounts.services import SYSTEM_ACTOR, Actor
from marketplace.catalog.models import PriceVersion, Service, ServiceStatus
from marketplace.catalog.services.checks import ServiceRetired, announce_change, audit_service
from marketplace.catalog.services.listings import UnderReview
from marketplace.catalog.services.snapshots import PRICE_FIELDS, lock_service
from portal.kernel.errors import Rejected

# 1,000 currency units per 1M tokens: a slip of the keyboard, not a price.
MOST_MILLITOKENS = 1_000_000


class PriceRejected(Rejected):
    """The price cannot be accepted; ``data["fields"]`` names the fields and their reasons."""

    code = "price_rejected"


class PriceRiseNeedsNotice(Rejected):
    """A rise on a live service takes effect after the notice period, ``data["earliest_at"]``."""

    code = "price_rise_needs_notice"


def add_price_version(
    *,
    service: Service,
    input_millitokens: int,
    cached_input_millitokens: int,
    output_millitokens: int = 0,
    request_millitokens: int = 0,
    effective_at: datetime,
    created_by: User | None,
    now: datetime,
    actor: Actor = SYSTEM_ACTOR,
) -> PriceVersion:
    """A new price from ``effective_at`` on, which is now or later.

    Prices are millitokens per model token (800 is "0.80 per 1M"), ``request_millitokens`` per
    call. On a live or paused service nothing may rise before ``PRICE_RISE_NOTICE_DAYS`` have
    passed; falls may take effect at once. Raises ``PriceRejected``, ``PriceRiseNeedsNotice``,
    ``UnderReview`` (a first listing that staff are looking at), ``ServiceRetired``.
    """
    amounts = {
        "input_millitokens": input_millitokens,
        "cached_input_millitokens": cached_input_millitokens,
        "output_millitokens": output_millitokens,
        "request_millitokens": request_millitokens,
    }
    _require_amounts(amounts)
    if effective_at < now:
        raise _price_rejected("effective_at", _("A price cannot begin in the past."))
    with transaction.atomic():
        current = lock_service(service)
        if current.status == ServiceStatus.RETIRED:
            raise ServiceRetired(_("This service is retired; list a new one instead."))
        if current.status == ServiceStatus.IN_REVIEW:
            raise UnderReview(_("This listing is being reviewed. Withdraw it before changing it."))
        if current.status == ServiceStatus.DRAFT and effective_at > now:
            # Staff approve the price that is in force; one that waits behind it would go unseen.
            raise _price_rejected("effective_at", _("A draft's price begins at once."))
        if current.status in (ServiceStatus.LIVE, ServiceStatus.PAUSED):
            _require_notice(current, amounts, effective_at, now)
        last = current.price_versions.aggregate(number=Max("number"))["number"] or 0
        version = PriceVersion.objects.create(
            service=current,
            number=last + 1,
            effective_at=effective_at,
            created_at=now,
            created_by=created_by,
            **amounts,
        )
        audit_service(
            current,
            "service.price_added",
            actor=actor,
            now=now,
            after={**amounts, "effective_at": effective_at.isoformat(), "number": version.number},
        )
        announce_change()
    return version


def _require_amounts(amounts: dict[str, int]) -> None:
    for field, amount in amounts.items():
        if not 0 <= amount <= MOST_MILLITOKENS:
            raise _price_rejected(field, _("Enter a price from 0 to 1,000.000 per 1M tokens."))
    if amounts["cached_input_millitokens"] > amounts["input_millitokens"]:
        raise _price_rejected(
            "cached_input_millitokens", _("Cached input cannot cost more than input.")
        )


def _price_rejected(field: str, reason: object) -> PriceRejected:
    return PriceRejected(reason, data={"fields": {field: [str(reason)]}})


def _require_notice(
    service: Service, amounts: dict[str, int], effective_at: datetime, now: datetime
) -> None:
    """Compared with what would be in force then, so a rise cannot hide behind a short fall."""
    before = PriceVersion.objects.filter(service=service).in_force(now=effective_at).first()
    rises = before is None or any(amounts[f] > getattr(before, f) for f in PRICE_FIELDS)
    days = settings.PRICE_RISE_NOTICE_DAYS
    earliest_at = now + timedelta(days=days)
    if rises and effective_at < earliest_at:
        raise PriceRiseNeedsNotice(
            ngettext(
                "A price rise of a live service is announced %(days)s day before.",
                "A price rise of a live service is announced %(days)s days before.",
                days,
            )
            % {"days": days},
            data={
                "earliest_at": earliest_at.isoformat(),
                "fields": {"effective_at": [str(_("Choose a later time."))]},
            },
        )
