"""Redeeming a voucher: one field, and the same answer to every code that does not work."""

from allauth.core import ratelimit
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.access import OrganisationRequest, organisation_view
from accounts.models import Role
from accounts.services import actor_from_request
from marketplace.billing import services
from marketplace.billing.forms import VoucherForm
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError
from portal.kernel.quantities import format_tokens_exact


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_view(role=Role.BILLING)
def redeem(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """Every try counts, good or bad: guessing stops long before it finds anything."""
    if request.method != "POST":
        return render(request, "billing/voucher.html", {"form": VoucherForm()})
    form = VoucherForm(request.POST)
    if not form.is_valid():
        return render(request, "billing/voucher.html", {"form": form}, status=400)
    if not ratelimit.consume(request, action="redeem_voucher", user=request.user):
        form.add_error("code", _("You tried many codes. Please wait an hour."))
        return render(request, "billing/voucher.html", {"form": form}, status=429)
    try:
        redemption = services.redeem_voucher(
            organisation=request.organisation,
            user=request.user,
            code=form.cleaned_data["code"],
            actor=actor_from_request(request),
            now=utc_now(),
        )
    except DomainError as refusal:
        form.add_error("code", str(refusal))
        return render(request, "billing/voucher.html", {"form": form}, status=409)
    tokens = format_tokens_exact(redemption.voucher.batch.millitokens)
    messages.success(request, _("%(tokens)s tokens are in your wallet.") % {"tokens": tokens})
    return redirect("web:wallet", organisation=organisation)
