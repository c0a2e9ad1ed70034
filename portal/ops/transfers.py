"""Bank transfers: recorded from the bank's statement, matched to orders; refunds sent by bank."""

from decimal import Decimal

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts import services as accounts
from accounts.access import PersonRequest, staff_view
from marketplace.billing import services
from marketplace.billing.bank import books
from marketplace.billing.bank.account import bank_is_set_up, get_account
from marketplace.billing.currencies import SALE_CURRENCIES
from marketplace.billing.models import BankTransfer
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError
from portal.kernel.quantities import minor_digits
from portal.ops.lookups import find_or_404

MOST_MONEY = Decimal(10**12)


class TransferForm(forms.Form):
    """A line of the bank's statement."""

    bank_id = forms.CharField(
        label=_("The bank's transaction id"),
        help_text=_("As the statement has it: the same id is recorded once."),
        max_length=80,
    )
    currency = forms.ChoiceField(
        label=_("Currency"), choices=[(code, code) for code in SALE_CURRENCIES]
    )
    amount = forms.DecimalField(
        label=_("Amount"), min_value=0, max_value=MOST_MONEY, max_digits=16, decimal_places=3
    )
    value_date = forms.DateField(
        label=_("Value date"), widget=forms.DateInput(attrs={"type": "date"})
    )
    payer = forms.CharField(label=_("Payer"), max_length=140, required=False)
    text = forms.CharField(
        label=_("Payer's text"),
        widget=forms.Textarea(attrs={"rows": 3}),
        max_length=500,
        required=False,
    )

    def clean(self) -> dict[str, object]:
        """``amount_minor`` is the amount in whole minor units of its currency."""
        cleaned = super().clean() or {}
        amount, currency = cleaned.get("amount"), cleaned.get("currency")
        if isinstance(amount, Decimal) and currency:
            minor = amount.scaleb(minor_digits(str(currency)))
            if minor <= 0 or minor != int(minor):
                self.add_error("amount", _("Not an amount of this currency."))
            cleaned["amount_minor"] = int(minor)
        return cleaned


class MatchForm(forms.Form):
    """Which order it is for."""

    reference = forms.CharField(
        label=_("Payment reference or order number"),
        max_length=80,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class SentForm(forms.Form):
    """How sending the money went; the id is what the bank calls it."""

    went = forms.ChoiceField(choices=[("sent", ""), ("failed", "")])
    bank_id = forms.CharField(max_length=80, required=False)

    def clean(self) -> dict[str, object]:
        cleaned = super().clean() or {}
        if cleaned.get("went") == "sent" and not cleaned.get("bank_id"):
            self.add_error("bank_id", _("Say under which id the bank has sent it."))
        return cleaned


@require_http_methods(["GET", "HEAD", "POST"])
@staff_view
def transfer_list(request: PersonRequest) -> HttpResponse:
    """What waits to be matched and to be sent; a POST records a line of the statement."""
    form = TransferForm(request.POST or None)
    status = 200
    if request.method == "POST":
        status = 400
        if form.is_valid():
            said = form.cleaned_data
            try:
                recorded = services.record_transfer(
                    account=get_account().number,
                    bank_id=said["bank_id"],
                    amount_minor=said["amount_minor"],
                    currency=said["currency"],
                    value_date=said["value_date"],
                    payer=said["payer"],
                    text=said["text"],
                    user=request.user,
                    actor=accounts.actor_from_request(request),
                    now=utc_now(),
                )
            except DomainError as refusal:
                form.add_error(None, str(refusal))
                status = 409
            else:
                messages.success(request, _("Recorded. Its worth waits in suspense until matched."))
                return redirect("ops:transfer", transfer=recorded.public_id)
    context = {
        "form": form,
        "waiting": books.list_transfers(waiting=True),
        "others": books.list_transfers(waiting=False)[:50],
        "paybacks": books.list_paybacks(),
        "is_set_up": bank_is_set_up(),
    }
    return render(request, "ops/transfers.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@staff_view
def transfer_detail(request: PersonRequest, transfer: str) -> HttpResponse:
    """One transfer and the order that its text names; a POST matches it."""
    found = find_or_404(books.get_transfer, public_id=transfer)
    named = books.find_named_slip(found)
    form = MatchForm(request.POST or None, initial={"reference": named.reference if named else ""})
    status = 200
    if request.method == "POST":
        status = 400
        if form.is_valid():
            try:
                _match(request, found, form.cleaned_data["reference"])
            except DomainError as refusal:
                form.add_error(None, str(refusal))
                status = 409 if refusal.kind == "conflict" else 400
            else:
                return redirect("ops:transfer", transfer=transfer)
        found = find_or_404(books.get_transfer, public_id=transfer)
    slip = found.slip or named
    context = {
        "transfer": found,
        "form": form,
        "slip": slip,
        "order": books.find_order_of(slip) if slip else None,
    }
    return render(request, "ops/transfer.html", context, status=status)


@require_POST
@staff_view
def unmatch(request: PersonRequest, transfer: str) -> HttpResponse:
    """Undo a wrong match while nothing was credited."""
    found = find_or_404(books.get_transfer, public_id=transfer)
    try:
        services.unmatch_transfer(
            transfer=found, actor=accounts.actor_from_request(request), now=utc_now()
        )
    except DomainError as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("The match is undone. The transfer waits again."))
    return redirect("ops:transfer", transfer=transfer)


@require_POST
@staff_view
def record_payback(request: PersonRequest, payback: str) -> HttpResponse:
    """A refund that was sent by bank, or could not be."""
    found = find_or_404(books.get_payback, public_id=payback)
    form = SentForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Say under which id the bank has sent it."))
        return redirect("ops:transfers")
    bank_id = form.cleaned_data["bank_id"] if form.cleaned_data["went"] == "sent" else ""
    try:
        services.record_payback(
            payback=found,
            bank_id=bank_id,
            user=request.user,
            actor=accounts.actor_from_request(request),
            now=utc_now(),
        )
    except DomainError as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("Recorded. The order says so too."))
    return redirect("ops:transfers")


def _match(request: PersonRequest, found: BankTransfer, reference: str) -> None:
    credited = services.match_transfer(
        transfer=found,
        reference=reference,
        user=request.user,
        actor=accounts.actor_from_request(request),
        now=utc_now(),
    )
    if credited:
        messages.success(request, _("Matched. The order has its money and its tokens."))
    else:
        messages.success(request, _("Matched. The order waits for the rest of its money."))
