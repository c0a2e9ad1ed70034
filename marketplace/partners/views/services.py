"""A provider's services: list, draft, change, submit, pause, retire."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Prefetch
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import posted
from accounts.models import Role
from accounts.services import actor_from_request
from marketplace.catalog import listing_words
from marketplace.catalog import selectors as catalog_selectors
from marketplace.catalog import services as catalog
from marketplace.catalog.models import PriceVersion, Service, ServiceReview
from marketplace.metering import selectors as metering
from marketplace.partners.access import ProviderRequest, provider_view, render_page
from marketplace.partners.forms import ListingForm, NewListingForm
from marketplace.partners.views.refusals import show_refusal
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError, NotFound

PAGE_SIZE = 50
MOVES: dict[str, tuple[Callable[..., Any], object]] = {
    "withdraw": (catalog.withdraw_review, _("Withdrawn from review.")),
    "pause": (catalog.pause_service, _("Service paused. It takes no new calls.")),
    "resume": (catalog.resume_service, _("Service resumed. It takes calls again.")),
}


@require_safe
@provider_view()
def services(request: ProviderRequest, provider: str) -> HttpResponse:
    """All services in any status, with the price in force and what they were called for."""
    now = utc_now()
    listed = catalog_selectors.list_provider_services(request.provider).prefetch_related(
        "price_versions", Prefetch("reviews", ServiceReview.objects.filter(decision=""))
    )
    page = Paginator(listed, PAGE_SIZE).get_page(request.GET.get("page"))
    figures = metering.get_service_figures([service.pk for service in page], now=now)
    rows = [
        {
            "service": service,
            "price": in_force(list(service.price_versions.all()), now),
            "figures": figures[service.pk],
            "waiting": next(iter(service.reviews.all()), None),
        }
        for service in page
    ]
    may_list = request.membership.includes(Role.OWNER)
    context = {"rows": rows, "page": page, "may_list": may_list}
    return render_page(request, "partners/services.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@provider_view(Role.OWNER)
def create_service(request: ProviderRequest, provider: str) -> HttpResponse:
    """A new draft; prices come next."""
    form = NewListingForm(posted(request), initial={"country": request.provider.country})
    if request.method == "POST" and form.is_valid():
        model = form.cleaned_data["model"]
        try:
            service = catalog.create_service(
                provider=request.provider,
                model=model,
                test=form.cleaned_data["test"],
                now=utc_now(),
                actor=actor_from_request(request),
                **form.terms(whole_context=model.context_length),
            )
        except DomainError as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, _("Draft saved. Now set its prices."))
            return redirect("partners:prices", provider=provider, service=service.public_id)
    return render_page(request, "partners/service_form.html", {"form": form})


@require_safe
@provider_view()
def service(request: ProviderRequest, provider: str, service: str) -> HttpResponse:
    """One service: terms, prices past and to come, the review, and what can be done."""
    found = own_service(request, service)
    now = utc_now()
    versions = list(catalog_selectors.list_price_versions(found))
    reviews = list(found.reviews.order_by("-submitted_at", "-pk")[:10])
    waiting = next((review for review in reviews if not review.decision), None)
    context = {
        "service": found,
        "price": in_force(versions, now),
        "coming": [version for version in versions if version.effective_at > now],
        "versions": versions,
        "waiting": waiting,
        "waiting_fields": listing_words.field_labels(waiting.changed_fields) if waiting else "",
        "reviews": reviews,
        "figures": metering.get_service_figures([found.pk], now=now)[found.pk],
        "counts": metering.get_count_records([found.pk], now=now)[found.pk],
        "may_list": request.membership.includes(Role.OWNER),
    }
    return render_page(request, "partners/service.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@provider_view(Role.OWNER)
def edit_service(request: ProviderRequest, provider: str, service: str) -> HttpResponse:
    """Change the terms; on a live service, what staff vouched for waits for a review."""
    found = own_service(request, service)
    form = ListingForm(
        posted(request),
        initial=ListingForm.initial_of(found),
        has_credential=bool(found.credential),
    )
    if request.method == "POST" and form.is_valid():
        try:
            review = catalog.update_service(
                service=found,
                changes=form.terms(whole_context=found.model.context_length),
                submitted_by_label=request.user.email,
                now=utc_now(),
                actor=actor_from_request(request),
            )
        except DomainError as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(
                request,
                _("Saved. Some changes wait for staff to approve them.") if review else _("Saved."),
            )
            return redirect("partners:service", provider=provider, service=service)
    return render_page(request, "partners/service_form.html", {"form": form, "service": found})


@require_POST
@provider_view(Role.OWNER)
def submit_service(request: ProviderRequest, provider: str, service: str) -> HttpResponse:
    """Put a draft before staff."""
    try:
        catalog.submit_for_review(
            service=own_service(request, service),
            submitted_by_label=request.user.email,
            now=utc_now(),
            actor=actor_from_request(request),
        )
    except DomainError as refusal:
        reasons = [str(r) for texts in refusal.data.get("fields", {}).values() for r in texts]
        messages.error(request, " ".join(reasons) or str(refusal))
    else:
        messages.success(request, _("Submitted. You will see the decision here."))
    return redirect("partners:service", provider=provider, service=service)


@require_POST
@provider_view(Role.OWNER)
def move_service(request: ProviderRequest, provider: str, service: str, move: str) -> HttpResponse:
    """Withdraw, pause or resume: each can be undone, so no question is asked."""
    step, done = MOVES[move]
    try:
        step(
            service=own_service(request, service), now=utc_now(), actor=actor_from_request(request)
        )
    except DomainError as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, str(done))
    return redirect("partners:service", provider=provider, service=service)


@require_http_methods(["GET", "HEAD", "POST"])
@provider_view(Role.OWNER)
def retire_service(request: ProviderRequest, provider: str, service: str) -> HttpResponse:
    """End a service for good, after a question."""
    found = own_service(request, service)
    if request.method == "POST":
        try:
            catalog.retire_service(service=found, now=utc_now(), actor=actor_from_request(request))
        except DomainError as refusal:
            messages.error(request, str(refusal))
        else:
            messages.success(request, _("Service retired."))
        return redirect("partners:service", provider=provider, service=service)
    return render_page(request, "partners/retire.html", {"service": found})


def own_service(request: ProviderRequest, public_id: str) -> Service:
    """The provider's service at this address; any other is 404."""
    try:
        return catalog_selectors.get_provider_service(request.provider, public_id)
    except NotFound as missing:
        raise Http404(str(missing)) from missing


def in_force(versions: list[PriceVersion], now: datetime) -> PriceVersion | None:
    """Of versions that are loaded already, the one that a call would be charged at."""
    begun = [version for version in versions if version.effective_at <= now]
    return max(begun, key=lambda version: (version.effective_at, version.number), default=None)
