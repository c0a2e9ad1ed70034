"""What tests of webhooks share: endpoints and messages that the portal made."""

from typing import Any

from accounts import services as accounts
from accounts.models import Organisation, WebhookDelivery, WebhookEndpoint, WebhookEvent
from portal.kernel.clock import utc_now

ALL_EVENTS = [event for event in WebhookEvent.values if event != WebhookEvent.TEST]


def make_webhook(
    organisation: Organisation, url: str = "https://hooks.example.com/", **changes: Any
) -> tuple[WebhookEndpoint, str]:
    """An endpoint of all events, and its secret."""
    owner = organisation.memberships.get(role="owner").user
    wanted: dict[str, Any] = {"event_types": ALL_EVENTS, "created_by": owner} | changes
    return accounts.create_webhook(
        organisation=organisation,
        url=url,
        actor=accounts.SYSTEM_ACTOR,
        now=utc_now(),
        **wanted,
    )


def make_delivery(organisation: Organisation) -> WebhookDelivery:
    """A test that was given up."""
    endpoint, _secret = make_webhook(organisation)
    accounts.test_webhook(endpoint=endpoint, now=utc_now())
    endpoint.deliveries.update(due_at=None, failure_code="webhook_failed")
    return endpoint.deliveries.get()
