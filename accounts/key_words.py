"""How keys read."""

from django.utils.translation import gettext_lazy as _

KEY_STATUSES = {
    "active": _("Active"),
    "rotated": _("Being replaced"),
    "suspended": _("Suspended"),
    "expired": _("Expired"),
    "revoked": _("Revoked"),
}
SCOPES = {
    "inference": _("Call models"),
    "read": _("Read balance, usage and orders by REST"),
    "write": _("Order packs and make grants by REST"),
    "provider": _("Provider's REST"),
}
