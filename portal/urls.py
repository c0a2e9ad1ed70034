"""All routes: each room's own, composed here."""

from importlib.util import find_spec

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

# While rooms are being built, only those that have routes are composed.
_ROOMS = [
    "accounts.urls",
    "accounts.door_urls",
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
    *(path("", include(room)) for room in _ROOMS if find_spec(room)),
    path("admin/", admin.site.urls),
]

handler400 = "portal.web.error_pages.bad_request"
handler403 = "portal.web.error_pages.permission_denied"
handler404 = "portal.web.error_pages.page_not_found"
handler429 = "portal.web.error_pages.too_many_requests"  # allauth's, at the doors
handler500 = "portal.web.error_pages.server_error"
