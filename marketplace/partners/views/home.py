"""Becoming a provider, the provider's home, and what was earned."""

from datetime import timedelta
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import OrganisationRequest, organisation_view, posted
from accounts.models import Role
from accounts.services import actor_from_request
from marketplace.catalog import selectors as catalog_selectors
from marketplace.catalog import services as catalog
from marketplace.catalog.models import ServiceStatus
from marketplace.metering import selectors as metering
from marketplace.partners import selectors
from marketplace.partners.access import ProviderRequest, provider_view, render_page
from marketplace.partners.forms import ProfileForm
from marketplace.partners.views.refusals import show_refusal
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError

HOME_DAYS = 30
RECENT_CALLS = 8
PERIODS = {"7": _("7 days"), "30": _("30 days"), "90": _("90 days")}
DEFAULT_PERIOD = "30"


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_view(Role.OWNER)
def apply(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """An owner gives the company a provider's profile; listings are reviewed one by one."""
    existing = catalog_selectors.get_provider_for(request.organisation)
    if existing is not None:
        return redirect("partners:home", provider=existing.slug)
    tenant = request.organisation
    form = ProfileForm(posted(request), initial={"name": tenant.name, "country": tenant.country})
    if request.method == "POST" and form.is_valid():
        try:
            provider = catalog.create_provider(
                organisation=tenant,
                actor=actor_from_request(request),
                now=utc_now(),
                **form.cleaned_data,
            )
        except DomainError as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, _("You are a provider now. List your first service."))
            return redirect("partners:home", provider=provider.slug)
    return render(request, "partners/apply.html", {"form": form})


@require_safe
@provider_view()
def home(request: ProviderRequest, provider: str) -> HttpResponse:
    """Where the provider stands: calls, earnings, and what wants attention."""
    today = utc_now().astimezone(ZoneInfo(request.organisation.timezone)).date()
    earnings = selectors.get_earnings(
        provider=request.provider, start_on=today - timedelta(days=HOME_DAYS - 1), end_on=today
    )
    report = earnings.report
    services = catalog_selectors.list_provider_services(request.provider)
    counts = services.order_by().aggregate(
        all=Count("pk"),
        live=Count("pk", filter=Q(status=ServiceStatus.LIVE)),
        draft=Count("pk", filter=Q(status=ServiceStatus.DRAFT)),
        in_review=Count("pk", filter=Q(status=ServiceStatus.IN_REVIEW)),
        paused=Count("pk", filter=Q(status=ServiceStatus.PAUSED)),
    )
    calls = metering.list_provider_calls(request.provider)[:RECENT_CALLS]
    return render_page(
        request,
        "partners/home.html",
        {
            "days": HOME_DAYS,
            "sees_money": request.membership.includes(Role.BILLING),
            "may_list": request.membership.includes(Role.OWNER),
            "earnings": earnings,
            "earned_by_day": [
                sum(service.share_by_day[day] for service in report.services)
                for day in range(len(report.days))
            ],
            "failed_calls": sum(service.sums.failed_calls for service in report.services),
            "counts": counts,
            "calls": calls,
        },
    )


@require_safe
@provider_view(Role.BILLING)
def earnings(request: ProviderRequest, provider: str) -> HttpResponse:
    """What is owed now, and what each service earned by day."""
    period = request.GET.get("period", DEFAULT_PERIOD)
    period = period if period in PERIODS else DEFAULT_PERIOD
    today = utc_now().astimezone(ZoneInfo(request.organisation.timezone)).date()
    start_on = today - timedelta(days=int(period) - 1)
    found = selectors.get_earnings(provider=request.provider, start_on=start_on, end_on=today)
    return render_page(
        request,
        "partners/earnings.html",
        {
            "earnings": found,
            "period": period,
            "periods": PERIODS,
            "as_of": metering.get_last_roll_up(),
        },
    )
