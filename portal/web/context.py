"""What every template may use: ``portal``; what asks the database does so when it is shown."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from accounts import selectors as accounts
from accounts.models import Organisation
from marketplace.billing import selectors as billing
from marketplace.ledger import selectors as ledger
from marketplace.metering import selectors as metering
from portal.kernel.clock import utc_now
from portal.web.preferences import get_theme

# More unread notices than this are "99+".
MOST_UNREAD_SHOWN = 99


@dataclass(frozen=True)
class WalletSummary:
    """What the header of every signed-in page says."""

    spendable_millitokens: int
    held_millitokens: int
    run_out: metering.RunOut | None
    # What to name when asking why the wallet is frozen; empty while it is not.
    freeze_reference: str


@dataclass
class Site:
    """The installation as this visitor sees it."""

    request: HttpRequest

    @property
    def name(self) -> str:
        return settings.SITE_NAME

    @property
    def tagline(self) -> str:
        return str(settings.SITE_TAGLINE)

    @property
    def sandbox(self) -> bool:
        """Payments are played: the banner says that no money moves."""
        return billing.payments_are_played()

    @property
    def base_url(self) -> str:
        """What clients set as their base URL."""
        return f"{settings.SITE_URL}/v1"

    @property
    def tariff_currency(self) -> str:
        return settings.TARIFF_CURRENCY

    @property
    def languages(self) -> list[tuple[str, str]]:
        return settings.LANGUAGES

    @cached_property
    def theme(self) -> str:
        """``light``, ``dark``, or empty: what the system says."""
        return get_theme(self.request)

    @cached_property
    def organisations(self) -> list[Organisation]:
        """Those the person belongs to, for the switcher, with their provider profiles."""
        user = getattr(self.request, "user", None)
        if user is None or not user.is_authenticated:
            return []
        return list(accounts.list_organisations_of(user=user).select_related("provider"))

    @cached_property
    def unread_notices(self) -> str:
        """How many notices wait for the member whose page this is: empty, ``3`` or ``99+``."""
        membership = getattr(self.request, "membership", None)
        if membership is None:
            return ""
        count = accounts.count_unread_notices(membership=membership, most=MOST_UNREAD_SHOWN + 1)
        return f"{MOST_UNREAD_SHOWN}+" if count > MOST_UNREAD_SHOWN else str(count or "")

    @cached_property
    def wallet_summary(self) -> WalletSummary | None:
        """Balance and run-out of the organisation whose page this is."""
        organisation = getattr(self.request, "organisation", None)
        if organisation is None:
            return None
        balance = ledger.get_balance(owner_key=organisation.public_id, unit="live")
        return WalletSummary(
            spendable_millitokens=balance.spendable,
            held_millitokens=balance.held,
            run_out=metering.get_run_out(
                organisation=organisation,
                spendable_millitokens=balance.spendable,
                now=utc_now(),
            ),
            freeze_reference=ledger.get_freeze_reference(
                owner_key=organisation.public_id, unit="live"
            )
            if balance.frozen
            else "",
        )


def site(request: HttpRequest) -> dict[str, Any]:
    """The context processor. ``portal``, because allauth's views call something else ``site``."""
    return {"portal": Site(request)}
