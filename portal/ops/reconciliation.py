"""Runs and findings for staff: from a difference to the records behind it, and to its end."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import services as accounts
from accounts.access import PersonRequest, staff_view
from marketplace.reconciliation import selectors, services
from marketplace.reconciliation.checks import BY_NUMBER
from marketplace.reconciliation.models import FindingState, Run, RunKind
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError
from portal.ops.lookups import find_or_404
from portal.ops.records import link_reference

PAGE_SIZE = 50


class ResolveForm(forms.Form):
    """How a finding ends."""

    note = forms.CharField(
        label=_("What was found and what was done"),
        widget=forms.Textarea(attrs={"rows": 4}),
        max_length=2000,
    )


@require_safe
@staff_view
def findings(request: PersonRequest) -> HttpResponse:
    """By money at stake; without a state, those that wait for a person."""
    state = request.GET.get("state", "")
    if state not in FindingState.values:
        state = ""
    page = Paginator(selectors.list_findings(state=state), PAGE_SIZE).get_page(
        request.GET.get("page")
    )
    return render(
        request,
        "ops/findings.html",
        {
            "page": page,
            "state": state,
            "states": FindingState.choices,
            "last_run": selectors.list_runs().first(),
            "titles": _titles(),
        },
    )


@require_http_methods(["GET", "HEAD", "POST"])
@staff_view
def finding(request: PersonRequest, finding: str) -> HttpResponse:
    """Both figures, the way to the records, and the form that ends it."""
    found = find_or_404(selectors.get_finding, public_id=finding)
    form = ResolveForm(request.POST if "note" in request.POST else None)
    actor = accounts.actor_from_request(request)
    if request.method == "POST":
        try:
            if "acknowledge" in request.POST:
                services.acknowledge_finding(
                    finding=found, user=request.user, actor=actor, now=utc_now()
                )
                messages.success(request, _("You look after this finding now."))
                return redirect("ops:finding", finding=found.public_id)
            if form.is_valid():
                services.resolve_finding(
                    finding=found,
                    note=form.cleaned_data["note"],
                    user=request.user,
                    actor=actor,
                    now=utc_now(),
                )
                messages.success(request, _("The finding is resolved."))
                return redirect("ops:findings")
        except DomainError as refusal:
            if not form.is_bound:
                messages.error(request, str(refusal))
                return redirect("ops:finding", finding=found.public_id)
            form.add_error(None, str(refusal))
    return render(
        request,
        "ops/finding.html",
        {
            "finding": found,
            "title": _titles().get(found.check_number, ""),
            "records_url": link_reference(found.subject),
            "form": form,
        },
    )


@require_POST
@staff_view
def run_now(request: PersonRequest) -> HttpResponse:
    """A light run, at once: what a light run suspected is now confirmed or dropped. The whole book
    may take minutes, too long for a page: it is read every night and by the command."""
    run = services.reconcile_balances(trigger="staff", kind=RunKind.LIGHT, now=utc_now())
    messages.success(request, _("The books were compared; this is the result."))
    return redirect("ops:run", run=run.public_id)


@require_safe
@staff_view
def runs(request: PersonRequest) -> HttpResponse:
    """All runs, newest first."""
    page = Paginator(selectors.list_runs(), PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "ops/runs.html", {"page": page})


@require_safe
@staff_view
def run_detail(request: PersonRequest, run: str) -> HttpResponse:
    """One run: its equation and its checks."""
    found = find_or_404(selectors.get_run, public_id=run)
    checks = [{**row, "title": _titles().get(row["number"], "")} for row in found.checks]
    context = {
        "run": found,
        "checks": checks,
        "equation_columns": [row["label"] for row in found.equation_rows],
        "equation_lines": _equation_lines(found),
        "intake_columns": list(_INTAKE.values()),
        "intake_lines": _intake_lines(found),
    }
    return render(request, "ops/run.html", context)


# The terms in the order of the equation; those that nothing happened under are left out.
_TERMS: dict[str, Any] = {
    "opening": pgettext_lazy("balance", "Opening"),
    "purchase": _("Purchases"),
    "grant": _("Grants"),
    "capture": _("Calls"),
    "expiry": _("Expiries"),
    "refund": _("Refunds"),
    "chargeback": _("Charge-backs"),
    "reversal": _("Reversals"),
    "adjustment": _("Adjustments"),
    "closing": pgettext_lazy("balance", "Closing"),
    "gap": _("Gap"),
    "held": _("Of it held"),
}
_ALWAYS = {"opening", "closing", "gap", "held"}
# What became of reported usage, in the order of its equation.
_INTAKE: dict[str, Any] = {
    "received": pgettext_lazy("usage events", "Received"),
    "charged": pgettext_lazy("usage events", "Charged"),
    "repeated": pgettext_lazy("usage events", "Repeated"),
    "quarantined": pgettext_lazy("usage events", "Quarantined"),
    "rejected": pgettext_lazy("usage events", "Rejected"),
    "unanswered": pgettext_lazy("usage events", "Without an answer"),
}


def _equation_lines(run: Run) -> list[dict[str, Any]]:
    """For ops/run_figures.html: a line per term, with what it came to in each unit."""
    rows = run.equation_rows
    lines = []
    for term, label in _TERMS.items():
        figures = [(row["label"], row.get(term, 0)) for row in rows]
        if term in _ALWAYS or any(amount for _unit, amount in figures):
            lines.append({"label": label, "figures": figures, "is_gap": term == "gap"})
    return lines


def _intake_lines(run: Run) -> list[dict[str, Any]]:
    """For ops/run_figures.html: a line per source, with how many of its events became what."""
    return [
        {
            "label": source,
            "figures": [(label, counts.get(name)) for name, label in _INTAKE.items()],
        }
        for source, counts in run.intake.items()
    ]


def _titles() -> dict[int, str]:
    return {number: str(check.title) for number, check in BY_NUMBER.items()}
