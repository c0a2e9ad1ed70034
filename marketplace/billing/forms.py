"""Forms of buying. All work as plain HTML; what they refuse is said in whole sentences."""

import secrets
from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from marketplace.billing.models import FapiaoKind
from marketplace.billing.models.orders import BY_TRANSFER
from marketplace.billing.offers import MAX_QUANTITY
from marketplace.billing.sandbox.cards import LAST4_BY_STATE
from marketplace.billing.sandbox.processor import MAX_DELAY
from marketplace.billing.selectors import FORM_KEY_PREFIX
from marketplace.catalog.selectors import CallableService
from marketplace.catalog.workload import DEFAULT_WORKLOAD, MOST_CALLS, MOST_WORDS, Workload

_FOR_SPECIAL = _("For a special fapiao only.")


class CalculatorForm(forms.Form):
    """A workload and the service that it would run on; a GET form, so its answer has a URL."""

    service = forms.ChoiceField(label=_("Service"))
    calls = forms.IntegerField(label=_("Calls a month"), min_value=1, max_value=MOST_CALLS)
    words_in = forms.IntegerField(label=_("Words in, per call"), min_value=0, max_value=MOST_WORDS)
    words_out = forms.IntegerField(
        label=_("Words out, per call"), min_value=0, max_value=MOST_WORDS
    )

    def __init__(self, *args: Any, services: Sequence[CallableService], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["service"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(service.slug, _label(service)) for service in services]
        for name in ("calls", "words_in", "words_out"):
            self.fields[name].widget.attrs["inputmode"] = "numeric"

    @property
    def workload(self) -> Workload:
        """What was asked, or an office's e-mail when the form is empty or was refused."""
        if not self.is_bound or not self.is_valid():
            return DEFAULT_WORKLOAD
        return Workload(
            calls=self.cleaned_data["calls"],
            words_in=self.cleaned_data["words_in"],
            words_out=self.cleaned_data["words_out"],
        )


def _label(service: CallableService) -> str:
    """The model and who serves it; samples carry made-up prices and say so."""
    words = {"model": service.model_name, "provider": service.provider_name}
    if service.is_sample:
        return _("%(model)s, %(provider)s (sample price)") % words
    return _("%(model)s, %(provider)s") % words


class OrderForm(forms.Form):
    """The review page's form. The hidden fields say what was reviewed, and which submit this is.

    ``key`` is made when the page is: a double click sends the same one and gets the same order.
    """

    pack = forms.SlugField(widget=forms.HiddenInput)
    currency = forms.CharField(widget=forms.HiddenInput, max_length=3)
    quantity = forms.IntegerField(
        widget=forms.HiddenInput, min_value=1, max_value=MAX_QUANTITY, initial=1
    )
    terms = forms.CharField(widget=forms.HiddenInput, max_length=64)
    key = forms.CharField(widget=forms.HiddenInput, max_length=64)
    # The purchase request that the order approves.
    asked = forms.CharField(widget=forms.HiddenInput, max_length=40, required=False)
    # The button that was pressed: the pay page's, or that of a bank transfer.
    way = forms.ChoiceField(choices=[("", ""), (BY_TRANSFER, "")], required=False)
    purchase_reference = forms.CharField(
        label=_("Your reference"),
        help_text=_("A purchase order number or cost centre; it is printed on the invoice."),
        max_length=80,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


def make_form_key() -> str:
    return f"{FORM_KEY_PREFIX}{secrets.token_urlsafe(16)}"


class PurchaseRequestForm(forms.Form):
    """What a member asks for; ``key`` says which submit this is, as on the review page."""

    pack = forms.SlugField(widget=forms.HiddenInput)
    currency = forms.CharField(widget=forms.HiddenInput, max_length=3)
    key = forms.CharField(widget=forms.HiddenInput, max_length=64)
    quantity = forms.IntegerField(
        label=_("Quantity"),
        min_value=1,
        max_value=MAX_QUANTITY,
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )
    note = forms.CharField(
        label=_("What it is for"),
        help_text=_("Owners and billing read it."),
        widget=forms.Textarea(attrs={"rows": 3}),
        max_length=500,
        required=False,
    )


class DeclinePurchaseForm(forms.Form):
    """Why not, for who asked."""

    answer = forms.CharField(
        label=_("Why not"),
        help_text=_("Who asked reads it."),
        widget=forms.Textarea(attrs={"rows": 3}),
        max_length=500,
        error_messages={"required": _("Say why, so that your colleague understands.")},
    )


class RefundForm(forms.Form):
    """``amount_minor`` is what the page showed."""

    amount_minor = forms.IntegerField(widget=forms.HiddenInput, min_value=1)
    reason = forms.CharField(
        label=_("Why"),
        widget=forms.Textarea(attrs={"rows": 3}),
        max_length=500,
        required=False,
    )


class FapiaoForm(forms.Form):
    """What a fapiao names; the service knows what a special one needs."""

    orders = forms.MultipleChoiceField(
        label=_("For these orders"),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"invalid_choice": _("One of these orders cannot have a fapiao now.")},
    )
    kind = forms.ChoiceField(
        label=_("Kind"),
        choices=FapiaoKind.choices,
        initial=FapiaoKind.ORDINARY,
        widget=forms.RadioSelect,
        help_text=_("With a special one a general VAT taxpayer can deduct the tax."),
    )
    title = forms.CharField(
        label=_("Fapiao title"),
        max_length=100,
        help_text=_("The company's name as it is registered."),
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )
    tax_id = forms.CharField(
        label=_("Tax number"),
        max_length=40,
        help_text=_("The unified social credit code, 18 digits and letters."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    email = forms.EmailField(
        label=_("E-mail"),
        max_length=254,
        help_text=_("The fapiao is sent there."),
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    address = forms.CharField(
        label=_("Registered address"), max_length=200, required=False, help_text=_FOR_SPECIAL
    )
    phone = forms.CharField(label=_("Phone"), max_length=40, required=False, help_text=_FOR_SPECIAL)
    bank = forms.CharField(label=_("Bank"), max_length=100, required=False, help_text=_FOR_SPECIAL)
    bank_account = forms.CharField(
        label=_("Bank account"), max_length=40, required=False, help_text=_FOR_SPECIAL
    )

    def __init__(self, *args: Any, orders: Sequence[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["orders"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = orders


class SandboxReversalForm(forms.Form):
    """The buttons of the sandbox's back office; no amount is all that is left."""

    action = forms.ChoiceField(
        choices=[(value, "") for value in ("refund", "dispute", "win", "lose", "send_again")]
    )
    amount_minor = forms.IntegerField(
        label=_("Amount in the smallest coin; empty for all that is left"),
        min_value=1,
        required=False,
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )


class SandboxForm(forms.Form):
    """The sandbox's buttons: ``action`` is the button's value; only a delay needs the seconds."""

    action = forms.ChoiceField(
        choices=[("pay", ""), ("decline", ""), ("delay", ""), ("abandon", "")],
        error_messages={"required": _("Choose how the payment should go.")},
    )
    seconds = forms.IntegerField(
        label=_("Seconds until the payment succeeds"),
        min_value=1,
        max_value=int(MAX_DELAY.total_seconds()),
        initial=10,
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.is_bound and self.data.get("action") != "delay":
            self.fields["seconds"].required = False


class SandboxCardForm(forms.Form):
    """The cards that the sandbox offers; "" is to leave without one."""

    card = forms.ChoiceField(choices=[(value, "") for value in LAST4_BY_STATE], required=False)


class VoucherForm(forms.Form):
    """A code as it was handed out; spaces, hyphens and small letters don't matter."""

    code = forms.CharField(
        label=_("Voucher code"),
        max_length=60,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "characters"}),
    )
