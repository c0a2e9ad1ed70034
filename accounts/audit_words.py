"""How audit events read. An action of another room that stands not here shows its code."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from accounts.models import AuditEvent

# Parts of the log: what the actions in them begin with.
AREA_PREFIXES = {
    "keys": ("api_key.",),
    "team": ("member.", "invitation."),
    "organisation": ("organisation.", "trial."),
    "orders": ("order.", "refund.", "pack."),
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
    "invitation.sent": _("Invitation sent"),
    "invitation.accepted": _("Invitation accepted"),
    "invitation.withdrawn": _("Invitation withdrawn"),
    "member.role_changed": _("Role changed"),
    "member.removed": _("Member removed"),
    "member.left": _("Member left"),
    "organisation.created": _("Organisation created"),
    "organisation.verified": _("Organisation verified"),
    "organisation.changed": _("Settings changed"),
    "trial.granted": _("Trial tokens granted"),
    "order.started": _("Order started"),
    "order.paid": _("Order paid"),
    "order.declined": _("Payment declined"),
    "order.cancelled": _("Order cancelled"),
    "order.expired": _("Order expired"),
    "order.mismatched": _("Payment did not match the order"),
}
FIELDS = {
    "role": _("role"),
    "name": _("company"),
    "legal_name": _("legal name"),
    "tax_id": _("tax id"),
    "country": _("country"),
    "timezone": _("time zone"),
    "billing_email": _("billing e-mail"),
    "two_factor_required": _("two-factor sign-in required"),
    "kind": _("kind"),
    "scopes": _("rights"),
    "cap_millitokens": _("cap in millitokens"),
    "cap_period": _("cap counts"),
    "expires_at": _("expires"),
    "allowed_services": _("allowed services"),
    "rotated_to": _("new key"),
    "keys_suspended": _("keys suspended"),
    "owner": _("owner"),
    "terms": _("terms of use"),
    "joined": _("joined"),
    "tokens": _("tokens"),
    "days": _("days"),
    "status": _("state"),
    "amount_minor": _("amount in minor units"),
    "currency": _("currency"),
    "quantity": _("quantity"),
    "receipt": _("receipt"),
}


def action_label(event: AuditEvent) -> str:
    """What happened, in words."""
    return str(ACTIONS.get(event.action, event.action))


def list_changes(event: AuditEvent) -> list[dict[str, str]]:
    """Field by field: ``label``, ``before`` and ``after`` (empty where there was nothing)."""
    before: Mapping[str, Any] = event.before or {}
    after: Mapping[str, Any] = event.after or {}
    return [
        {
            "label": str(FIELDS.get(name, name)),
            "before": _value(before.get(name)),
            "after": _value(after.get(name)),
        }
        for name in {**before, **after}
        if _value(before.get(name)) or _value(after.get(name))
    ]


def _value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(_("yes") if value else _("no"))
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return str(value)
