"""Standard-Webhooks signatures: HMAC-SHA256 over ``id.timestamp.body``, base64, versioned.

Headers: ``webhook-id``, ``webhook-timestamp`` (Unix seconds), ``webhook-signature`` (one or more
``v1,…`` separated by spaces). The secret is made once per installation, in the ignored data
folder, so no two installations accept each other's events and none has a known default.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.conf import settings

from marketplace.billing.payment_provider import EventRefused
from portal.kernel.local_secret import read_or_create_secret

# How far a signature's time may be from ours, into the past and the future alike.
TOLERANCE = timedelta(minutes=5)
_MIN_SECRET_LENGTH = 32


def get_secret() -> bytes:
    """The installation's secret. An empty or short one is refused, never used."""
    secret = read_or_create_secret(settings.VAR_DIR / "sandbox_webhook_secret")
    if len(secret) < _MIN_SECRET_LENGTH:
        raise EventRefused(code="webhook_secret_missing")
    return secret.encode()


def sign(body: bytes, *, event_id: str, secret: bytes, now: datetime) -> dict[str, str]:
    """The three headers for ``body``."""
    timestamp = str(int(now.timestamp()))
    return {
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{_digest(body, event_id, timestamp, secret)}",
    }


def verify(body: bytes, headers: Mapping[str, str], *, secret: bytes, now: datetime) -> str:
    """The event's id, when the signature is genuine and fresh. Raises EventRefused otherwise."""
    event_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not event_id or not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        raise EventRefused(code="signature_missing")
    if abs(now.timestamp() - int(timestamp)) > TOLERANCE.total_seconds():
        raise EventRefused(code="signature_stale")
    expected = _digest(body, event_id, timestamp, secret).encode()
    for versioned in headers.get("webhook-signature", "").split():
        version, _, signature = versioned.partition(",")
        if version == "v1" and hmac.compare_digest(signature.encode(), expected):
            return event_id
    raise EventRefused(code="signature_wrong")


def _digest(body: bytes, event_id: str, timestamp: str, secret: bytes) -> str:
    signed = b".".join([event_id.encode(), timestamp.encode(), body])
    return base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
