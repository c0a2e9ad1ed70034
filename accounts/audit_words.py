"""How audit events read. An action of another room that stands not here shows its code."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import get_language, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from accounts.key_words import SCOPES
from accounts.models import AuditEvent, CapPeriod, KeyKind, Role
from accounts.services.audit import SYSTEM_ACTOR
from portal.kernel import quantities

# Parts of the log: what the actions in them begin with.
AREA_PREFIXES = {
    "keys": ("api_key.",),
    "team": ("member.", "invitation."),
    "organisation": ("organisation.", "policy.", "trial.", "budget.", "webhook."),
    "orders": (
        "order.",
        "refund.",
        "pack.",
        "voucher.",
        "purchase.",
        "debt.",
        "fapiao.",
        "top_up.",
        "card.",
        "transfer.",
        "payback.",
    ),
    "services": ("service.", "provider.", "review.", "price.", "grant."),
}
AREAS = {
    "keys": _("Keys"),
    "team": _("Team"),
    "organisation": _("Organisation"),
    "orders": _("Orders"),
    "services": _("Own services"),
}
ACTIONS = {
    "api_key.created": _("Key created"),
    "api_key.suspended": _("Key suspended"),
    "api_key.resumed": _("Key resumed"),
    "api_key.rotated": _("Key rotated"),
    "api_key.revoked": _("Key revoked"),
    "api_key.handed_over": _("Key handed over"),
    "api_key.access_changed": _("Limits and access of a key changed"),
    "api_key.policy_changed": _("Policy of a key changed"),
    "policy.changed": _("Policy changed"),
    "invitation.sent": _("Invitation sent"),
    "invitation.accepted": _("Invitation accepted"),
    "invitation.withdrawn": _("Invitation withdrawn"),
    "member.role_changed": _("Role changed"),
    "member.removed": _("Member removed"),
    "member.left": _("Member left"),
    "organisation.created": _("Organisation created"),
    "organisation.verified": _("Organisation verified"),
    "organisation.changed": _("Settings changed"),
    "budget.created": _("Budget made"),
    "budget.changed": _("Budget changed"),
    "budget.archived": _("Budget archived"),
    "webhook.created": _("Webhook added"),
    "webhook.changed": _("Webhook changed"),
    "webhook.secret_changed": _("Secret of a webhook changed"),
    "webhook.resumed": _("Webhook switched on again"),
    "webhook.removed": _("Webhook removed"),
    "trial.granted": _("Trial tokens granted"),
    "order.started": _("Order started"),
    "voucher.redeemed": _("Voucher redeemed"),
    "order.paid": _("Order paid"),
    "order.paid_again": _("Order paid a second time"),
    "order.declined": _("Payment declined"),
    "order.cancelled": _("Order cancelled"),
    "order.expired": _("Order expired"),
    "order.mismatched": _("Payment did not match the order"),
    "order.reversed": _("Payment went back"),
    "order.disputed": _("Payment disputed at the bank"),
    "refund.requested": _("Refund asked for"),
    "refund.seconded": _("Refund agreed to by one of two"),
    "refund.approved": _("Refund approved"),
    "refund.declined": _("Refund declined"),
    "refund.withdrawn": _("Refund request withdrawn"),
    "refund.paid": _("Refund paid"),
    "refund.failed": _("Refund failed"),
    "transfer.recorded": _("Bank transfer recorded"),
    "transfer.matched": _("Bank transfer matched to an order"),
    "transfer.unmatched": _("Match of a bank transfer undone"),
    "payback.sent": _("Refund sent by bank"),
    "payback.failed": _("Refund could not be sent by bank"),
    "purchase.requested": _("Purchase asked for"),
    "purchase.ordered": _("Purchase request approved and ordered"),
    "purchase.declined": _("Purchase request declined"),
    "purchase.withdrawn": _("Purchase request withdrawn"),
    "fapiao.requested": _("Fapiao asked for"),
    "fapiao.withdrawn": _("Fapiao request withdrawn"),
    "fapiao.issued": _("Fapiao issued"),
    "fapiao.declined": _("Fapiao declined"),
    "fapiao.red_lettered": _("Red-letter fapiao issued"),
    "debt.paid": _("Debt paid by transfer"),
    "debt.forgiven": _("Debt forgiven"),
    "top_up.agreed": _("Automatic top-up agreed to"),
    "top_up.ended": _("Automatic top-up ended"),
    "card.saved": _("Card saved"),
    "card.removed": _("Card removed"),
    "provider.created": _("Provider profile created"),
    "provider.updated": _("Provider profile changed"),
    "provider.commission_changed": _("Commission changed"),
    "service.created": _("Service drafted"),
    "service.updated": _("Service changed"),
    "service.change_submitted": _("Change of a service submitted"),
    "service.submitted": _("Service submitted for review"),
    "service.review_withdrawn": _("Review withdrawn"),
    "service.review_approved": _("Review: approved"),
    "service.review_changes_requested": _("Review: changes requested"),
    "service.review_rejected": _("Review: rejected"),
    "service.price_added": _("Prices set"),
    "service.connected": _("Endpoint connected"),
    "service.disconnected": _("Endpoint disconnected"),
    "service.paused": _("Service paused"),
    "service.resumed": _("Service resumed"),
    "service.retired": _("Service retired"),
}
FIELDS = {
    "role": _("role"),
    "name": _("company"),
    "legal_name": _("legal name"),
    "address": _("address"),
    "tax_id": _("tax id"),
    "country": _("country"),
    "timezone": _("time zone"),
    "billing_email": _("billing e-mail"),
    "two_factor_required": _("two-factor sign-in required"),
    "low_balance_tokens": _("warn below so many tokens"),
    "kind": _("kind"),
    "scopes": _("rights"),
    "cap_millitokens": _("cap, in tokens"),
    "cap_period": _("cap counts"),
    "max_millitokens": _("at most, in tokens"),
    "url": _("web address"),
    "event_types": _("events"),
    "alert_percentages": _("told at, in percent"),
    "expires_at": _("expires"),
    "allowed_services": _("allowed services"),
    "requests_per_minute": _("requests per minute"),
    "tokens_per_minute": _("model tokens per minute"),
    "allowed_networks": _("allowed addresses"),
    "allowed_origins": _("allowed web sites"),
    "regions": _("regions"),
    "countries": _("countries"),
    "licences": _("licences"),
    "providers": _("providers"),
    "no_training": _("no training on prompts"),
    "most_retention_days": _("days that prompts may be kept"),
    "least_bits": _("bits per weight, at least"),
    "policy_mark": _("mark of the policy"),
    "rotated_to": _("new key"),
    "keys_suspended": _("keys suspended"),
    "keys_handed_over": _("keys handed over"),
    "holder": _("holder"),
    "owner": _("owner"),
    "terms": _("terms of use"),
    "joined": _("joined"),
    "tokens": _("tokens"),
    "days": _("days"),
    "status": _("state"),
    "amount_minor": _("amount"),
    "currency": _("currency"),
    "quantity": _("quantity"),
    "threshold_millitokens": _("when fewer tokens are free"),
    "cap_minor": _("most in one month"),
    "reason": _("reason"),
    "invoice": _("invoice"),
    "credit_note": _("credit note"),
    # Invoices were called so in the log once.
    "receipt": _("receipt"),
    "effective_at": _("in force from"),
    "number": _("number"),
    "input_millitokens": _("input, in wallet tokens"),
    "cached_input_millitokens": _("input from the cache, in wallet tokens"),
    "output_millitokens": _("output, in wallet tokens"),
    "request_millitokens": _("per request, in wallet tokens"),
    "review": _("review"),
    "note": _("note"),
    "title": _("fapiao title"),
    "owed_millitokens": _("owed, in tokens"),
    "fields": _("fields"),
    "endpoint_url": _("endpoint"),
    "credential": _("credential"),
    "commission_basis_points": _("commission in hundredths of a percent"),
}
# Codes that a field's values are kept as; states of orders and services are codes of other rooms.
VALUES: dict[str, Mapping[str, Any]] = {
    "role": dict(Role.choices),
    "kind": dict(KeyKind.choices),
    "scopes": SCOPES,
    "cap_period": dict(CapPeriod.choices),
    "reason": {
        "replaced": _("replaced by another agreement"),
        "switched_off": _("switched off"),
        "card_removed": _("the card was removed"),
        "offer_changed": _("the price or the terms of the pack changed"),
        "failures": _("three payments in a row failed"),
    },
    "status": {
        "draft": _("Draft"),
        "pending": _("Waiting for payment"),
        "processing": _("Payment in progress"),
        "paid": _("Paid"),
        "expired": _("Expired"),
        "failed": _("Failed"),
        "cancelled": _("Cancelled"),
        "partially_reversed": _("Partly refunded"),
        "reversed": _("Refunded"),
        "inquiry": _("Inquiry"),
        "open": pgettext_lazy("dispute", "Open"),
        "won": _("Won"),
        "lost": _("Lost"),
        "in_review": _("In review"),
        "live": pgettext_lazy("service", "Live"),
        "paused": _("Paused"),
        "retired": _("Retired"),
    },
}


def action_label(event: AuditEvent) -> str:
    """What happened, in words."""
    return str(ACTIONS.get(event.action, event.action))


def list_changes(event: AuditEvent) -> list[dict[str, str]]:
    """Field by field: ``label``, ``before`` and ``after`` (empty where there was nothing)."""
    before = _readable(event.before or {})
    after = _readable(event.after or {})
    return [
        {
            "label": str(FIELDS.get(name, name)),
            "before": _value(name, before.get(name)),
            "after": _value(name, after.get(name)),
        }
        for name in {**before, **after}
        if _value(name, before.get(name)) or _value(name, after.get(name))
    ]


def actor_label(event: AuditEvent) -> str:
    """Who it was, as they were called then."""
    return str(_("the system")) if event.actor_id == SYSTEM_ACTOR.id else event.actor_label


def _readable(values: Mapping[str, Any]) -> dict[str, Any]:
    """Amounts as people write them: stored are whole millitokens and cents."""
    readable = dict(values)
    currency = values.get("currency")
    for name, value in values.items():
        if name.endswith("_minor") and isinstance(value, int) and isinstance(currency, str):
            readable[name] = quantities.format_money(value, currency, get_language() or "en")
            readable.pop("currency", None)
        if name.endswith("_millitokens") and isinstance(value, int):
            readable[name] = quantities.format_tokens_exact(value)
    return readable


def _value(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(_("yes") if value else _("no"))
    if isinstance(value, list):
        return ", ".join(_value(name, item) for item in value)
    return str(VALUES.get(name, {}).get(value, value) if isinstance(value, str) else value)
