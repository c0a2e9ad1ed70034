"""The books for staff: wallet → transaction → call or order. A wallet is frozen here too."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import services as accounts
from accounts.access import PersonRequest, staff_view
from marketplace.ledger.models import Wallet
from marketplace.reconciliation import selectors, services
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError
from portal.ops.lookups import find_or_404

PAGE_SIZE = 25


class FreezeForm(forms.Form):
    """Why new calls are refused from now on."""

    reason = forms.CharField(
        label=_("Why"),
        help_text=_(
            "For staff and the audit log; the tenant reads only that the wallet is frozen."
        ),
        max_length=100,
    )


class LiftForm(forms.Form):
    """Why a freeze by staff ends."""

    freeze = forms.IntegerField(widget=forms.HiddenInput)
    reason = forms.CharField(label=_("Why it is lifted"), max_length=100)


@require_http_methods(["GET", "HEAD", "POST"])
@staff_view
def wallet(request: PersonRequest, wallet: int) -> HttpResponse:
    """Its equation, entries with breaks marked, holds, lots and freezes."""
    found = find_or_404(selectors.get_wallet, pk=wallet)
    posted = request.POST
    freezing = FreezeForm(posted if "freeze-reason" in posted else None, prefix="freeze")
    lifting = LiftForm(posted if "lift-reason" in posted else None, prefix="lift")
    if request.method == "POST" and _decide(request, found, freezing, lifting):
        return redirect("ops:wallet", wallet=found.pk)
    return render(request, "ops/wallet.html", _describe_wallet(request, found, freezing, lifting))


def _decide(request: PersonRequest, found: Wallet, freezing: FreezeForm, lifting: LiftForm) -> bool:
    """Whether what was posted is done; else the form says why not."""
    actor, now = accounts.actor_from_request(request), utc_now()
    form: forms.Form = freezing if freezing.is_bound else lifting
    try:
        if freezing.is_valid():
            reason = freezing.cleaned_data["reason"]
            services.freeze_wallet(wallet=found, reason=reason, actor=actor, now=now)
            messages.success(request, _("The wallet takes no new calls now."))
            return True
        if lifting.is_valid():
            services.lift_freeze(
                wallet=found,
                freeze_pk=lifting.cleaned_data["freeze"],
                reason=lifting.cleaned_data["reason"],
                actor=actor,
                now=now,
            )
            messages.success(request, _("The freeze is lifted."))
            return True
    except DomainError as refusal:
        form.add_error(None, str(refusal))
    return False


def _describe_wallet(
    request: PersonRequest, found: Wallet, freezing: FreezeForm, lifting: LiftForm
) -> dict[str, Any]:
    before, holds_before = _number(request, "before"), _number(request, "holds_before")
    links, has_older = selectors.list_chain(found, before=before, size=PAGE_SIZE)
    parts, has_older_parts = selectors.list_pending_parts(
        found, before=holds_before, size=PAGE_SIZE
    )
    seen = selectors.view_wallet(found)
    lift_forms = [
        (
            shown,
            lifting
            if str(lifting["freeze"].value()) == str(shown.freeze.pk)
            else LiftForm(prefix="lift", initial={"freeze": shown.freeze.pk}),
        )
        for shown in seen.freezes
    ]
    return {
        "seen": seen,
        "wallet": found,
        "links": links,
        "first_url": _url(request, "before", 0) if before else "",
        "older_url": _url(request, "before", links[-1].entry.wallet_seq) if has_older else "",
        "parts": parts,
        "holds_first_url": _url(request, "holds_before", 0) if holds_before else "",
        "holds_older_url": _url(request, "holds_before", parts[-1].pk) if has_older_parts else "",
        "freezing": freezing,
        "lift_forms": lift_forms,
        "refused": lifting if lifting.is_bound else freezing,
    }


@require_safe
@staff_view
def transaction(request: PersonRequest, transaction: str) -> HttpResponse:
    """Its entries and burns, and what it hangs together with."""
    found = find_or_404(selectors.get_transaction, public_id=transaction)
    return render(request, "ops/transaction.html", {"transaction": found})


@require_safe
@staff_view
def call(request: PersonRequest, call: str) -> HttpResponse:
    """A call with its hold, its usage and its charge."""
    found = find_or_404(selectors.get_call, public_id=call)
    event = getattr(found, "usage_event", None)
    context = {"call": found, "event": event, "charge": getattr(event, "charge", None)}
    return render(request, "ops/call.html", context)


@require_safe
@staff_view
def order(request: PersonRequest, order: str) -> HttpResponse:
    """An order with what it credited."""
    found, lots, transactions = find_or_404(selectors.get_order, public_id=order)
    context = {"order": found, "lots": lots, "transactions": transactions}
    return render(request, "ops/order.html", context)


def _number(request: PersonRequest, name: str) -> int:
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else 0


def _url(request: PersonRequest, name: str, value: int | None) -> str:
    query = request.GET.copy()
    query.pop(name, None)
    if value:
        query[name] = str(value)
    return f"?{query.urlencode()}"
