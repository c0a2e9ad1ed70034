"""What every template may use: ``site`` (cheap; whatever asks the database does so when shown)."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from portal.web.preferences import get_theme


@dataclass
class Site:
    """The installation as this visitor sees it."""

    request: HttpRequest

    @property
    def name(self) -> str:
        return settings.SITE_NAME

    @property
    def tagline(self) -> str:
        return settings.SITE_TAGLINE

    @property
    def sandbox(self) -> bool:
        """Payments are played: the banner says that no money moves."""
        return settings.SANDBOX_PAYMENTS

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
    def organisations(self) -> list[Any]:
        """Those the person belongs to, for the switcher."""
        from accounts import selectors

        user = getattr(self.request, "user", None)
        if user is None or not user.is_authenticated:
            return []
        return list(selectors.list_organisations_of(user=user))


def site(request: HttpRequest) -> dict[str, Any]:
    """The context processor. ``portal``, because allauth's views call something else ``site``."""
    portal = Site(request)
    return {"portal": portal, "site": portal}
