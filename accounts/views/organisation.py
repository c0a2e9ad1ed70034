"""An organisation's settings and its audit log: for owners."""

import csv
from collections.abc import Iterator
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import selectors, services
from accounts.access import (
    OrganisationRequest,
    organisation_view,
    posted,
    recent_sign_in_required,
)
from accounts.audit_words import AREA_PREFIXES, action_label, actor_label, list_changes
from accounts.forms.audit import AuditFilterForm
from accounts.forms.organisations import OrganisationForm
from accounts.models import AuditEvent, Organisation, Role
from portal.kernel.clock import utc_now
from portal.kernel.csv_cells import safe_cell
from portal.kernel.errors import DomainError
from portal.kernel.keyset import paginate_newest_first

PAGE_SIZE = 50
CSV_COLUMNS = (
    "time", "actor", "actor_id", "action", "target", "target_id", "before", "after", "address",
    "request_id",
)  # fmt: skip


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_view(Role.OWNER)
@recent_sign_in_required
def settings(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """Company, tax id, time zone, who gets receipts."""
    # The form gets its own copy: what was typed must not show up in the layout around it.
    current = Organisation.objects.get(pk=request.organisation.pk)
    form = OrganisationForm(posted(request), instance=current)
    if request.method == "POST" and form.is_valid():
        try:
            services.update_organisation(
                organisation=request.organisation,
                changes=form.cleaned_data,
                actor=services.actor_from_request(request),
                now=utc_now(),
            )
        except DomainError as refusal:
            form.add_error(refusal.data.get("field"), str(refusal))
        else:
            messages.success(request, _("Settings saved."))
            return redirect("accounts:settings", organisation=organisation)
    return render(request, "accounts/settings.html", {"form": form})


@require_safe
@organisation_view(Role.OWNER)
def audit(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """Who did what, newest first."""
    form = AuditFilterForm(request.GET or None)
    page = paginate_newest_first(
        _filtered(request.organisation, form),
        time_field="recorded_at",
        query=request.GET,
        page_size=PAGE_SIZE,
    )
    query = request.GET.copy()
    for name in ("before", "after"):
        query.pop(name, None)
    context: dict[str, Any] = {
        "form": form,
        "rows": [
            {
                "event": event,
                "actor": actor_label(event),
                "action": action_label(event),
                "changes": list_changes(event),
            }
            for event in page.rows
        ],
        "page": page,
        "query": query.urlencode(),
        "filtered": any(query.values()),
    }
    return render(request, "accounts/audit.html", context)


@require_safe
@organisation_view(Role.OWNER)
def audit_csv(request: OrganisationRequest, organisation: str) -> StreamingHttpResponse:
    """The same events as the page with this filter, all of them."""
    events = _filtered(request.organisation, AuditFilterForm(request.GET or None))
    response = StreamingHttpResponse(_csv_lines(events), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="audit-{organisation}.csv"'
    return response


def _filtered(organisation: Organisation, form: AuditFilterForm) -> QuerySet[AuditEvent]:
    events = selectors.list_audit_events(organisation)
    wanted, zone = form.readable(), ZoneInfo(organisation.timezone)
    if area := wanted.get("area"):
        begins = Q()
        for prefix in AREA_PREFIXES[area]:
            begins |= Q(action__startswith=prefix)
        events = events.filter(begins)
    if actor := wanted.get("actor"):
        events = events.filter(actor_label__icontains=actor)
    if start := wanted.get("start"):
        events = events.filter(recorded_at__gte=datetime.combine(start, time.min, tzinfo=zone))
    if end := wanted.get("end"):
        after = datetime.combine(end + timedelta(days=1), time.min, tzinfo=zone)
        events = events.filter(recorded_at__lt=after)
    return events


class _Echo:
    """A file whose write returns the line, for streaming."""

    def write(self, line: str) -> str:
        return line


def _csv_lines(events: QuerySet[AuditEvent]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(CSV_COLUMNS)
    for event in events.iterator(chunk_size=500):
        cells = (
            event.recorded_at.isoformat(),
            event.actor_label,
            event.actor_id,
            event.action,
            event.target_label,
            event.target_id,
            _flat(event.before),
            _flat(event.after),
            event.address or "",
            event.request_id,
        )
        yield writer.writerow([safe_cell(cell) for cell in cells])


def _flat(values: dict[str, Any]) -> str:
    return "; ".join(f"{name}={value}" for name, value in values.items())
