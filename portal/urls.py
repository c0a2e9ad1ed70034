"""All routes: each room's own, composed here."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("accounts.urls")),
    path("", include("accounts.door_urls")),
    path("", include("marketplace.catalog.urls")),
    path("", include("marketplace.metering.urls")),
    path("", include("marketplace.billing.urls")),
    path("", include("marketplace.partners.urls")),
    path("", include("portal.ops.urls")),
    path("", include("portal.web.api_urls")),
    path("", include("portal.web.urls")),
    path("admin/", admin.site.urls),
]

handler400 = "portal.web.error_pages.bad_request"
handler403 = "portal.web.error_pages.permission_denied"
handler404 = "portal.web.error_pages.page_not_found"
handler429 = "portal.web.error_pages.too_many_requests"  # allauth's, at the doors
handler500 = "portal.web.error_pages.server_error"
