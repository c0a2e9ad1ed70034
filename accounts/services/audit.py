"""The audit log: who did what, from where. Rows are written with the change, in its transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from allauth.account.adapter import get_adapter
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from structlog.contextvars import get_contextvars

from accounts.models import AuditEvent, Organisation, User


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who acts: a person, a key or the system. ``label`` is kept as it is at this moment."""

    id: str
    label: str
    address: str | None = None
    request_id: str = ""


SYSTEM_ACTOR = Actor(id="system", label="system")


def actor_from_request(request: HttpRequest) -> Actor:
    """The signed-in person, with the address they come from."""
    user = request.user if isinstance(request.user, User) else None
    return Actor(
        id=user.public_id if user else "anonymous",
        label=user.email if user else "anonymous",
        address=address_of(request),
        request_id=_request_id(),
    )


def actor_of_person(user: User, request: HttpRequest) -> Actor:
    """Somebody who is not signed in yet but proved who they are (by a link, at sign-in)."""
    return Actor(
        id=user.public_id,
        label=user.email,
        address=address_of(request),
        request_id=_request_id(),
    )


def actor_from_key(key_public_id: str, key_label: str, request: HttpRequest | None = None) -> Actor:
    """An API key acting through REST; ``key_label`` is its name or prefix, never the secret."""
    return Actor(
        id=key_public_id,
        label=key_label,
        address=address_of(request) if request else None,
        request_id=_request_id(),
    )


def address_of(request: HttpRequest) -> str | None:
    """The client's address behind the trusted proxies (ALLAUTH_TRUSTED_PROXY_COUNT)."""
    try:
        return str(get_adapter(request).get_client_ip(request))
    except PermissionDenied:
        return None


def record_audit(
    *,
    organisation: Organisation | None,
    actor: Actor,
    action: str,
    target_id: str = "",
    target_label: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    now: datetime,
) -> AuditEvent:
    """Append one event; ``action`` is ``thing.verb_past`` (``api_key.suspended``).

    ``before`` and ``after`` hold JSON values of what changed, never a secret.
    """
    return AuditEvent.objects.create(
        organisation=organisation,
        actor_id=actor.id,
        actor_label=actor.label[:254],
        action=action,
        target_id=target_id,
        target_label=target_label[:254],
        before=dict(before or {}),
        after=dict(after or {}),
        address=actor.address,
        request_id=actor.request_id[:64],
        recorded_at=now,
    )


def _request_id() -> str:
    return str(get_contextvars().get("request_id", ""))
