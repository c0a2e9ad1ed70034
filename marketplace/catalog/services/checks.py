"""What every write of this room shares: clear refusals, and telling the hot path of changes."""

import ipaddress
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from accounts.services import Actor, record_audit
from marketplace.catalog.models import Service
from marketplace.catalog.selectors import forget_callable_services
from portal.kernel.errors import Conflict, Rejected


class ListingRejected(Rejected):
    """The listing cannot be accepted; ``data["fields"]`` names the fields and their reasons."""

    code = "listing_rejected"


class ServiceRetired(Conflict):
    """The service is retired for good."""

    code = "service_retired"


class EndpointNeedsCredential(Rejected):
    """A new endpoint needs its credential entered again."""

    code = "credential_needed"


def require_fields(instance: models.Model, *, exclude: tuple[str, ...] = ()) -> None:
    """Raise ``ListingRejected`` with what is wrong, field by field."""
    try:
        instance.full_clean(exclude=exclude)
    except ValidationError as error:
        raise rejected(error.message_dict) from error


def rejected(fields: dict[str, list[Any]]) -> ListingRejected:
    texts = {name: [str(reason) for reason in reasons] for name, reasons in fields.items()}
    return ListingRejected(
        _("The listing has fields that cannot be accepted; nothing was changed."),
        data={"fields": texts},
    )


def require_endpoint(url: str, *, private_allowed: bool = False) -> None:
    """An https address of a public host; ``private_allowed`` is for operators and demo providers.

    This reads the text only. Where the name really leads is judged at each call, when it has been
    resolved (portal.kernel.outbound).
    """
    if url:
        try:
            reason = _why_not(url, private_allowed)
        except ValueError:
            reason = _("Enter a complete address, such as https://api.example.com/v1.")
        if reason:
            raise rejected({"endpoint_url": [reason]})


def _why_not(url: str, private_allowed: bool) -> Any:
    parts = urlsplit(url)
    if not parts.hostname:
        return _("Enter a complete address, such as https://api.example.com/v1.")
    if not parts.hostname.isascii() or "%" in parts.hostname:
        return _("Write the host in ASCII (punycode for other letters).")
    if parts.username or parts.password or parts.query or parts.fragment:
        return _("Leave out user names, passwords, queries and fragments.")
    listed = f"{parts.hostname}:{parts.port}" in settings.OUTBOUND_ALLOWED_PRIVATE
    if parts.scheme not in ("http", "https"):
        return _("The address must begin with https://.")
    if private_allowed or listed:
        return None
    if parts.scheme != "https":
        return _("The address must begin with https://.")
    if _is_private(parts.hostname):
        return _("The address must be reachable from the internet.")
    return None


def _is_private(host: str) -> bool:
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def announce_change() -> None:
    """The gateway in this process sees the change at once, others within three seconds."""
    transaction.on_commit(forget_callable_services)


def audit_service(
    service: Service,
    action: str,
    *,
    actor: Actor,
    now: datetime,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """One line in the log of the provider's organisation."""
    record_audit(
        organisation=service.provider.organisation,
        actor=actor,
        action=action,
        target_id=service.public_id,
        target_label=service.handle,
        before=before,
        after=after,
        now=now,
    )
