"""New prices of a service: the form, then old and new side by side, then it is done."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from accounts.access import posted
from accounts.models import Role
from accounts.services import actor_from_request
from marketplace.catalog import selectors as catalog_selectors
from marketplace.catalog import services as catalog
from marketplace.catalog.models import PriceVersion, Service, ServiceStatus
from marketplace.partners.access import ProviderRequest, provider_view, render_page
from marketplace.partners.forms import PriceForm
from marketplace.partners.forms.listings import PRICE_MEMBERS
from marketplace.partners.views.refusals import show_refusal
from marketplace.partners.views.services import own_service
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError


@require_http_methods(["GET", "HEAD", "POST"])
@provider_view(Role.OWNER)
def prices(request: ProviderRequest, provider: str, service: str) -> HttpResponse:
    """Asked twice where there are prices already: nobody raises them by a slip."""
    found = own_service(request, service)
    now = utc_now()
    current = catalog_selectors.get_price_in_force(found, now=now)
    form = PriceForm(
        posted(request),
        initial=PriceForm.initial_of(current),
        timezone=request.organisation.timezone,
        now=now,
    )
    context: dict[str, Any] = {"form": form, "service": found, "current": current}
    if request.method == "POST" and form.is_valid():
        effective_at = _begins_at(found, form, current, now)
        if current is not None and "confirmed" not in request.POST:
            changes = [
                {
                    "field": form[name],
                    "old": getattr(current, f"{name}_millitokens"),
                    "new": form.prices()[f"{name}_millitokens"],
                    "per_request": name == "request",
                }
                for name in PRICE_MEMBERS
            ]
            context |= {
                "changes": changes,
                "effective_at": effective_at,
                "at_once": effective_at == now,
            }
            return render_page(request, "partners/prices_confirm.html", context)
        try:
            catalog.add_price_version(
                service=found,
                effective_at=effective_at,
                created_by=request.user,
                now=now,
                actor=actor_from_request(request),
                **form.prices(),
            )
        except DomainError as refusal:
            names = {f"{name}_millitokens": name for name in PRICE_MEMBERS}
            show_refusal(form, refusal, names | {"effective_at": "begins_on"})
        else:
            messages.success(request, _("Prices saved. Past calls stay as they were charged."))
            return redirect("partners:service", provider=provider, service=service)
    return render_page(request, "partners/prices.html", context)


def _compare(form: PriceForm, current: PriceVersion) -> list[dict[str, Any]]:
    """Each price as it is and as it will be."""
    return [
        {
            "field": form[name],
            "old": getattr(current, f"{name}_millitokens"),
            "new": form.prices()[f"{name}_millitokens"],
            "per_request": name == "request",
        }
        for name in PRICE_MEMBERS
    ]


def _begins_at(
    service: Service, form: PriceForm, current: PriceVersion | None, now: datetime
) -> datetime:
    """The day that was chosen; else now, or after the notice where something rises."""
    chosen: datetime | None = form.cleaned_data["begins_on"]
    if chosen is not None:
        return chosen
    public = service.status in (ServiceStatus.LIVE, ServiceStatus.PAUSED)
    rises = current is None or any(
        amount > getattr(current, field) for field, amount in form.prices().items()
    )
    return now + timedelta(days=settings.PRICE_RISE_NOTICE_DAYS) if public and rises else now
