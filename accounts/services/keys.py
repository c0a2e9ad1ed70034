"""API keys: made, suspended, resumed, rotated, revoked. The secret is returned once, never kept."""

import secrets
import string
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import (
    ApiKey,
    CapPeriod,
    KeyKind,
    Membership,
    Organisation,
    Role,
    User,
    WebhookEvent,
)
from accounts.services.audit import Actor, record_audit
from accounts.services.key_access import NO_BOUNDS, KeyAccess, access_of
from accounts.services.key_check import SECRET_LENGTH, digest_of, prefix_of
from accounts.services.key_errors import (
    KeyNotRotatable,
    KeyRejected,
    KeyRevoked,
    SuspendedByAnother,
)
from accounts.services.webhook_events import record_webhook_event
from portal.kernel.errors import Rejected

SCOPES_BY_KIND: dict[str, tuple[str, ...]] = {
    KeyKind.LIVE: ("inference", "read", "write"),
    KeyKind.TEST: ("inference", "read", "write"),
    KeyKind.PROVIDER: ("provider",),
}
MAX_CAP_MILLITOKENS = 10**18
MAX_KEYS = 1000
MAX_ALLOWED_SERVICES = 500
GRACES = (timedelta(0), timedelta(hours=1), timedelta(hours=24), timedelta(days=7))

_ALPHABET = string.digits + string.ascii_letters


def create_api_key(
    *,
    organisation: Organisation,
    created_by: User,
    kind: str,
    name: str,
    scopes: Iterable[str] = (),
    cap_millitokens: int | None = None,
    cap_period: str = CapPeriod.MONTH,
    expires_at: datetime | None = None,
    allowed_services: Iterable[str] = (),
    access: KeyAccess = NO_BOUNDS,
    now: datetime,
    actor: Actor,
) -> tuple[ApiKey, str]:
    """A new key and its full text, which nobody can read again.

    Without ``scopes`` a live or test key gets ``inference``, a provider key ``provider``.
    ``allowed_services`` are public ids; none means all. Raises KeyRejected.
    """
    known = SCOPES_BY_KIND.get(kind)
    if known is None:
        raise KeyRejected(_("Choose the kind of the key."), data={"field": "kind"})
    chosen = [scope for scope in known if scope in set(scopes)] or [known[0]]
    key = ApiKey(
        organisation=organisation,
        created_by=created_by,
        kind=kind,
        name=name.strip(),
        scopes=chosen,
        cap_millitokens=cap_millitokens,
        cap_period=cap_period,
        expires_at=expires_at,
        allowed_services=sorted(set(allowed_services)),
        created_at=now,
        **access.check(),
    )
    _refuse_nonsense(key, unknown_scopes=set(scopes) - set(known), now=now)
    with transaction.atomic():
        Organisation.objects.select_for_update().get(pk=organisation.pk)
        if organisation.api_keys.filter(revoked_at__isnull=True).count() >= MAX_KEYS:
            raise KeyRejected(
                _("This organisation has too many keys. Revoke one that is not used."),
                code="too_many_keys",
            )
        text = _issue(key, cap_subject=key.public_id)
        record_audit(
            organisation=organisation,
            actor=actor,
            action="api_key.created",
            target_id=key.public_id,
            target_label=str(key),
            after=_settings_of(key),
            now=now,
        )
    return key, text


def suspend_api_key(*, key: ApiKey, actor: Actor, now: datetime) -> ApiKey:
    """Calls with it are refused within seconds, until resumed. Twice is once. Raises KeyRevoked.

    The first to suspend it is noted: see ``may_resume``.
    """
    change = {"suspended_at": now, "suspended_by": User.objects.filter(public_id=actor.id).first()}
    return _change_state(key, "api_key.suspended", change, actor=actor, now=now)


def resume_api_key(
    *, key: ApiKey, actor: Actor, now: datetime, membership: Membership | None = None
) -> ApiKey:
    """Lift a suspension. Twice is once. ``membership`` is whose wish it is, None the system's.

    A key whose holder left or is barred becomes that of the owner who resumes it. Raises
    KeyRevoked, and SuspendedByAnother when an owner has to do it.
    """
    with transaction.atomic():
        current = ApiKey.objects.select_for_update(of=("self",)).get(pk=key.pk)
        holder_is_in = Membership.objects.filter(
            organisation=current.organisation_id, user=current.created_by_id, user__is_active=True
        ).exists()
        if membership and (current.suspended_at or not holder_is_in):
            if not may_resume(current, membership):
                raise SuspendedByAnother(
                    _("This key was suspended by somebody else, so only an owner can resume it.")
                )
            if not holder_is_in and not current.revoked_at:
                hand_over_api_key(key=current, heir=membership.user, actor=actor, now=now)
        change = {"suspended_at": None, "suspended_by": None}
        return _change_state(key, "api_key.resumed", change, actor=actor, now=now)


def hand_over_api_key(*, key: ApiKey, heir: User, actor: Actor, now: datetime) -> None:
    """From now on it is the heir's and can do what they can. The caller sees to their role.

    Whoever held it may still know its text: rotate it to be rid of them.
    """
    before = key.created_by
    with transaction.atomic():
        if not ApiKey.objects.filter(pk=key.pk, created_by=before).update(created_by=heir):
            return
        key.created_by = heir
        record_audit(
            organisation=key.organisation,
            actor=actor,
            action="api_key.handed_over",
            target_id=key.public_id,
            target_label=str(key),
            before={"holder": before.email},
            after={"holder": heir.email},
            now=now,
        )


