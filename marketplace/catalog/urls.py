"""Routes of the public catalogue."""

from django.urls import path

from marketplace.catalog.views import listing, pages

app_name = "catalog"

urlpatterns = [
    path("services/", listing.services, name="services"),
    path("services/<slug:slug>/", pages.service, name="service"),
    path("models/<slug:slug>/", pages.model, name="model"),
    path("providers/<slug:slug>/", pages.provider, name="provider"),
]
