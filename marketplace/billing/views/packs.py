"""Packs for everybody: prices, calculator, expiry and refund rule, before any sign-up."""

from collections.abc import Sequence

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts import selectors as accounts
from accounts.models import Role, User
from marketplace.billing import selectors
from marketplace.billing.calculator import make_outlook
from marketplace.billing.forms import CalculatorForm
from marketplace.catalog.selectors import CallableService, list_callable_services
from marketplace.catalog.workload import DEFAULT_WORKLOAD
from portal.kernel.clock import utc_now


@require_safe
def pack_list(request: HttpRequest) -> HttpResponse:
    """Every pack on sale in one currency; the calculator's question is in the URL."""
    services = list_callable_services(unit="live", now=utc_now())
    default = _choose_default(services)
    asks = any(name in request.GET for name in ("service", "calls", "words_in", "words_out"))
    form = CalculatorForm(
        _complete(request, default) if asks else None,
        services=services,
        initial=_defaults(default),
    )
    workload = form.workload
    chosen = form.cleaned_data["service"] if asks and form.is_valid() else None
    service = next((one for one in services if one.slug == chosen), default)
    currencies = selectors.list_sale_currencies()
    currency = choose_currency(request.GET.get("currency", ""), currencies)
    offers = selectors.list_packs(currency=currency)
    membership = (
        accounts.list_memberships_of(user=request.user).first()
        if isinstance(request.user, User)
        else None
    )
    return render(
        request,
        "billing/packs.html",
        {
            "form": form,
            "service": service,
            "workload": workload,
            "month_millitokens": workload.cost(service.price) if service else None,
            "outlooks": [
                make_outlook(offer=offer, service=service, workload=workload) for offer in offers
            ],
            "scopes": selectors.describe_scopes([offer.scope for offer in offers]),
            "currencies": currencies,
            "currency": currency,
            "organisation": membership.organisation if membership else None,
            "may_buy": membership is not None and membership.includes(Role.BILLING),
        },
    )


def choose_currency(wanted: str, currencies: Sequence[str]) -> str:
    """The one asked for if anything is on sale in it, else the tariff currency."""
    if wanted in currencies:
        return wanted
    return currencies[0] if currencies else settings.TARIFF_CURRENCY


def _choose_default(services: Sequence[CallableService]) -> CallableService | None:
    """A chat service that answers today, else whatever there is."""
    return min(
        services, key=lambda one: (not one.is_connected, one.modality != "chat"), default=None
    )


def _defaults(service: CallableService | None) -> dict[str, object]:
    return {
        "service": service.slug if service else "",
        "calls": DEFAULT_WORKLOAD.calls,
        "words_in": DEFAULT_WORKLOAD.words_in,
        "words_out": DEFAULT_WORKLOAD.words_out,
    }


def _complete(request: HttpRequest, service: CallableService | None) -> dict[str, object]:
    """A link may leave some of the question out."""
    return {**_defaults(service), **request.GET.dict()}
