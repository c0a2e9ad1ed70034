"""Refund requests: what is asked, what the order has been through, and the decision."""

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from accounts import services as accounts
from accounts.access import PersonRequest, staff_view
from marketplace.billing import selectors, services
from marketplace.billing.models import RefundRequest
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError
from portal.ops.lookups import find_or_404


class RefundDecisionForm(forms.Form):
    """Approve, or decline with words for the buyer."""

    decision = forms.ChoiceField(
        label=_("Decision"),
        choices=[
            ("approve", pgettext_lazy("refund", "Approve: the money goes back")),
            ("decline", pgettext_lazy("refund", "Decline: the tokens come back")),
        ],
        widget=forms.RadioSelect,
    )
    note = forms.CharField(
        label=_("Note to the buyer"),
        help_text=_("Needed if you decline; the buyer reads it."),
        widget=forms.Textarea(attrs={"rows": 3}),
        required=False,
        max_length=500,
    )

    def clean(self) -> dict[str, object]:
        cleaned = super().clean() or {}
        if cleaned.get("decision") == "decline" and not cleaned.get("note"):
            self.add_error("note", _("Say why, so that the buyer understands."))
        return cleaned


@require_safe
@staff_view
def refund_list(request: PersonRequest) -> HttpResponse:
    """Requests that wait for us, the longest waiting first; then those that came to an end."""
    return render(
        request,
        "ops/refunds.html",
        {
            "waiting": selectors.list_refund_requests(waiting=True),
            "others": selectors.list_refund_requests(waiting=False)[:50],
        },
    )


@require_http_methods(["GET", "HEAD", "POST"])
@staff_view
def refund_detail(request: PersonRequest, refund: str) -> HttpResponse:
    """One request; the decision is made on the same page."""
    found = find_or_404(selectors.get_refund_request, public_id=refund)
    form = RefundDecisionForm(request.POST or None)
    status = 200
    if request.method == "POST":
        status = 400
        if form.is_valid():
            try:
                _decide(request, found, form)
            except DomainError as refusal:
                form.add_error(None, str(refusal))
            else:
                return redirect("ops:refunds")
    found = find_or_404(selectors.get_refund_request, public_id=refund)
    return render(
        request,
        "ops/refund.html",
        {
            "asked": found,
            "order": found.order,
            "form": form,
            "needs_two": services.needs_two(found),
        },
        status=status,
    )


def _decide(request: PersonRequest, found: RefundRequest, form: RefundDecisionForm) -> None:
    actor, now = accounts.actor_from_request(request), utc_now()
    if form.cleaned_data["decision"] == "decline":
        services.decline_refund(
            request=found,
            user=request.user,
            note=form.cleaned_data["note"],
            actor=actor,
            now=now,
        )
        messages.success(request, _("Declined. The tokens are back in the wallet."))
    elif services.approve_refund(request=found, user=request.user, actor=actor, now=now):
        messages.success(request, _("Approved. The money is being sent."))
    else:
        messages.success(request, _("Agreed. A second person has to approve it now."))
