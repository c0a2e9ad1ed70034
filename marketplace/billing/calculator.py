"""The packs page's calculator: what a pack lasts for, in the buyer's terms. An estimate only."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.functional import Promise

from marketplace.billing.offers import Offer
from marketplace.catalog.selectors import CallableService
from marketplace.catalog.workload import EXAMPLES, Workload

# Beyond this, "lasts for" says nothing any more.
MOST_MONTHS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """So many pieces of everyday work, each one call of so many words."""

    count: int
    pieces: str | Promise
    words_in: int
    words_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """An offer with what it does for this buyer at the chosen service.

    ``tenths_of_months`` is None when the pack is not for the service, or the work costs nothing;
    ``lasts_long`` says that it outlasts ten years of this work, ``outlives_expiry`` that tokens
    are left when it expires.
    """

    offer: Offer
    fits: bool
    tenths_of_months: int | None
    lasts_long: bool
    outlives_expiry: bool
    uses: Sequence[Use]

    @property
    def months(self) -> str:
        """``3.5``, or ``12`` from ten months on."""
        tenths = self.tenths_of_months or 0
        return str(tenths // 10) if tenths >= 100 or tenths % 10 == 0 else f"{tenths / 10:.1f}"

    @property
    def years(self) -> int:
        """Whole years when it lasts two or more, else 0."""
        years = (self.tenths_of_months or 0) // 120
        return years if years >= 2 else 0


def make_outlook(*, offer: Offer, service: CallableService | None, workload: Workload) -> Outlook:
    """What the offer's tokens, bonus included, do at the service's price of today."""
    if service is None or not fits_scope(offer.scope, service):
        return Outlook(
            offer=offer,
            fits=False,
            tenths_of_months=None,
            lasts_long=False,
            outlives_expiry=False,
            uses=(),
        )
    budget = offer.total_millitokens
    month = workload.cost(service.price)
    tenths = budget * 10 // month if month else None
    lasts_long = tenths is not None and tenths > MOST_MONTHS * 10
    uses = [
        Use(
            count=count,
            pieces=example.pieces,
            words_in=example.words_in,
            words_out=example.words_out,
        )
        for example in EXAMPLES.get(service.modality, ())[:2]
        if (count := example.count_for(service.price, budget_millitokens=budget))
    ]
    return Outlook(
        offer=offer,
        fits=True,
        tenths_of_months=None if lasts_long else tenths,
        lasts_long=lasts_long,
        outlives_expiry=tenths is not None and _outlives(tenths, offer.expires_after_days),
        uses=uses,
    )


def _outlives(tenths_of_months: int, expires_after_days: int | None) -> bool:
    """Whether so long is longer than the pack's tokens live; a month is a twelfth of 365 days."""
    return expires_after_days is not None and tenths_of_months * 365 > expires_after_days * 120


def fits_scope(scope: str, service: CallableService) -> bool:
    """Whether tokens of this scope may be spent at the service."""
    return scope in (
        "",
        f"service:{service.public_id}",
        f"provider:{service.provider_public_id}",
        f"modality:{service.modality}",
    )
