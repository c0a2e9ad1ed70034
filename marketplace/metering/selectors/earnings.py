"""What providers earn by their services, and how the services do."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from marketplace.catalog.models import Provider, Service
from marketplace.metering import latency
from marketplace.metering.latency import Percentiles
from marketplace.metering.models import Call, CallStatus
from marketplace.metering.periods import get_zone, list_days
from marketplace.metering.selectors.totals import Sums, sum_by_day

FIGURES_DAYS = 7
# Below so many calls no figure is shown.
ENOUGH_CALLS = 20
_RECENT_CALLS = 200


@dataclass(slots=True)
class ServiceEarnings:
    """One service's sums; ``share`` is what the provider is owed for them."""

    key: str
    label: str
    share_by_day: list[int]
    sums: Sums


@dataclass(slots=True)
class EarningsReport:
    """By day (of the provider's organisation) and service, the best earner first."""

    days: list[date]
    services: list[ServiceEarnings]
    share_millitokens: int = 0
    calls: int = 0


@dataclass(frozen=True, slots=True)
class ServiceFigures:
    """Measured over the last week; None where there are too few calls to say.

    ``success_per_mille`` leaves out what callers did (refusals, leaving), so it is the service's.
    """

    calls: int
    success_per_mille: int | None
    durations: Percentiles | None
    first_token_ms: int | None = None


def get_provider_earnings(
    provider: Provider, *, start_on: date, end_on: date, unit: str = "live"
) -> EarningsReport:
    """What the provider's services earned from ``start_on`` to ``end_on``, both included."""
    zone = get_zone(provider.organisation.timezone)
    days = list_days(start_on, end_on)
    services = {
        pk: ServiceEarnings(public_id, handle, [0] * len(days), Sums())
        for pk, public_id, handle in Service.objects.filter(provider=provider).values_list(
            "pk", "public_id", "handle"
        )
    }
    filters = {"service_id": list(services), "unit": unit}
    for day, service, sums in sum_by_day(days, zone, group="service_id", filters=filters):
        services[service].share_by_day[day] += sums.share_millitokens
        services[service].sums.add(sums)
    found = sorted(services.values(), key=lambda s: (-s.sums.share_millitokens, s.label))
    return EarningsReport(
        days=days,
        services=found,
        share_millitokens=sum(s.sums.share_millitokens for s in found),
        calls=sum(s.sums.calls for s in found),
    )


def get_service_figures(service_pks: Iterable[int], *, now: datetime) -> dict[int, ServiceFigures]:
    """Of several services in two queries; of a single one with its time to first token too."""
    pks = list(service_pks)
    today = now.date()
    days = list_days(today - timedelta(days=FIGURES_DAYS - 1), today)
    utc = ZoneInfo("UTC")
    served: dict[int, Sums] = {pk: Sums() for pk in pks}
    for status in (CallStatus.SUCCEEDED, CallStatus.FAILED):
        filters = {"service_id": pks, "status": status.value}
        for _day, service, sums in sum_by_day(days, utc, group="service_id", filters=filters):
            served[service].add(sums)
    first_token_ms = _get_first_token_ms(pks[0]) if len(pks) == 1 else None
    return {pk: _read_figures(sums, first_token_ms) for pk, sums in served.items()}


def _read_figures(sums: Sums, first_token_ms: int | None) -> ServiceFigures:
    enough = sums.calls >= ENOUGH_CALLS
    good = sums.calls - sums.failed_calls
    return ServiceFigures(
        calls=sums.calls,
        success_per_mille=good * 1000 // sums.calls if enough else None,
        durations=latency.read_percentiles(sums.durations) if enough else None,
        first_token_ms=first_token_ms if enough else None,
    )


def _get_first_token_ms(service_pk: int) -> int | None:
    """The median of the latest streamed calls."""
    times = (
        Call.objects.filter(
            service_id=service_pk,
            status=CallStatus.SUCCEEDED,
            streamed=True,
            first_token_ms__isnull=False,
        )
        .order_by("-started_at")
        .values_list("first_token_ms", flat=True)[:_RECENT_CALLS]
    )
    measured = sorted(time for time in times if time is not None)
    return measured[len(measured) // 2] if measured else None
