"""The REST of all rooms, composed: addresses are chosen here, views are the rooms' own."""

from django.urls import path, re_path

import portal.kernel.rest.routes  # noqa: F401 (registers the converter <public_id:…>)
from accounts import api as accounts
from marketplace.partners.api import listing_moves, listings
from portal.kernel.rest import NoSuchRoute
from portal.web import api_docs

app_name = "api"

TENANT = "api/v1"
PROVIDER = "api/provider/v1"
SERVICE = f"{PROVIDER}/services/<public_id:service>"

urlpatterns = [
    path("api/schema/", api_docs.SchemaView.as_view(), name="schema"),
    path(f"{TENANT}/organisation", accounts.OrganisationView.as_view(), name="organisation"),
    path(f"{PROVIDER}/services", listings.ListingsView.as_view(), name="provider_services"),
    path(SERVICE, listings.ListingView.as_view(), name="provider_service"),
    path(f"{SERVICE}/prices", listings.PricesView.as_view(), name="provider_prices"),
    path(f"{SERVICE}/submit", listing_moves.SubmitView.as_view(), name="provider_submit"),
    path(f"{SERVICE}/withdraw", listing_moves.WithdrawView.as_view(), name="provider_withdraw"),
    path(f"{SERVICE}/pause", listing_moves.PauseView.as_view(), name="provider_pause"),
    path(f"{SERVICE}/resume", listing_moves.ResumeView.as_view(), name="provider_resume"),
    path(f"{SERVICE}/retire", listing_moves.RetireView.as_view(), name="provider_retire"),
    re_path("^api/", NoSuchRoute.as_view()),
]
