"""Where the tokens went: by day, grouped, as tokens or money, with the table and the CSV."""

import csv
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.access import OrganisationRequest, organisation_view
from accounts.models import Role
from marketplace.metering import selectors as metering
from marketplace.metering.selectors import GroupBy, UsageReport
from portal.kernel.clock import utc_now
from portal.kernel.csv_cells import safe_cell
from portal.web.budget_alerts import list_nearly_used
from portal.web.charts import DailyBars, LatencyLines, Quantity, Series

PERIODS = {"7": _("7 days"), "30": _("30 days"), "90": _("90 days")}
DEFAULT_PERIOD = "30"
MOST_DAYS = 366
GROUPS = {
    "service": _("Service"),
    "provider": _("Provider"),
    "key": _("Key"),
    "member": _("Member"),
    "status": _("Status"),
}


class DayRangeForm(forms.Form):
    """From and to, in the organisation's days."""

    start = forms.DateField(
        label=_("From"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    end = forms.DateField(
        label=_("To"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        start, end = cleaned.get("start"), cleaned.get("end")
        if start and end:
            if start > end:
                self.add_error("end", _("The last day is before the first."))
            elif (end - start).days >= MOST_DAYS:
                self.add_error("end", _("At most a year at a time."))
        return cleaned


@dataclass(frozen=True)
class UsageQuery:
    """What the URL asks for, every part valid."""

    start_on: date
    end_on: date
    today: date
    period: str  # "" when the days were chosen by hand
    group_by: GroupBy
    money: bool
    form: DayRangeForm


@require_safe
@organisation_view()
def usage(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """Charts and table of the same report, so their totals are equal."""
    query = _read_query(request)
    report = _get_report(request, query)
    unit = Quantity.MONEY if query.money else Quantity.TOKENS
    partial = query.end_on == query.today
    return render(
        request,
        "web/usage.html",
        {
            "query": query,
            "report": report,
            "periods": PERIODS,
            "groups": GROUPS,
            "group_label": GROUPS[query.group_by],
            "only_own": request.membership.role == Role.MEMBER,
            "cost_chart": DailyBars(
                id="cost-chart",
                title=str(_("Cost by day")),
                days=report.days,
                series=[
                    Series(key=group.key, label=group.label, values=group.cost_by_day)
                    for group in report.groups
                ],
                quantity=unit,
                partial_last_day=partial,
            ),
            "latency_chart": LatencyLines(
                id="latency-chart",
                title=str(_("Latency of successful calls")),
                days=report.days,
                p50=[day.p50_ms if day else None for day in report.latency],
                p95=[day.p95_ms if day else None for day in report.latency],
                p99=[day.p99_ms if day else None for day in report.latency],
            ),
            "csv_query": request.GET.urlencode(),
            "tight_budgets": list_nearly_used(request.membership, now=utc_now()),
        },
    )


@require_safe
@organisation_view()
def usage_csv(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """One row per day and group, with the sums of the page for the same filter."""
    query = _read_query(request)
    report = _get_report(request, query)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="usage-{organisation}.csv"'
    response.write("\ufeff")  # so that spreadsheets read Chinese names
    writer = csv.writer(response)
    writer.writerow(["day", query.group_by, "cost_tokens"])
    for position, day in enumerate(report.days):
        for group in report.groups:
            cost = group.cost_by_day[position]
            if cost:
                row = (day.isoformat(), group.label, f"{cost // 1000}.{cost % 1000:03d}")
                writer.writerow([safe_cell(cell) for cell in row])
    return response


def _read_query(request: OrganisationRequest) -> UsageQuery:
    """What the URL says; parts that make no sense fall back to the default and are said."""
    today = utc_now().astimezone(ZoneInfo(request.organisation.timezone)).date()
    chosen = any(request.GET.get(name) for name in ("start", "end"))
    form = DayRangeForm(request.GET if chosen else None)
    group_by = request.GET.get("group", "service")
    period = request.GET.get("period", DEFAULT_PERIOD)
    period = period if period in PERIODS else DEFAULT_PERIOD
    start_on, end_on = today - timedelta(days=int(period) - 1), today
    if chosen and form.is_valid():
        end_on = form.cleaned_data["end"] or today
        start_on = form.cleaned_data["start"] or end_on - timedelta(days=29)
        start_on = max(start_on, end_on - timedelta(days=MOST_DAYS - 1))
        period = ""
    return UsageQuery(
        start_on=start_on,
        end_on=end_on,
        today=today,
        period=period,
        group_by=cast(GroupBy, group_by) if group_by in GROUPS else "service",
        money=request.GET.get("as") == "money",
        form=form,
    )


def _get_report(request: OrganisationRequest, query: UsageQuery) -> UsageReport:
    return metering.get_usage(
        organisation=request.organisation,
        start_on=query.start_on,
        end_on=query.end_on,
        group_by=query.group_by,
        member=request.user if request.membership.role == Role.MEMBER else None,
    )
