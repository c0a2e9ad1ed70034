"""Fapiao for staff: what is to be issued in the tax authority's system, and what was."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from accounts import services as accounts
from accounts.access import PersonRequest, staff_view
from marketplace.billing import fapiao as selectors
from marketplace.billing import services
from marketplace.billing.models import Fapiao, FapiaoState, kept_minor
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError
from portal.ops.lookups import find_or_404


class NumberForm(forms.Form):
    """What the authority's system says of a fapiao; ``amount_minor`` is what the page showed."""

    amount_minor = forms.IntegerField(widget=forms.HiddenInput, min_value=0, max_value=10**18)
    number = forms.CharField(
        label=_("Number"),
        max_length=40,
        help_text=_("20 digits, as the tax authority's system gave it."),
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )
    issued_on = forms.DateField(
        label=_("Issued on"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )


class DecisionForm(NumberForm):
    """Issued, or declined with words for the buyer."""

    decision = forms.ChoiceField(
        label=_("Decision"),
        choices=[
            ("issue", pgettext_lazy("fapiao", "Issued in the tax authority's system")),
            ("decline", pgettext_lazy("fapiao", "Declined")),
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
    field_order = ["amount_minor", "decision", "number", "issued_on", "note"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("number", "issued_on"):
            self.fields[name].required = False

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("decision") == "issue":
            for name in ("number", "issued_on"):
                if name not in self.errors and not cleaned.get(name):
                    self.add_error(name, _("This is needed once it is issued."))
        return cleaned


@require_safe
@staff_view
def fapiao_list(request: PersonRequest) -> HttpResponse:
    """What waits for us, the longest waiting first; then the others."""
    return render(
        request,
        "ops/fapiao_list.html",
        {
            "waiting": selectors.list_all_fapiao(waiting=True),
            "others": selectors.list_all_fapiao(waiting=False)[:50],
        },
    )


@require_http_methods(["GET", "HEAD", "POST"])
@staff_view
def fapiao_detail(request: PersonRequest, fapiao: str) -> HttpResponse:
    """All that has to be typed there, and the form that records what came of it."""
    found = find_or_404(selectors.get_any_fapiao, public_id=fapiao)
    form = _make_form(found, request.POST if request.method == "POST" else None)
    status = 200
    if request.method == "POST":
        status = 400
        if form.is_valid():
            try:
                _record(request, found, form.cleaned_data)
            except DomainError as refusal:
                form.add_error(refusal.data.get("field"), str(refusal))
            else:
                messages.success(request, _("Recorded. The buyer is told."))
                return redirect("ops:fapiao_list")
        found = find_or_404(selectors.get_any_fapiao, public_id=fapiao)
    return render(
        request,
        "ops/fapiao.html",
        {
            "fapiao": found,
            "lines": found.lines.all(),
            "form": form,
            "amount_minor": _amount(found),
            "refund_under_way": found.waits and selectors.is_being_refunded(fapiao=found),
            "moved_money": all(line.order.livemode for line in found.lines.all()),
        },
        status=status,
    )


def _make_form(found: Fapiao, said: QueryDict | None) -> NumberForm:
    """A decision that was sent is one, even if somebody else decided meanwhile and a red letter
    over the same amount is due by now."""
    if found.state == FapiaoState.RED_LETTER_DUE and (said is None or "decision" not in said):
        return NumberForm(said)
    return DecisionForm(said)


def _record(request: PersonRequest, found: Fapiao, said: dict[str, Any]) -> None:
    actor, now, user = accounts.actor_from_request(request), utc_now(), request.user
    if said.get("decision") == "decline":
        services.decline_fapiao(fapiao=found, user=user, note=said["note"], actor=actor, now=now)
        return
    record = services.issue_fapiao if "decision" in said else services.record_red_letter
    record(
        fapiao=found,
        user=user,
        number=said["number"],
        issued_on=said["issued_on"],
        expected_minor=said["amount_minor"],
        actor=actor,
        now=now,
    )


def _amount(fapiao: Fapiao) -> int:
    """What is to be issued now, or taken back in red; afterwards what was issued. In fen."""
    if fapiao.state == FapiaoState.RED_LETTER_DUE:
        return fapiao.red_due_minor
    if fapiao.amount_minor is not None:
        return fapiao.amount_minor
    return sum(kept_minor(line.order) for line in fapiao.lines.all())
