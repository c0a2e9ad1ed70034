"""All routes: each room's own, composed here."""

from importlib.util import find_spec

from django.urls import URLPattern, URLResolver, include, path

# While rooms are being built, only those that have routes are composed.
_ROOMS = [
    "accounts.urls",
    "marketplace.catalog.urls",
    "marketplace.ledger.urls",
    "marketplace.metering.urls",
    "marketplace.billing.urls",
    "marketplace.partners.urls",
    "portal.ops.urls",
    "portal.web.api_urls",
    "portal.web.urls",
]
urlpatterns: list[URLPattern | URLResolver] = [
    path("", include(room)) for room in _ROOMS if find_spec(room)
]
