"""The wallet: what is there, in which order it burns, and every entry that moved it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.access import OrganisationRequest, organisation_view
from accounts.models import Role
from marketplace.billing import selectors as billing
from marketplace.ledger import selectors as ledger
from marketplace.ledger.models import AccountKind, Entry, Unit
from portal.kernel.clock import utc_now

PAGE_SIZE = 50
# Where an entry's reference ("call:call_…") leads, by the word before the colon.
_PAGES = {"call": ("metering:request", "call"), "order": ("billing:order", "order")}
# A call is paid to two: its price is split, and each part is an entry.
_RECEIVERS: dict[str, Any] = {
    AccountKind.PAYABLE: _("to the provider"),
    AccountKind.COMMISSION: _("the market's commission"),
}


@dataclass(frozen=True)
class Movement:
    """An entry as its wallet's owner reads it: in or out, and the balance after it."""

    entry: Entry
    signed_millitokens: int
    url: str
    receiver: str  # in words, where one call has two receivers
    by_itself: bool  # bought by an automatic top-up


@require_safe
@organisation_view()
def wallet(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """Balance for everybody; lots and entries for billing members and owners."""
    tenant = request.organisation
    unit = Unit.TEST if request.GET.get("unit") == Unit.TEST else Unit.LIVE
    sees_all = request.membership.role in {Role.OWNER, Role.BILLING}
    wallets = list(ledger.list_wallets(owner_key=tenant.public_id, unit=unit))
    scopes = [item.scope for item in wallets]
    scope = request.GET.get("scope", "")
    scope = scope if scope in scopes else ""
    frozen = any(item.frozen for item in wallets)
    context = {
        "unit": unit,
        "units": Unit.choices,
        "balance": ledger.get_balance(owner_key=tenant.public_id, unit=unit),
        "freeze_reference": ledger.get_freeze_reference(owner_key=tenant.public_id, unit=unit)
        if frozen
        else "",
        "sees_all": sees_all,
        "now": utc_now(),
    }
    if sees_all:
        labels = billing.describe_scopes({*scopes, ""})
        movements, newer_url, older_url = _list_movements(request, unit, scope)
        context |= {
            "lots": [
                (lot, labels[lot.wallet.scope])
                for lot in ledger.list_lots(owner_key=tenant.public_id, unit=unit)
            ],
            "scopes": [(item, labels[item]) for item in scopes],
            "scope": scope,
            "movements": movements,
            "newer_url": newer_url,
            "older_url": older_url,
        }
    return render(request, "web/wallet.html", context)


def _list_movements(
    request: OrganisationRequest, unit: str, scope: str
) -> tuple[list[Movement], str, str]:
    """A page of the wallet's chain, newest first, by position; and the ways on."""
    entries = ledger.list_entries(
        owner_key=request.organisation.public_id, unit=unit, scope=scope
    ).select_related("credit_account")
    text = request.GET.get("before", "")
    before = int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else 0
    newest = entries.first()
    newer_url = ""
    if before and newest and before <= (newest.wallet_seq or 0):
        newer_url = _url(request, before + PAGE_SIZE)
    page = list((entries.filter(wallet_seq__lt=before) if before else entries)[: PAGE_SIZE + 1])
    shown = page[:PAGE_SIZE]
    older_url = _url(request, shown[-1].wallet_seq or 0) if len(page) > PAGE_SIZE else ""
    top_ups = billing.find_top_ups(entry.transaction.reference for entry in shown)
    movements = [_as_movement(request, entry, top_ups) for entry in shown]
    return movements, newer_url, older_url


def _as_movement(request: OrganisationRequest, entry: Entry, top_ups: Collection[str]) -> Movement:
    assert entry.wallet is not None
    comes_in = entry.credit_account_id == entry.wallet.account_id
    kind, _colon, public_id = entry.transaction.reference.partition(":")
    url = ""
    if kind in _PAGES and public_id:
        name, argument = _PAGES[kind]
        url = reverse(name, kwargs={"organisation": request.organisation.slug, argument: public_id})
    amount = entry.amount_millitokens if comes_in else -entry.amount_millitokens
    receiver = str(_RECEIVERS.get(entry.credit_account.kind, ""))
    by_itself = entry.transaction.reference in top_ups
    return Movement(entry, amount, url, receiver, by_itself)


def _url(request: OrganisationRequest, before: int) -> str:
    query = request.GET.copy()
    query["before"] = str(before)
    return f"?{query.urlencode()}"
