"""What an organisation and a key ask of services before a call may go to them.

Both policies apply, so a key's can only narrow. Of other rooms they hold codes and public ids;
``catalog.selectors.find_broken_rule`` holds what a service declares against them.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.hooks import hooks
from accounts.models import ApiKey, Organisation
from accounts.services.audit import Actor, record_audit
from accounts.services.key_errors import KeyRevoked
from portal.kernel.errors import Rejected

PolicyOwner = Literal["organisation", "key"]

# Of each weight as served: FP4 and INT4, FP8 and INT8, BF16 and FP16.
BITS = (4, 8, 16)
MAX_RETENTION_DAYS = 3650
MAX_CHOICES = 300
LISTS = ("regions", "countries", "licences", "providers")

_LONGEST_CODE = 100
_MARK_LENGTH = 12


class PolicyRejected(Rejected):
    """``data["field"]`` says which rule cannot be."""

    code = "policy_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """An empty list, False or None asks for nothing. ``providers``: public ids; ``licences``: SPDX.

    ``most_retention_days`` 0: prompts are not kept at all. ``least_bits``: of ``BITS``.
    """

    regions: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    no_training: bool = False
    most_retention_days: int | None = None
    least_bits: int | None = None

    def list_unsound(self) -> list[str]:
        """The fields that no policy can have like this."""
        days, bits = self.most_retention_days, self.least_bits
        sound = {name: _is_list_of_codes(getattr(self, name)) for name in LISTS}
        sound["no_training"] = isinstance(self.no_training, bool)
        sound["most_retention_days"] = days is None or (
            type(days) is int and 0 <= days <= MAX_RETENTION_DAYS
        )
        sound["least_bits"] = bits is None or (type(bits) is int and bits in BITS)
        return [name for name, is_sound in sound.items() if not is_sound]

    def as_stored(self) -> dict[str, Any]:
        """Only what asks for something: ``{}`` for no policy."""
        values = {
            name: sorted(set(value)) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }
        return {
            name: value
            for name, value in values.items()
            if value is not None and value is not False and value != []
        }


@dataclass(frozen=True, slots=True)
class AppliedPolicies:
    """Those of an organisation and a key that ask for something; None for one that is unreadable.

    ``mark`` names both as they were, by the digests that the audit log keeps beside each change:
    ``organisation.key``; empty without policies.
    """

    policies: tuple[tuple[PolicyOwner, Policy | None], ...] = ()
    mark: str = ""


NO_POLICY = Policy()
NO_POLICIES = AppliedPolicies()


def read_policy(stored: object) -> Policy | None:
    """As it was stored; None when any of it is not understood, for then nothing may pass."""
    if not isinstance(stored, dict) or not stored.keys() <= Policy.__dataclass_fields__.keys():
        return None
    values: dict[str, Any] = {}
    for name, value in stored.items():
        if name in LISTS and (not isinstance(value, list) or not value):
            return None
        values[name] = tuple(value) if name in LISTS else value
    policy = Policy(**values)
    return None if policy.list_unsound() else policy


def apply_policies(*, organisation: object, key: object = None) -> AppliedPolicies:
    """From both as they are stored; without ``key`` the organisation's alone."""
    of_key = {} if key is None else key
    if organisation == {} and of_key == {}:
        return NO_POLICIES
    stored: tuple[tuple[PolicyOwner, object], ...] = (
        ("organisation", organisation),
        ("key", of_key),
    )
    return AppliedPolicies(
        tuple((owner, read_policy(policy)) for owner, policy in stored if policy != {}),
        ".".join(mark_of(policy) for _owner, policy in stored),
    )


def mark_of(stored: object) -> str:
    """A short digest of a policy as it is stored; empty for none."""
    if stored == {}:
        return ""
    text = json.dumps(stored, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_MARK_LENGTH]


def change_organisation_policy(
    *, organisation: Organisation, policy: Policy, actor: Actor, now: datetime
) -> Organisation:
    """From a few seconds later on calls go by it. The same once more is not noted.

    Raises PolicyRejected.
    """
    with transaction.atomic():
        current = Organisation.objects.select_for_update().get(pk=organisation.pk)
        wanted = _check(policy, current.policy)
        if wanted != current.policy:
            Organisation.objects.filter(pk=current.pk).update(policy=wanted)
            record_audit(
                organisation=current,
                actor=actor,
                action="policy.changed",
                target_id=current.public_id,
                target_label=current.name,
                before=_audited(current.policy),
                after=_audited(wanted),
                now=now,
            )
    organisation.policy = wanted
    return organisation


def change_key_policy(*, key: ApiKey, policy: Policy, actor: Actor, now: datetime) -> ApiKey:
    """From a few seconds later on calls with the key go by it, too.

    Raises PolicyRejected, and KeyRevoked for a key that was ended for good.
    """
    with transaction.atomic():
        current = (
            ApiKey.objects.select_for_update(of=("self",))
            .select_related("organisation")
            .get(pk=key.pk)
        )
        if current.revoked_at:
            raise KeyRevoked(_("This key is revoked for good. Create a new one."))
        wanted = _check(policy, current.policy)
        if wanted != current.policy:
            ApiKey.objects.filter(pk=current.pk).update(policy=wanted)
            record_audit(
                organisation=current.organisation,
                actor=actor,
                action="api_key.policy_changed",
                target_id=current.public_id,
                target_label=str(current),
                before=_audited(current.policy),
                after=_audited(wanted),
                now=now,
            )
    key.policy = wanted
    return key


def _check(policy: Policy, stored: object) -> dict[str, Any]:
    """The policy as it is stored. What nobody offers any more may stay, but not be added."""
    for name in policy.list_unsound():
        raise PolicyRejected(_("This rule cannot be like that."), data={"field": name})
    before = read_policy(stored) or NO_POLICY
    offered = hooks.list_policy_choices()
    for name in LISTS:
        known = {code for code, _label in offered.get(name, ())} | set(getattr(before, name))
        if not known.issuperset(getattr(policy, name)):
            raise PolicyRejected(_("Choose from what the market offers."), data={"field": name})
    return policy.as_stored()


def _audited(stored: object) -> dict[str, Any]:
    """With its mark, by which the receipts of calls name it."""
    values = stored if isinstance(stored, dict) else {"unreadable": str(stored)}
    return {**values, "policy_mark": mark_of(stored)} if stored != {} else {}


def _is_list_of_codes(value: object) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) <= MAX_CHOICES
        and all(isinstance(code, str) and 0 < len(code) <= _LONGEST_CODE for code in value)
    )
