"""Settings of the reconciliation, looked at before serving."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from portal.kernel.clock import utc_now
from portal.kernel.outbound import AddressRefused, refuse_bad_address
from portal.kernel.webhooks import sign

_LEAST = {
    "RECONCILE_MAX_REPAIRS": 0,
    "RECONCILE_SAMPLE": 1,
    "RECONCILE_KEEP_DAYS": 1,
    "RECONCILE_PAUSE_SECONDS": 1,
}


@register()
def check_settings(app_configs: Any, **_options: Any) -> list[CheckMessage]:
    """reconciliation.E001: a number that makes no sense. E002: findings could not be posted."""
    errors: list[CheckMessage] = [
        Error(f"{name} must be at least {least}.", id="reconciliation.E001")
        for name, least in _LEAST.items()
        if getattr(settings, name) < least
    ]
    if settings.STAFF_WEBHOOK_URL:
        try:
            refuse_bad_address(settings.STAFF_WEBHOOK_URL)
            sign(settings.STAFF_WEBHOOK_SECRET, "evt", utc_now(), b"")
        except (AddressRefused, ValueError) as error:
            errors.append(
                Error(
                    f"Findings cannot be posted to STAFF_WEBHOOK_URL: {error}",
                    hint="STAFF_WEBHOOK_SECRET is whsec_ and base64.",
                    id="reconciliation.E002",
                )
            )
    return errors
