"""Stripe's webhooks: the signature over the raw body, then no more than the type and the object.

Snapshot events (``event``) and thin ones (``v2.core.event``) are taken alike: neither is believed.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

import stripe
import structlog

from marketplace.billing.payment_provider import EventRefused, EventType, PaymentEvent

_log = structlog.get_logger(__name__)

# How far a signature's time may be from ours, into the past and the future alike.
TOLERANCE = timedelta(minutes=5)

EVENT_TYPES = {
    "checkout.session.completed": EventType.SESSION_COMPLETED,
    "checkout.session.async_payment_succeeded": EventType.PAYMENT_SUCCEEDED,
    "checkout.session.async_payment_failed": EventType.PAYMENT_FAILED,
    "checkout.session.expired": EventType.SESSION_EXPIRED,
    "payment_intent.succeeded": EventType.PAYMENT_SUCCEEDED,
    "payment_intent.payment_failed": EventType.PAYMENT_FAILED,
    "refund.created": EventType.REFUND_CHANGED,
    "refund.updated": EventType.REFUND_CHANGED,
    "refund.failed": EventType.REFUND_CHANGED,
    "charge.refunded": EventType.REFUND_CHANGED,
    "charge.dispute.created": EventType.DISPUTE_CHANGED,
    "charge.dispute.updated": EventType.DISPUTE_CHANGED,
    "charge.dispute.closed": EventType.DISPUTE_CHANGED,
    "charge.dispute.funds_withdrawn": EventType.DISPUTE_CHANGED,
    "charge.dispute.funds_reinstated": EventType.DISPUTE_CHANGED,
}
# Thin events of the older API's objects are called the same behind this.
_THIN_PREFIX = "v1."
# The time first and once, then signatures. Stricter than the SDK, which would take the time from
# one of several: the one that was signed must be the one that is compared with the clock.
_HEADER = re.compile(r"t=([0-9]{1,12})(?:,v[0-9]=[0-9a-f]{64})+")


def verify(body: bytes, headers: Mapping[str, str], *, secret: str, now: datetime) -> str:
    """The body's text, when its signature is genuine and fresh. Raises EventRefused otherwise."""
    signatures = headers.get("stripe-signature", "")
    stamped = _HEADER.fullmatch(signatures)
    if stamped is None:
        raise EventRefused(code="signature_missing")
    if abs(now.timestamp() - int(stamped[1])) > TOLERANCE.total_seconds():
        raise EventRefused(code="signature_stale")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise EventRefused(code="body_malformed") from error
    try:
        stripe.WebhookSignature.verify_header(text, signatures, secret)
    except stripe.SignatureVerificationError:
        # Not chained: the SDK's error carries the whole body.
        raise EventRefused(code="signature_wrong") from None
    return text


def read_event(text: str) -> PaymentEvent:
    """Raises EventRefused for what is not an event of this account about one object."""
    try:
        payload = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EventRefused(code="body_malformed") from error
    return _read_payload(payload)


def read_listed_events(listed: Iterable[stripe.Event]) -> list[PaymentEvent]:
    """In the same order. One that cannot be read is left out: it must not hide the others."""
    read = []
    for event in listed:
        try:
            read.append(_read_payload(event.to_dict()))
        except EventRefused as refusal:
            _log.warning("listed_event_left_out", event_id=event.id, code=refusal.code)
    return read


def _read_payload(payload: object) -> PaymentEvent:
    match payload:
        # Of an account connected to ours, which is not where our orders are paid.
        case {"account": str()} | {"context": str()}:
            raise EventRefused(code="account_wrong")
        case {
            "object": "event",
            "id": str(event_id),
            "type": str(event_type),
            "livemode": bool(livemode),
            "created": int(created),
            "data": {"object": {"id": str(object_id)}},
        } | {
            "object": "v2.core.event",
            "id": str(event_id),
            "type": str(event_type),
            "livemode": bool(livemode),
            "created": str(created),
            "related_object": {"id": str(object_id)},
        } if _fits(event_id, 120) and _fits(event_type, 80) and _fits(object_id, 120):
            plain_type = event_type.removeprefix(_THIN_PREFIX)
            return PaymentEvent(
                event_id=event_id,
                type=EVENT_TYPES.get(plain_type, plain_type),
                object_id=object_id,
                livemode=livemode,
                created_at=_read_time(created),
            )
    raise EventRefused(code="body_malformed")


def _read_time(created: int | str) -> datetime:
    """Unix seconds in snapshots, ISO 8601 in thin events."""
    try:
        if isinstance(created, int):
            return datetime.fromtimestamp(created, UTC)
        return datetime.fromisoformat(created).astimezone(UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise EventRefused(code="body_malformed") from error


def _fits(text: str, length: int) -> bool:
    """Fits its column; NUL and other control characters don't fit anywhere."""
    return 0 < len(text) <= length and text.isprintable()
