"""Webhooks of an organisation: added, changed, tried and removed by its owners."""

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.models import Organisation, User, WebhookDelivery, WebhookEndpoint, WebhookEvent
from accounts.services.audit import Actor, record_audit
from accounts.services.webhook_events import record_deliveries
from portal.kernel.errors import Rejected
from portal.kernel.outbound import AddressRefused, refuse_bad_address
from portal.kernel.waking import wake_on_commit
from portal.kernel.webhooks import new_secret

MAX_WEBHOOKS = 10
OLD_SECRET_COUNTS = timedelta(hours=24)
_LONGEST_ADDRESS = 500


class WebhookRejected(Rejected):
    """The endpoint cannot be like this; ``data["field"]`` names the input."""

    code = "webhook_rejected"


def create_webhook(
    *,
    organisation: Organisation,
    url: str,
    event_types: Iterable[str],
    created_by: User,
    actor: Actor,
    now: datetime,
) -> tuple[WebhookEndpoint, str]:
    """The endpoint and its secret, which is not shown again. Raises WebhookRejected."""
    chosen = _read(url, event_types)
    secret = new_secret()
    with transaction.atomic():
        _lock(organisation)
        others = WebhookEndpoint.objects.filter(organisation=organisation)
        if others.count() >= MAX_WEBHOOKS:
            raise WebhookRejected(_("There are ten webhooks already. Remove one first."))
        _refuse_known(others, url)
        endpoint = WebhookEndpoint.objects.create(
            organisation=organisation,
            url=url,
            event_types=chosen,
            secret=secret,
            created_by=created_by,
            created_at=now,
        )
        _record(endpoint, "webhook.created", actor, now, after=_settings_of(endpoint))
    return endpoint, secret


def change_webhook(
    *,
    endpoint: WebhookEndpoint,
    url: str,
    event_types: Iterable[str],
    actor: Actor,
    now: datetime,
) -> None:
    """Another address or other events; what waits goes to the new address. Twice is once."""
    chosen = _read(url, event_types)
    with transaction.atomic():
        _lock(endpoint.organisation)
        others = WebhookEndpoint.objects.filter(organisation_id=endpoint.organisation_id)
        _refuse_known(others.exclude(pk=endpoint.pk), url)
        before = _settings_of(endpoint)
        endpoint.url, endpoint.event_types = url, chosen
        after = _settings_of(endpoint)
        if after != before:
            endpoint.save(update_fields=["url", "event_types"])
            _record(endpoint, "webhook.changed", actor, now, before=before, after=after)


def rotate_webhook_secret(*, endpoint: WebhookEndpoint, actor: Actor, now: datetime) -> str:
    """The new secret, shown once. For a day messages are signed with the old one too."""
    with transaction.atomic():
        current = WebhookEndpoint.objects.select_for_update(no_key=True).get(pk=endpoint.pk)
        current.old_secret, current.old_secret_until = current.secret, now + OLD_SECRET_COUNTS
        current.secret = new_secret()
        current.save(update_fields=["secret", "old_secret", "old_secret_until"])
        _record(current, "webhook.secret_changed", actor, now)
    return current.secret


def remove_webhook(*, endpoint: WebhookEndpoint, actor: Actor, now: datetime) -> None:
    """For good, with what waits and the log of deliveries."""
    with transaction.atomic():
        _record(endpoint, "webhook.removed", actor, now, before=_settings_of(endpoint))
        endpoint.delete()


def resume_webhook(*, endpoint: WebhookEndpoint, actor: Actor, now: datetime) -> None:
    """Switch on again what was switched off for its failures; what waits is sent. Twice is once."""
    with transaction.atomic():
        stopped = WebhookEndpoint.objects.filter(pk=endpoint.pk, stopped_at__isnull=False)
        if stopped.update(stopped_at=None, failing_since=None):
            _record(endpoint, "webhook.resumed", actor, now)
            wake_on_commit("accounts.send_webhooks")


def test_webhook(*, endpoint: WebhookEndpoint, now: datetime) -> None:
    """Send a message that says nothing but that it arrived."""
    if endpoint.stopped_at is not None:
        raise WebhookRejected(_("This webhook is switched off. Switch it on first."))
    name = f"{endpoint.public_id}:test:{secrets.token_hex(8)}"
    record_deliveries([endpoint], WebhookEvent.TEST, name, {"webhook": endpoint.public_id}, now=now)


def resend_webhook(*, delivery: WebhookDelivery, now: datetime) -> None:
    """Send a message that is over once more, under the same id; its pauses begin anew.

    What still waits is left alone. Raises WebhookRejected while the endpoint is off.
    """
    if delivery.endpoint.stopped_at is not None:
        raise WebhookRejected(_("This webhook is switched off. Switch it on first."))
    with transaction.atomic():
        over = WebhookDelivery.objects.filter(pk=delivery.pk, due_at__isnull=True)
        if over.update(due_at=now, attempts=0, delivered_at=None):
            wake_on_commit("accounts.send_webhooks")


def _read(url: str, event_types: Iterable[str]) -> list[str]:
    """The types in their own order."""
    wanted = set(event_types)
    known = [event for event in WebhookEvent.values if event != WebhookEvent.TEST]
    if not wanted or wanted - set(known):
        raise WebhookRejected(_("Choose events from the list."), data={"field": "event_types"})
    try:
        refuse_bad_address(url)
    except AddressRefused as refusal:
        raise WebhookRejected(str(refusal), data={"field": "url"}) from refusal
    if len(url) > _LONGEST_ADDRESS:
        raise WebhookRejected(_("This address is too long."), data={"field": "url"})
    return [event for event in known if event in wanted]


def _refuse_known(others: Any, url: str) -> None:
    if others.filter(url=url).exists():
        raise WebhookRejected(
            _("There is a webhook with this address already."), data={"field": "url"}
        )


def _lock(organisation: Organisation) -> None:
    """One change at a time: they are counted, and an address is there once."""
    Organisation.objects.select_for_update(no_key=True).get(pk=organisation.pk)


def _settings_of(endpoint: WebhookEndpoint) -> dict[str, Any]:
    return {"url": endpoint.url, "event_types": list(endpoint.event_types)}


def _record(
    endpoint: WebhookEndpoint, action: str, actor: Actor, now: datetime, **changes: Any
) -> None:
    record_audit(
        organisation=endpoint.organisation,
        actor=actor,
        action=action,
        target_id=endpoint.public_id,
        target_label=endpoint.url,
        now=now,
        **changes,
    )
