"""Debts: who owes for tokens that its bank took the money of, and how so much of it was settled."""

import secrets
from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import services as accounts
from accounts.access import PersonRequest, staff_view
from marketplace.ledger.services import PostedDifferently
from marketplace.reconciliation import selectors, services
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError
from portal.kernel.quantities import MILLITOKENS_PER_TARIFF_UNIT
from portal.ops.lookups import find_or_404


class SettleForm(forms.Form):
    """``owed`` is what the page showed, in millitokens; ``key`` says which submit this is."""

    key = forms.CharField(widget=forms.HiddenInput, min_length=22, max_length=64)
    owed = forms.IntegerField(widget=forms.HiddenInput, min_value=1, max_value=10**18)
    end = forms.ChoiceField(
        label=_("How it was settled"),
        choices=services.DebtEnd.choices,
        widget=forms.RadioSelect,
    )
    amount = forms.DecimalField(
        help_text=_("Empty: all that is owed."),
        required=False,
        min_value=Decimal("0.01"),
        max_digits=11,
        decimal_places=2,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    note = forms.CharField(
        label=_("Note"),
        help_text=_("The transfer, or why it is forgiven. The company reads it in its audit log."),
        widget=forms.Textarea(attrs={"rows": 3}),
        max_length=200,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["amount"].label = _("How much, in %(currency)s") % {
            "currency": settings.TARIFF_CURRENCY
        }

    @property
    def amount_millitokens(self) -> int:
        """Exact: a hundredth of the tariff currency is a whole number of millitokens."""
        amount: Decimal | None = self.cleaned_data["amount"]
        if amount is None:
            return int(self.cleaned_data["owed"])
        return int(amount * MILLITOKENS_PER_TARIFF_UNIT)


@require_safe
@staff_view
def debt_list(request: PersonRequest) -> HttpResponse:
    """Everybody who owes, the dearest first."""
    return render(request, "ops/debts.html", {"debts": selectors.list_debts()})


@require_http_methods(["GET", "HEAD", "POST"])
@staff_view
def debt_detail(request: PersonRequest, debtor: str) -> HttpResponse:
    """What one company owes; what was settled of it is recorded on the same page."""
    debt = find_or_404(selectors.get_debt, organisation_public_id=debtor)
    form = SettleForm(request.POST if request.method == "POST" else None)
    status, key = 200, secrets.token_urlsafe(16)
    if request.method == "POST":
        status = 400
        if form.is_valid():
            try:
                _settle(request, debt, form)
            except PostedDifferently as refusal:
                form.add_error(None, str(refusal))
            except DomainError as refusal:
                form.add_error(None, str(refusal))
                key = form.cleaned_data["key"]
            else:
                return redirect("ops:debt", debtor=debtor)
        debt = find_or_404(selectors.get_debt, organisation_public_id=debtor)
    return render(
        request,
        "ops/debt.html",
        {
            "debt": debt,
            "form": form,
            "key": key,
            "takes_two": services.needs_two(debt.owed_millitokens),
        },
        status=status,
    )


def _settle(request: PersonRequest, debt: selectors.Debt, form: SettleForm) -> None:
    left = services.settle_debt(
        debt=debt,
        end=services.DebtEnd(form.cleaned_data["end"]),
        amount_millitokens=form.amount_millitokens,
        note=form.cleaned_data["note"],
        key=form.cleaned_data["key"],
        user=request.user,
        actor=accounts.actor_from_request(request),
        now=utc_now(),
    )
    if left:
        messages.success(
            request, _("Recorded. The rest is still owed, so the wallets stay frozen.")
        )
    else:
        messages.success(request, _("Recorded. Nothing is owed any more; the wallets are free."))
