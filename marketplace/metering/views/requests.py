"""Requests as the tenant sees them: the list, one receipt, and the list as CSV."""

import csv
from collections.abc import Iterator
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import OrganisationRequest, organisation_view
from accounts.models import Role, User
from marketplace.catalog import vocabulary
from marketplace.metering import selectors
from marketplace.metering.forms import RequestFilterForm
from marketplace.metering.models import Call
from portal.kernel.csv_cells import safe_cell
from portal.kernel.errors import NotFound
from portal.kernel.keyset import paginate_newest_first

PAGE_SIZE = 50

CSV_COLUMNS = (
    "time",
    "request",
    "service",
    "provider",
    "key",
    "member",
    "status",
    "error",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "cost_tokens",
    "duration_ms",
)


@require_safe
@organisation_view()
def request_list(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """Newest first, by keyset, so that a million calls page as fast as ten."""
    form, calls = _filter_calls(request)
    page = paginate_newest_first(
        calls, time_field="started_at", query=request.GET, page_size=PAGE_SIZE
    )
    return render(
        request,
        "metering/requests.html",
        {"form": form, "page": page, "csv_query": request.GET.urlencode()},
    )


@require_safe
@organisation_view()
def request_detail(request: OrganisationRequest, organisation: str, call: str) -> HttpResponse:
    """One call's receipt: what was counted, times what price, is what it cost."""
    try:
        found = selectors.get_call(organisation=request.organisation, public_id=call)
    except NotFound as missing:
        raise Http404 from missing
    member = _own_calls_only(request)
    if member is not None and found.member_id != member.pk:
        raise Http404
    attempts = selectors.list_attempts(found)
    return render(
        request,
        "metering/request.html",
        {
            "call": found,
            "attempts": attempts,
            "failed_before": sum(attempt.attempt < found.attempt for attempt in attempts),
            "region": vocabulary.region_label(found.region),
            "lines": selectors.list_cost_lines(found),
        },
    )


@require_safe
@organisation_view()
def requests_csv(request: OrganisationRequest, organisation: str) -> StreamingHttpResponse:
    """The filtered list, all pages, streamed; the totals equal the page's for the same filter."""
    _form, calls = _filter_calls(request)
    response = StreamingHttpResponse(
        _csv_lines(calls, ZoneInfo(request.organisation.timezone)),
        content_type="text/csv; charset=utf-8",
    )
    response["Content-Disposition"] = f'attachment; filename="requests-{organisation}.csv"'
    return response


def _own_calls_only(request: OrganisationRequest) -> User | None:
    """A member sees their own calls; billing and owners see all."""
    return request.user if request.membership.role == Role.MEMBER else None


def _filter_calls(request: OrganisationRequest) -> tuple[RequestFilterForm, QuerySet[Call]]:
    member = _own_calls_only(request)
    form = RequestFilterForm(request.GET or None, organisation=request.organisation, member=member)
    wanted: dict[str, Any] = {}
    if form.is_bound:
        form.is_valid()  # what is wrong is shown; the rest is applied
        wanted = form.cleaned_data
    zone = ZoneInfo(request.organisation.timezone)
    since, until = wanted.get("since"), wanted.get("until")
    return form, selectors.list_calls(
        organisation=request.organisation,
        member=member,
        since=datetime.combine(since, time.min, zone) if since else None,
        until=datetime.combine(until + timedelta(days=1), time.min, zone) if until else None,
        service=wanted.get("service") or None,
        api_key=wanted.get("key") or None,
        status=wanted.get("status") or "",
    )


class _Echo:
    """A file that hands back what is written, so that csv lines can be streamed."""

    def write(self, value: str) -> str:
        return value


def _csv_lines(calls: QuerySet[Call], zone: ZoneInfo) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield "\ufeff"  # so that spreadsheets read Chinese names
    yield writer.writerow(CSV_COLUMNS)
    for call in calls.iterator(chunk_size=1000):
        row = (
            call.started_at.astimezone(zone).isoformat(),
            call.public_id,
            call.service.handle,
            call.service.provider.name,
            call.api_key.name,
            call.member.email,
            call.status,
            call.error_code,
            call.prompt_tokens,
            call.cached_tokens,
            call.completion_tokens,
            f"{call.cost_millitokens // 1000}.{call.cost_millitokens % 1000:03d}",
            "" if call.duration_ms is None else call.duration_ms,
        )
        yield writer.writerow([safe_cell(cell) for cell in row])
