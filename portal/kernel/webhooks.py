"""Signed messages to systems that others run, after the Standard Webhooks specification.

The receiver verifies ``webhook-signature``, an HMAC-SHA256 over ``id.timestamp.body``, refuses old
timestamps, and knows a repeated ``webhook-id``: whoever sends may send twice.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import aiohttp
import orjson
from django.utils.translation import gettext_lazy as _

from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError
from portal.kernel.outbound import open_session, refuse_bad_address

SECRET_PREFIX = "whsec_"  # noqa: S105 (the prefix of every secret, none itself)
_TIMEOUT = aiohttp.ClientTimeout(total=15, connect=5)


class WebhookFailed(DomainError):
    """The receiver did not take the message."""

    code, kind = "webhook_failed", "unavailable"


def new_secret() -> str:
    """A secret of 32 random bytes, in the form that ``sign`` takes."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def send_webhook(
    url: str,
    secret: str,
    event_id: str,
    event_type: str,
    payload: Mapping[str, Any],
    *,
    old_secret: str = "",
    happened_at: datetime | None = None,
) -> int:
    """Post one signed event and wait until it is taken (an answer of 2xx, within 15 s).

    ``event_id`` stays the same when an event is sent again; ``event_type`` is like
    "finding.opened"; ``payload`` becomes the body's ``data``. While a secret is being changed the
    message is also signed with ``old_secret``. Returns the status. Raises WebhookFailed when it was
    not taken (``data["status"]`` if it was answered at all), AddressRefused for an address that may
    not be called, ValueError for a secret that is not "whsec_" and base64. Not inside a database
    transaction, and not in an event loop.
    """
    now = utc_now()
    moment = (happened_at or now).isoformat()
    body = orjson.dumps({"type": event_type, "timestamp": moment, "data": payload})
    headers = {"Content-Type": "application/json", **sign(secret, event_id, now, body)}
    if old_secret:
        older = sign(old_secret, event_id, now, body)["webhook-signature"]
        headers["webhook-signature"] += f" {older}"
    refuse_bad_address(url)
    return asyncio.run(_post(url, body, headers))


def sign(secret: str, event_id: str, sent_at: datetime, body: bytes) -> dict[str, str]:
    """The three headers of one message. Raises ValueError for a secret in another form."""
    timestamp = str(int(sent_at.timestamp()))
    signed = b".".join([event_id.encode(), timestamp.encode(), body])
    digest = hmac.new(_key_of(secret), signed, hashlib.sha256).digest()
    return {
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def _key_of(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("a webhook secret is whsec_ and base64") from error
    if not secret.startswith(SECRET_PREFIX) or not key:
        raise ValueError("a webhook secret is whsec_ and base64")
    return key


async def _post(url: str, body: bytes, headers: dict[str, str]) -> int:
    try:
        async with (
            open_session(connections=1, connections_per_host=1) as session,
            session.post(
                url, data=body, headers=headers, allow_redirects=False, timeout=_TIMEOUT
            ) as answer,
        ):
            status = answer.status
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise WebhookFailed(_("The receiver could not be reached.")) from error
    if not 200 <= status < 300:
        raise WebhookFailed(
            _("The receiver answered %(status)s.") % {"status": status}, data={"status": status}
        )
    return status
