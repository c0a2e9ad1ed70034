"""What waits for the operator, oldest and dearest first."""

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import PersonRequest, staff_view
from marketplace.billing import selectors as billing
from marketplace.billing.fapiao import list_all_fapiao
from marketplace.catalog import selectors as catalog
from marketplace.reconciliation import selectors as reconciliation
from portal.kernel.clock import utc_now


@require_safe
@staff_view
def home(request: PersonRequest) -> HttpResponse:
    """Queues with their age, the last run and what is at stake."""
    reviews = list(catalog.list_open_reviews())
    refunds = list(billing.list_refund_requests(waiting=True))
    fapiao = list(list_all_fapiao(waiting=True))
    findings = list(reconciliation.list_findings())
    return render(
        request,
        "ops/home.html",
        {
            "now": utc_now(),
            "reviews": reviews,
            "oldest_review": min((r.submitted_at for r in reviews), default=None),
            "refunds": refunds,
            "oldest_refund": min((r.requested_at for r in refunds), default=None),
            "fapiao": fapiao,
            "oldest_fapiao": min((f.requested_at for f in fapiao), default=None),
            "findings": findings,
            "at_stake_millitokens": sum(f.at_stake_millitokens for f in findings),
            "last_run": reconciliation.list_runs().first(),
        },
    )
