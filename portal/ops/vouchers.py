"""Batches of vouchers: made here, and handed over as a file that exists once."""

import csv
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts import services as accounts
from accounts.access import PersonRequest, staff_view
from marketplace.billing import selectors, services
from portal.kernel.clock import utc_now
from portal.kernel.csv_cells import safe_cell
from portal.kernel.errors import DomainError
from portal.kernel.quantities import MILLITOKENS_PER_TOKEN
from portal.ops.lookups import find_or_404


class BatchForm(forms.Form):
    """The terms of new codes; the service knows their bounds.

    ``key`` is made when the page is: a double click sends the same one and gets the same codes.
    """

    key = forms.CharField(widget=forms.HiddenInput, min_length=22, max_length=64)

    name = forms.CharField(
        label=_("Name"),
        max_length=80,
        help_text=_("For staff and in the redeemer's audit log."),
    )
    codes = forms.IntegerField(label=_("Codes"), initial=1)
    tokens = forms.IntegerField(label=_("Tokens, per redemption"))
    scope = forms.ChoiceField(label=_("Good for"), required=False)
    redeemable_until = forms.DateTimeField(
        label=_("Can be redeemed until (UTC)"),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    tokens_expire_after_days = forms.IntegerField(
        label=_("Tokens expire after days"), required=False, help_text=_("Empty: they don't.")
    )
    uses_per_code = forms.IntegerField(label=_("Organisations that may redeem one code"), initial=1)
    codes_per_organisation = forms.IntegerField(
        label=_("Codes that one organisation may redeem"), initial=1
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        scopes = services.list_voucher_scopes()
        field = self.fields["scope"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = list(selectors.describe_scopes(scopes).items())


@require_http_methods(["GET", "HEAD", "POST"])
@staff_view
def voucher_list(request: PersonRequest) -> HttpResponse:
    """All batches; a POST makes one and answers with its codes."""
    asks = request.method == "POST"
    form = BatchForm(request.POST if asks else None, initial={"key": services.make_voucher_key()})
    status = 400 if asks else 200
    if asks and form.is_valid():
        terms = dict(form.cleaned_data)
        try:
            _batch, codes = services.create_vouchers(
                millitokens=terms.pop("tokens") * MILLITOKENS_PER_TOKEN,
                **terms,
                user=request.user,
                actor=accounts.actor_from_request(request),
                now=utc_now(),
            )
        except services.VoucherKeyReused as refusal:
            form.add_error(None, str(refusal))
            status = 409
            form.data = {**request.POST.dict(), "key": services.make_voucher_key()}
        except DomainError as refusal:
            field = str(refusal.data.get("field", ""))
            form.add_error({"millitokens": "tokens"}.get(field, field) or None, str(refusal))
        else:
            return _send_codes(terms["name"], codes)
    return render(
        request,
        "ops/vouchers.html",
        {"form": form, "batches": selectors.list_voucher_batches(), "now": utc_now()},
        status=status,
    )


@require_POST
@staff_view
def withdraw(request: PersonRequest, batch: str) -> HttpResponse:
    """For codes that leaked or were lost; what was redeemed stays."""
    services.withdraw_vouchers(
        batch=find_or_404(selectors.get_voucher_batch, batch),
        actor=accounts.actor_from_request(request),
        now=utc_now(),
    )
    messages.success(request, _("The codes of this batch can no longer be redeemed."))
    return redirect("ops:vouchers")


def _send_codes(name: str, codes: list[str]) -> HttpResponse:
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="vouchers.csv"'
    writer = csv.writer(response)
    writer.writerow(["batch", "code"])
    writer.writerows([safe_cell(name), code] for code in codes)
    return response
