"""The queue of submitted listings: what changed, and the decision."""

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import services as accounts
from accounts.access import PersonRequest, staff_view
from marketplace.catalog import selectors, services
from marketplace.catalog.listing_query import ListingQuery
from marketplace.catalog.models import ReviewDecision, Service
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError
from portal.ops.lookups import find_or_404


class DecisionForm(forms.Form):
    """Approve, or send back with words that help."""

    decision = forms.ChoiceField(
        label=_("Decision"),
        choices=[
            (value, label)
            for value, label in ReviewDecision.choices
            if value != ReviewDecision.WITHDRAWN
        ],
        widget=forms.RadioSelect,
    )
    note = forms.CharField(
        label=_("Note to the provider"),
        help_text=_("Needed unless you approve: say what has to change."),
        widget=forms.Textarea(attrs={"rows": 4}),
        required=False,
        max_length=2000,
    )

    def clean(self) -> dict[str, object]:
        cleaned = super().clean() or {}
        decision = cleaned.get("decision")
        if decision and decision != ReviewDecision.APPROVED and not cleaned.get("note"):
            self.add_error("note", _("Say what has to change before this can go live."))
        return cleaned


@require_safe
@staff_view
def review_list(request: PersonRequest) -> HttpResponse:
    """Open reviews, the longest waiting first."""
    return render(request, "ops/reviews.html", {"reviews": selectors.list_open_reviews()})


@require_http_methods(["GET", "HEAD", "POST"])
@staff_view
def review_detail(request: PersonRequest, review: str) -> HttpResponse:
    """One submission with its differences; the decision is made on the same page."""
    found = find_or_404(selectors.get_review, review)
    form = DecisionForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            services.decide_review(
                review=found,
                decision=form.cleaned_data["decision"],
                decided_by=request.user,
                note=form.cleaned_data["note"],
                actor=accounts.actor_from_request(request),
                now=utc_now(),
            )
        except DomainError as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, _("The decision is stored and the provider sees it."))
            return redirect("ops:reviews")
    return render(
        request,
        "ops/review.html",
        {
            "review": found,
            "changes": selectors.get_review_diff(found),
            "market": _list_rivals(found.service),
            "form": form,
        },
    )


def _list_rivals(service: Service) -> list[selectors.ServiceCard]:
    """What others ask for the same model, cheapest first."""
    cards = selectors.list_model_services(model=service.model, query=ListingQuery(), now=utc_now())
    return [card for card in cards if card.service.pk != service.pk]
