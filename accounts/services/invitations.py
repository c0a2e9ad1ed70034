"""Invitations: a link by e-mail. The token is random, kept as a digest, and used once."""

import hashlib
import secrets
from datetime import datetime, timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts import mails
from accounts.models import Invitation, Membership, Organisation, Role, User
from accounts.services.audit import Actor, record_audit
from accounts.services.organisations import AddressTaken, create_person
from portal.kernel.errors import Conflict, Forbidden, Rejected

MAX_OPEN_INVITATIONS = 100


class InvitationUnusable(Conflict):
    """The invitation was used, withdrawn or has expired."""

    code = "invitation_unusable"


class WrongAddress(Forbidden):
    """The invitation was sent to another address than the signed-in person's."""

    code = "invitation_for_another_address"


class InviterNotOwner(Forbidden):
    """Only an owner who can come in invites people."""

    code = "inviter_not_owner"


class AlreadyMember(Conflict):
    """The invited person belongs to the organisation already."""

    code = "already_member"


def invite_member(
    *,
    organisation: Organisation,
    email: str,
    role: str,
    invited_by: User,
    actor: Actor,
    now: datetime,
) -> Invitation:
    """Send somebody a link. An earlier open invitation of the same address is replaced by it.

    The mail goes out after the commit; the link dies after INVITATION_DAYS. Raises Rejected,
    AlreadyMember, and InviterNotOwner for who was an owner only until a moment ago.
    """
    address = _clean_address(email)
    if role not in Role.values:
        raise Rejected(_("Choose a role from the list."), data={"field": "role"})
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        # Under the lock that every change of a team takes: nobody is demoted or removed meanwhile.
        Organisation.objects.select_for_update().get(pk=organisation.pk)
        if not Membership.objects.filter(
            organisation=organisation, user=invited_by, role=Role.OWNER, user__is_active=True
        ).exists():
            raise InviterNotOwner(_("Only owners can invite people. Nobody was invited."))
        if Membership.objects.filter(organisation=organisation, user__email=address).exists():
            raise AlreadyMember(_("This person is a member already."), data={"field": "email"})
        open_ones = Invitation.objects.filter(
            organisation=organisation, accepted_at__isnull=True, withdrawn_at__isnull=True
        )
        open_ones.filter(email=address).update(withdrawn_at=now)
        if open_ones.count() >= MAX_OPEN_INVITATIONS:
            raise Rejected(
                _("Too many invitations are open. Withdraw one first."), code="too_many_invitations"
            )
        invitation = Invitation.objects.create(
            organisation=organisation,
            email=address,
            role=role,
            token_digest=token_digest_of(token),
            invited_by=invited_by,
            created_at=now,
            expires_at=now + timedelta(days=settings.INVITATION_DAYS),
        )
        record_audit(
            organisation=organisation,
            actor=actor,
            action="invitation.sent",
            target_id=invitation.public_id,
            target_label=address,
            after={"role": str(role)},
            now=now,
        )
        # Robust: the invitation stands in the list with "send again", whatever the mail does.
        transaction.on_commit(
            lambda: mails.send_invitation(invitation=invitation, token=token), robust=True
        )
    return invitation


def accept_invitation(
    *, invitation: Invitation, user: User, actor: Actor, now: datetime
) -> Membership:
    """Join the organisation in the offered role. Raises WrongAddress, InvitationUnusable.

    Whoever is a member already keeps their role; the invitation is used up all the same.
    """
    if user.email != invitation.email:
        raise WrongAddress(_("This invitation was sent to another e-mail address."))
    with transaction.atomic():
        used = Invitation.objects.filter(
            pk=invitation.pk,
            accepted_at__isnull=True,
            withdrawn_at__isnull=True,
            expires_at__gt=now,
        ).update(accepted_at=now)
        if not used:
            raise InvitationUnusable(_("This invitation was used, withdrawn or has expired."))
        membership, created = Membership.objects.get_or_create(
            organisation_id=invitation.organisation_id,
            user=user,
            defaults={"role": invitation.role, "joined_at": now},
        )
        record_audit(
            organisation=invitation.organisation,
            actor=actor,
            action="invitation.accepted",
            target_id=invitation.public_id,
            target_label=invitation.email,
            after={"role": str(membership.role), "joined": created},
            now=now,
        )
    return membership


def join_by_invitation(
    *, invitation: Invitation, password: str, language: str, now: datetime, address: str | None
) -> User:
    """A new person who joins the inviting organisation; the link proved their address.

    Raises AddressTaken, InvitationUnusable.
    """
    try:
        with transaction.atomic(durable=True):
            user = create_person(
                email=invitation.email, password=password, language=language, verified=True
            )
            actor = Actor(id=user.public_id, label=user.email, address=address)
            accept_invitation(invitation=invitation, user=user, actor=actor, now=now)
    except IntegrityError as clash:
        raise AddressTaken(_("There is an account with this address.")) from clash
    return user


def withdraw_invitation(*, invitation: Invitation, actor: Actor, now: datetime) -> None:
    """The link stops working. Twice is once. Raises InvitationUnusable when it was accepted."""
    with transaction.atomic():
        withdrawn = Invitation.objects.filter(
            pk=invitation.pk, accepted_at__isnull=True, withdrawn_at__isnull=True
        ).update(withdrawn_at=now)
        if withdrawn:
            record_audit(
                organisation=invitation.organisation,
                actor=actor,
                action="invitation.withdrawn",
                target_id=invitation.public_id,
                target_label=invitation.email,
                now=now,
            )
        elif Invitation.objects.filter(pk=invitation.pk, accepted_at__isnull=False).exists():
            raise InvitationUnusable(_("The invitation was accepted in the meantime."))


def withdraw_invitations_of(
    *, organisation: Organisation, user: User, actor: Actor, now: datetime
) -> int:
    """Withdraw what ``user`` sent or was sent, whose link would lead them back in.

    For somebody who goes or is an owner no more; within the caller's transaction. Returns how
    many there were.
    """
    # Locked: whoever is just accepting one is waited for, and that one is left out then.
    own = list(
        Invitation.objects.select_for_update(of=("self",))
        .select_related("organisation")
        .filter(
            Q(invited_by=user) | Q(email=user.email),
            organisation=organisation,
            accepted_at__isnull=True,
            withdrawn_at__isnull=True,
        )
        .order_by("pk")
    )
    for invitation in own:
        withdraw_invitation(invitation=invitation, actor=actor, now=now)
    return len(own)


def token_digest_of(token: str) -> str:
    """SHA-256 in hex of a token with 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()


def _clean_address(email: str) -> str:
    address = email.strip().lower()
    try:
        validate_email(address)
    except ValidationError as error:
        raise Rejected(_("Enter an e-mail address."), data={"field": "email"}) from error
    return address
