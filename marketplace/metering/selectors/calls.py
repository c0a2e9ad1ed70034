"""Single calls: the list, one receipt, and what the list can be filtered by."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiKey, Organisation, User
from marketplace.catalog.models import Provider, Service
from marketplace.metering.commands import OpenedCall
from marketplace.metering.models import Call, CallStatus, UsageTotal
from portal.kernel.errors import NotFound

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as Words

_RELATED = ("service__provider", "service__model", "api_key", "member")


@dataclass(frozen=True, slots=True)
class CostLine:
    """One line of a receipt: quantity × price = cost. ``kind`` is a stable name."""

    kind: str
    label: "Words"
    quantity: int
    price_millitokens: int
    cost_millitokens: int


@dataclass(frozen=True, slots=True)
class FilterChoices:
    """Pairs of public id and label, by label."""

    services: list[tuple[str, str]]
    keys: list[tuple[str, str]]


def list_calls(
    organisation: Organisation,
    *,
    member: User | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    service: str | None = None,
    api_key: str | None = None,
    status: str = "",
    unit: str | None = None,
) -> QuerySet[Call]:
    """Newest first, with service, provider, model, key and member.

    From ``since`` (included) to ``until`` (excluded); ``service`` and ``api_key`` are public ids,
    and an unknown one finds nothing.
    """
    calls = Call.objects.of(organisation).select_related(*_RELATED)
    if member is not None:
        calls = calls.filter(member=member)
    if since is not None:
        calls = calls.filter(started_at__gte=since)
    if until is not None:
        calls = calls.filter(started_at__lt=until)
    # Looked up first: the database plans for this service or key, not for an average one.
    if service:
        calls = calls.filter(service__in=_find_pks(Service.objects.filter(public_id=service)))
    if api_key:
        calls = calls.filter(api_key__in=_find_pks(ApiKey.objects.filter(public_id=api_key)))
    if status:
        calls = calls.filter(status=status)
    if unit:
        calls = calls.filter(unit=unit)
    return calls.order_by("-started_at", "-pk")


def get_call(organisation: Organisation, public_id: str) -> Call:
    """One call with what its receipt needs. Raises NotFound when it is not this organisation's."""
    call = (
        Call.objects.of(organisation)
        .select_related(*_RELATED, "price_version", "recount")
        .filter(public_id=public_id)
        .first()
    )
    if call is None:
        raise NotFound(_("There is no such request here."))
    return call


def list_cost_lines(call: Call) -> list[CostLine]:
    """The arithmetic of a call's charge at the price it was made at; no line with nothing in it.

    The lines add up to the cost and what was uncovered; a call that cost nothing has none.
    """
    if not call.cost_millitokens and not call.uncovered_millitokens:
        return []
    price = call.price_version
    fresh_tokens = call.prompt_tokens - call.cached_tokens
    counted = (
        ("input", _("Input tokens"), fresh_tokens, price.input_millitokens),
        ("cached", _("Cached input tokens"), call.cached_tokens, price.cached_input_millitokens),
        ("output", _("Output tokens"), call.completion_tokens, price.output_millitokens),
        ("request", _("Request"), 1, price.request_millitokens),
    )
    return [
        CostLine(kind, label, quantity, unit_price, quantity * unit_price)
        for kind, label, quantity, unit_price in counted
        if quantity and (unit_price or kind != "request")
    ]


def get_first_call(organisation: Organisation, *, member: User | None = None) -> Call | None:
    """The first call that succeeded, of the organisation or of one member."""
    calls = Call.objects.of(organisation).filter(status=CallStatus.SUCCEEDED)
    if member is not None:
        calls = calls.filter(member=member)
    return calls.select_related(*_RELATED).order_by("started_at", "pk").first()


def has_first_call(organisation: Organisation) -> bool:
    """Whether any call has succeeded yet."""
    return Call.objects.of(organisation).filter(status=CallStatus.SUCCEEDED).exists()


def get_filter_choices(organisation: Organisation, *, member: User | None = None) -> FilterChoices:
    """The services that the organisation has called, and its keys (one member's, if given)."""
    used = Exists(UsageTotal.objects.filter(organisation=organisation, service=OuterRef("pk")))
    services = Service.objects.filter(used).order_by("handle").values_list("public_id", "handle")
    keys = ApiKey.objects.filter(organisation=organisation).exclude(kind="provider")
    if member is not None:
        keys = keys.filter(created_by=member)
    return FilterChoices(
        services=list(services), keys=list(keys.order_by("name").values_list("public_id", "name"))
    )


def list_provider_calls(
    provider: Provider,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    service: str | None = None,
    status: str = "",
) -> QuerySet[Call]:
    """Calls of the provider's services, newest first. Tenants are not theirs to see: show none."""
    services = Service.objects.filter(provider=provider)
    if service:
        services = services.filter(public_id=service)
    calls = Call.objects.filter(service__in=_find_pks(services)).select_related("service__model")
    if since is not None:
        calls = calls.filter(started_at__gte=since)
    if until is not None:
        calls = calls.filter(started_at__lt=until)
    if status:
        calls = calls.filter(status=status)
    return calls.order_by("-started_at", "-pk")


def describe_opened(call: Call) -> OpenedCall:
    """A call as it was opened, to be closed elsewhere or later, from its row: read that with its
    hold, its price version and its service's provider.

    The bounds that it was opened with are not kept: ``prompt_tokens`` and ``completion_tokens``
    are 0.
    """
    hold = call.hold
    return OpenedCall(
        call_pk=call.pk,
        public_id=call.public_id,
        organisation_public_id=hold.owner_key if hold else "",
        unit=call.unit,
        provider_public_id=call.service.provider.public_id,
        commission_basis_points=call.commission_basis_points,
        price=call.price_version.snapshot,
        hold_id=hold.public_id if hold else "",
        held_millitokens=hold.amount_millitokens if hold else 0,
        prompt_tokens=0,
        completion_tokens=0,
        started_at=call.started_at,
    )


def _find_pks(rows: QuerySet[Any]) -> list[int]:
    return list(rows.values_list("pk", flat=True))
