"""Making packs, and what staff should know before they sell one."""

from collections.abc import Mapping
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts import services as accounts
from accounts.services import Actor
from marketplace.billing.currencies import SALE_CURRENCIES
from marketplace.billing.models import Pack, PackPrice
from portal.kernel.errors import Rejected
from portal.kernel.quantities import MILLITOKENS_PER_TARIFF_UNIT, minor_digits


class PackRejected(Rejected):
    """The pack cannot be made like this; nothing was changed."""

    code = "pack_rejected"


def create_pack(
    *,
    slug: str,
    name_en: str,
    name_zh: str = "",
    summary_en: str = "",
    summary_zh: str = "",
    paid_millitokens: int,
    bonus_millitokens: int = 0,
    prices: Mapping[str, int],
    expires_after_days: int | None = None,
    scope: str = "",
    position: int = 0,
    actor: Actor,
    now: datetime,
) -> Pack:
    """A pack on sale. ``prices`` are minor units by currency, the tariff currency's among them:
    it decides what the pack is worth to the books (never more than its tokens at list price).

    Raises PackRejected.
    """
    unknown = set(prices) - set(SALE_CURRENCIES)
    if unknown:
        raise PackRejected(_("Packs cannot be sold in every currency; one is not on the list."))
    if settings.TARIFF_CURRENCY not in prices:
        raise PackRejected(_("A pack needs a price in the tariff currency."))
    tariff = value_of_money(prices[settings.TARIFF_CURRENCY], settings.TARIFF_CURRENCY)
    if not 0 < tariff <= paid_millitokens or bonus_millitokens < 0 or min(prices.values()) < 1:
        raise PackRejected(_("A pack may not cost more than its tokens do at list price."))
    with transaction.atomic():
        pack = Pack.objects.create(
            slug=slug,
            name_en=name_en,
            name_zh=name_zh,
            summary_en=summary_en,
            summary_zh=summary_zh,
            paid_millitokens=paid_millitokens,
            bonus_millitokens=bonus_millitokens,
            tariff_millitokens=tariff,
            expires_after_days=expires_after_days,
            scope=scope,
            position=position,
        )
        PackPrice.objects.bulk_create(
            PackPrice(pack=pack, currency=currency, amount_minor=amount)
            for currency, amount in prices.items()
        )
        accounts.record_audit(
            organisation=None,
            actor=actor,
            action="pack.created",
            target_id=pack.public_id,
            target_label=pack.name_en,
            after={"slug": slug, "prices": dict(prices)},
            now=now,
        )
    return pack


def value_of_money(amount_minor: int, currency: str) -> int:
    """Money of the tariff currency in millitokens at list price; exact."""
    return amount_minor * MILLITOKENS_PER_TARIFF_UNIT // 10 ** minor_digits(currency)


def find_pack_warnings(*, pack: Pack) -> list[str]:
    """What is odd about a pack's prices, in sentences for staff; empty when nothing is.

    Providers are paid their share of every token burnt, bonus tokens too: below that the market
    loses on each call.
    """
    share = (
        (pack.paid_millitokens + pack.bonus_millitokens)
        * (10_000 - settings.COMMISSION_BASIS_POINTS)
        // 10_000
    )
    warnings = []
    if pack.tariff_millitokens < share:
        warnings.append(
            gettext(
                "This pack is sold below the providers' share: it brings in %(value)s tokens at "
                "list price, and providers are owed %(share)s when all of it is used."
            )
            % {"value": f"{pack.tariff_millitokens // 1000:,}", "share": f"{share // 1000:,}"}
        )
    price = pack.prices.filter(currency=settings.TARIFF_CURRENCY).first()
    if price is None:
        warnings.append(gettext("This pack has no price in the tariff currency."))
    elif value_of_money(price.amount_minor, price.currency) != pack.tariff_millitokens:
        warnings.append(
            gettext("The price in the tariff currency and the pack's value in the books differ.")
        )
    return warnings
