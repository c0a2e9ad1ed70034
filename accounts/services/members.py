"""Who belongs to an organisation in which role. There is always an owner left."""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiKey, Membership, Organisation, Role, User
from accounts.services.audit import Actor, record_audit
from accounts.services.invitations import withdraw_invitations_of
from accounts.services.keys import hand_over_api_key, suspend_api_key
from portal.kernel.errors import Conflict, NotFound, Rejected


class LastOwner(Conflict):
    """The organisation would be left without an owner."""

    code = "last_owner"


def change_role(*, membership: Membership, role: str, actor: Actor, now: datetime) -> Membership:
    """Give a member another role. Twice is once. Raises LastOwner, NotFound.

    Whoever is an owner no more loses their open invitations: none may make them one again.
    """
    if role not in Role.values:
        raise Rejected(_("Choose a role from the list."), code="role_unknown")
    with transaction.atomic():
        current = _lock_membership(membership)
        if current.role == role:
            return current
        if current.role == Role.OWNER:
            _refuse_last_owner(current)
        before, current.role = current.role, role
        current.save(update_fields=["role"])
        record_audit(
            organisation=current.organisation,
            actor=actor,
            action="member.role_changed",
            target_id=current.user.public_id,
            target_label=current.user.email,
            before={"role": str(before)},
            after={"role": str(role)},
            now=now,
        )
        if before == Role.OWNER:
            withdraw_invitations_of(
                organisation=current.organisation, user=current.user, actor=actor, now=now
            )
    return current


def remove_member(
    *, membership: Membership, heir: User | None = None, actor: Actor, now: datetime
) -> int:
    """Take somebody out of the organisation; their keys become the heir's, or are suspended.

    ``heir`` is an owner, who then answers for them. The invitations that the person sent, or was
    sent, are withdrawn. Returns how many keys there were. Raises LastOwner, NotFound (removed
    already).
    """
    return _end_membership(membership, "member.removed", heir=heir, actor=actor, now=now)


def leave_organisation(*, membership: Membership, actor: Actor, now: datetime) -> None:
    """A member goes by themselves; their keys are suspended, for the owners to decide.

    Raises LastOwner.
    """
    _end_membership(membership, "member.left", heir=None, actor=actor, now=now)


def _end_membership(
    membership: Membership, action: str, *, heir: User | None, actor: Actor, now: datetime
) -> int:
    with transaction.atomic():
        current = _lock_membership(membership)
        if current.role == Role.OWNER:
            _refuse_last_owner(current)
        organisation, user = current.organisation, current.user
        keys = list(
            ApiKey.objects.filter(
                organisation=organisation,
                created_by=user,
                revoked_at__isnull=True,
                suspended_at__isnull=True,
            ).select_related("organisation", "created_by")
        )
        current.delete()
        record_audit(
            organisation=organisation,
            actor=actor,
            action=action,
            target_id=user.public_id,
            target_label=user.email,
            before={"role": str(current.role)},
            after={
                "keys_suspended": 0 if heir else len(keys),
                "keys_handed_over": len(keys) if heir else 0,
            },
            now=now,
        )
        withdraw_invitations_of(organisation=organisation, user=user, actor=actor, now=now)
        for key in keys:
            if heir:
                hand_over_api_key(key=key, heir=heir, actor=actor, now=now)
            else:
                suspend_api_key(key=key, actor=actor, now=now)
    return len(keys)


def _lock_membership(membership: Membership) -> Membership:
    """The present row. Holding the organisation's row makes all changes of a team wait in line.

    Not its key: whoever accepts an invitation holds that and then refers to the organisation,
    while a change of the team waits for the invitation.
    """
    Organisation.objects.select_for_update(no_key=True).get(pk=membership.organisation_id)
    current = (
        Membership.objects.select_related("organisation", "user").filter(pk=membership.pk).first()
    )
    if current is None:
        raise NotFound(_("This person is no longer a member."))
    return current


def _refuse_last_owner(leaving: Membership) -> None:
    """Somebody who can sign in must own the organisation; the caller holds its row."""
    others = Membership.objects.filter(
        organisation_id=leaving.organisation_id, role=Role.OWNER, user__is_active=True
    ).exclude(pk=leaving.pk)
    if not others.exists():
        raise LastOwner(
            _("An organisation needs an owner. Make somebody else an owner first."),
            data={"field": "role"},
        )
