"""Reads of accounts; for tenant data the organisation is a required argument."""

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.models import (
    ApiKey,
    ApiKeyQuerySet,
    AuditEvent,
    Invitation,
    Membership,
    Organisation,
    Role,
    User,
)
from portal.kernel.errors import NotFound


def get_organisation_for(user: User, slug: str) -> Organisation:
    """The organisation at this address. Raises NotFound unless ``user`` is its member."""
    return get_membership_for(user, slug).organisation


def get_membership_for(user: User, slug: str) -> Membership:
    """Role and organisation in one query. Raises NotFound unless ``user`` is a member."""
    membership = (
        Membership.objects.select_related("organisation")
        .filter(user_id=user.pk, organisation__slug=slug)
        .first()
    )
    if membership is None:
        raise NotFound(_("There is no such organisation here."))
    return membership


def list_organisations_of(user: User) -> QuerySet[Organisation]:
    """All that the person belongs to, by name: for the switcher."""
    return Organisation.objects.filter(memberships__user_id=user.pk).order_by("name", "pk")


def list_memberships_of(user: User) -> QuerySet[Membership]:
    """The person's roles with their organisations, by name."""
    return (
        Membership.objects.filter(user_id=user.pk)
        .select_related("organisation")
        .order_by("organisation__name", "pk")
    )


def list_members(organisation: Organisation) -> QuerySet[Membership]:
    """In the order of joining, with the people."""
    return organisation.memberships.select_related("user").order_by("joined_at", "pk")


def list_owners(organisation: Organisation) -> QuerySet[User]:
    """Who can grant roles."""
    return User.objects.filter(
        memberships__organisation=organisation, memberships__role=Role.OWNER, is_active=True
    ).order_by("pk")


def list_open_invitations(organisation: Organisation) -> QuerySet[Invitation]:
    """Neither accepted nor withdrawn, expired ones included, newest first."""
    return organisation.invitations.filter(
        accepted_at__isnull=True, withdrawn_at__isnull=True
    ).order_by("-pk")


def get_invitation(organisation: Organisation, public_id: str) -> Invitation:
    """One invitation. Raises NotFound when it is not this organisation's."""
    invitation = organisation.invitations.filter(public_id=public_id).first()
    if invitation is None:
        raise NotFound(_("There is no such invitation here."))
    return invitation


def find_invitation(token_digest: str) -> Invitation | None:
    """The invitation that a link's digest belongs to, in whatever state."""
    return (
        Invitation.objects.select_related("organisation", "invited_by")
        .filter(token_digest=token_digest)
        .first()
    )


def get_member(organisation: Organisation, user_public_id: str) -> Membership:
    """One member's role. Raises NotFound when the person is not a member."""
    member = list_members(organisation).filter(user__public_id=user_public_id).first()
    if member is None:
        raise NotFound(_("There is no such member here."))
    return member


def list_api_keys(organisation: Organisation, created_by: User | None = None) -> ApiKeyQuerySet:
    """Newest first, revoked ones included; only one member's when ``created_by`` is given."""
    keys = (
        ApiKey.objects.filter(organisation=organisation)
        .with_holder_state()
        .select_related("created_by")
        .order_by("-pk")
    )
    return keys.filter(created_by=created_by) if created_by else keys


def get_api_key(organisation: Organisation, public_id: str) -> ApiKey:
    """One key. Raises NotFound when it is not this organisation's."""
    key = list_api_keys(organisation).filter(public_id=public_id).first()
    if key is None:
        raise NotFound(_("There is no such key here."))
    return key


def list_audit_events(organisation: Organisation) -> QuerySet[AuditEvent]:
    """Newest first."""
    return organisation.audit_events.order_by("-recorded_at", "-pk")
