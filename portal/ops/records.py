"""Where staff see the thing that a text names: "call:call_…", "hold:hld_…", "order:ord_…"."""

from django.urls import reverse

# The operator's own pages, by the word before the colon: (route, argument).
_PAGES = {
    "call": ("ops:call", "call"),
    "order": ("ops:order", "order"),
    "transaction": ("ops:transaction", "transaction"),
    "entry": ("ops:transaction", "transaction"),
    "debt": ("ops:debt", "debtor"),
    "owed_back": ("ops:debt", "debtor"),
}
# Elsewhere the stock admin finds it.
_LISTS = {
    "wallet": "admin:ledger_wallet_changelist",
    "hold": "admin:ledger_hold_changelist",
    "lot": "admin:ledger_lot_changelist",
    "limit": "admin:ledger_limit_changelist",
    "event": "admin:billing_inboxevent_changelist",
    "payment": "admin:billing_moneymovement_changelist",
    "reversal": "admin:billing_moneymovement_changelist",
    "movement": "admin:billing_moneymovement_changelist",
}
# Named by whose they are, too: "event:stripe:evt_…", or by the unit: "debt:live:org_…". What the
# ledger calls a payment is ours.
_NAMED_LAST = ("event", "payment", "reversal", "movement", "debt", "owed_back")


def link_reference(text: str) -> str:
    """The address, or empty where nothing is known to be there."""
    kind, _colon, rest = text.partition(":")
    first, _colon, last = rest.partition(":")
    key = last if kind in _NAMED_LAST else first.split("/")[0]
    if not key:
        return ""
    if kind in _PAGES:
        name, argument = _PAGES[kind]
        return reverse(name, kwargs={argument: key})
    return f"{reverse(_LISTS[kind])}?q={key}" if kind in _LISTS else ""