def may_resume(key: ApiKey, membership: Membership) -> bool:
    """Owners resume every key, others what they suspended themselves."""
    return membership.includes(Role.OWNER) or key.suspended_by_id == membership.user_id


def revoke_api_key(*, key: ApiKey, actor: Actor, now: datetime) -> ApiKey:
    """End the key for good. Twice is once."""
    return _change_state(key, "api_key.revoked", {"revoked_at": now}, actor=actor, now=now)


def rotate_api_key(
    *,
    key: ApiKey,
    grace: timedelta,
    actor: Actor,
    now: datetime,
    holder: User | None = None,
) -> tuple[ApiKey, str]:
    """A successor with the same rights, and its full text. The old key works for ``grace`` more.

    The successor belongs to ``holder``, unless given to whoever made the old one; the cap is
    counted under one subject for both. Raises KeyNotRotatable when the key is revoked,
    suspended, expired or rotated already, Rejected for a grace not in ``GRACES``.
    """
    if grace not in GRACES:
        raise Rejected(_("Choose how long the old key goes on working."), code="grace_unknown")
    with transaction.atomic():
        old = (
            ApiKey.objects.select_for_update(of=("self",))
            .select_related("organisation")
            .get(pk=key.pk)
        )
        if old.rotated_to_id or not ApiKey.objects.not_stopped(now=now).filter(pk=old.pk).exists():
            raise KeyNotRotatable(
                _("Only a key that works, and was not rotated already, can be rotated.")
            )
        new = ApiKey(
            organisation=old.organisation,
            created_by=holder or old.created_by,
            kind=old.kind,
            name=old.name,
            scopes=old.scopes,
            cap_millitokens=old.cap_millitokens,
            cap_period=old.cap_period,
            expires_at=old.expires_at,
            allowed_services=old.allowed_services,
            policy=old.policy,
            created_at=now,
            **access_of(old),
        )
        text = _issue(new, cap_subject=old.cap_subject)
        ends_at = min(now + grace, old.expires_at or now + grace)
        ApiKey.objects.filter(pk=old.pk).update(rotated_to=new, expires_at=ends_at)
        record_audit(
            organisation=old.organisation,
            actor=actor,
            action="api_key.rotated",
            target_id=old.public_id,
            target_label=str(old),
            before={"expires_at": _iso(old.expires_at)},
            after={"expires_at": _iso(ends_at), "rotated_to": new.public_id},
            now=now,
        )
    return new, text


def _issue(key: ApiKey, *, cap_subject: str) -> str:
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(SECRET_LENGTH))
    text = f"tw_{key.kind}_{secret}"
    key.prefix, key.digest, key.cap_subject = prefix_of(text), digest_of(text), cap_subject
    key.save(force_insert=True)
    return text


def _change_state(
    key: ApiKey, action: str, change: dict[str, Any], *, actor: Actor, now: datetime
) -> ApiKey:
    """One guarded UPDATE; its row count says whether there was anything to do.

    The first field of ``change`` is the moment that says so.
    """
    field, value = next(iter(change.items()))
    with transaction.atomic():
        changed = ApiKey.objects.filter(
            Q(revoked_at__isnull=True), Q((f"{field}__isnull", value is not None)), pk=key.pk
        ).update(**change)
        key.refresh_from_db()
        if changed:
            record_audit(
                organisation=key.organisation,
                actor=actor,
                action=action,
                target_id=key.public_id,
                target_label=str(key),
                now=now,
            )
            if action == "api_key.suspended":
                record_webhook_event(
                    organisation=key.organisation,
                    event_type=WebhookEvent.KEY_SUSPENDED,
                    subject=f"{key.public_id}:{now.isoformat()}",
                    data={"key": key.public_id, "suspended_by": actor.id},
                    now=now,
                )
        elif key.revoked_at and field != "revoked_at":
            raise KeyRevoked(_("This key is revoked for good. Create a new one."))
    return key


def _refuse_nonsense(key: ApiKey, *, unknown_scopes: set[str], now: datetime) -> None:
    cap = key.cap_millitokens
    rules = [
        (0 < len(key.name) <= 80, "name", _("Give the key a name of at most 80 characters.")),
        (not unknown_scopes, "scopes", _("This kind of key cannot have these rights.")),
        (key.cap_period in CapPeriod.values, "cap_period", _("Choose the period of the cap.")),
        (
            cap is None or 0 < cap <= MAX_CAP_MILLITOKENS,
            "cap_millitokens",
            _("The cap must be more than zero; leave it empty for no cap."),
        ),
        (
            key.expires_at is None or key.expires_at > now,
            "expires_at",
            _("The expiry must be in the future."),
        ),
        (
            len(key.allowed_services) <= MAX_ALLOWED_SERVICES
            and all(public_id.startswith("svc_") for public_id in key.allowed_services),
            "allowed_services",
            _("Choose services from the list."),
        ),
    ]
    for holds, field, message in rules:
        if not holds:
            raise KeyRejected(message, data={"field": field})


def _settings_of(key: ApiKey) -> dict[str, Any]:
    return {
        "kind": str(key.kind),
        "scopes": key.scopes,
        "cap_millitokens": key.cap_millitokens,
        "cap_period": str(key.cap_period) if key.cap_millitokens is not None else None,
        "expires_at": _iso(key.expires_at),
        "allowed_services": key.allowed_services,
        **access_of(key),
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
