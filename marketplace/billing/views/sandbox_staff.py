"""The sandbox's back office: staff play refunds and disputes of a payment. No money moves."""

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.access import PersonRequest, staff_view
from marketplace.billing.forms import SandboxReversalForm
from marketplace.billing.models import SandboxDispute, SandboxSession
from marketplace.billing.payment_provider import PaymentRefused
from marketplace.billing.providers import sandbox_is_allowed
from marketplace.billing.sandbox import delivery, reversing
from portal.kernel.clock import utc_now


@require_http_methods(["GET", "HEAD", "POST"])
@staff_view
def payment_page(request: PersonRequest, session: str) -> HttpResponse:
    """What was played with a payment, and what can be played next."""
    found = SandboxSession.objects.filter(session_id=session, payment_state="paid").first()
    if found is None or not sandbox_is_allowed():
        raise Http404
    form = SandboxReversalForm(request.POST or None)
    status = 200
    if request.method == "POST":
        status = 400
        if form.is_valid():
            try:
                _play(found, form)
            except PaymentRefused as refusal:
                words = _("The sandbox refused this: %(code)s") % {"code": refusal.code}
                form.add_error(None, words)
            else:
                return redirect("billing:sandbox_payment", session=session)
    return render(
        request,
        "billing/sandbox/payment.html",
        {
            "session": found,
            "form": form,
            "left_minor": reversing.left_of(found),
            "refunds": found.refunds.order_by("id"),
            "dispute": SandboxDispute.objects.filter(session=found).first(),
        },
        status=status,
    )


def _play(session: SandboxSession, form: SandboxReversalForm) -> None:
    now, session_id = utc_now(), session.session_id
    match form.cleaned_data["action"]:
        case "refund":
            amount = form.cleaned_data["amount_minor"] or reversing.left_of(session)
            reversing.refund(session_id=session_id, amount_minor=amount, now=now)
        case "dispute":
            reversing.dispute(session_id=session_id, now=now)
        case "win" | "lose" as end:
            reversing.close_dispute(session_id=session_id, won=end == "win", now=now)
        case "send_again":
            reversing.send_again(session_id=session_id, now=now)
    delivery.deliver_due_events(now=now)
