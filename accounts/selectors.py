"""Reads of accounts; for tenant data the organisation is a required argument."""

from datetime import datetime
from itertools import chain

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.models import (
    ApiKey,
    ApiKeyQuerySet,
    AuditEvent,
    Invitation,
    Membership,
    Notice,
    NoticeKind,
    NoticePreference,
    Organisation,
    Role,
    User,
    WebhookDelivery,
    WebhookEndpoint,
)
from accounts.notice_kinds import RULES, Channels, list_kinds, resolve_channels
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


def list_allowed_origins(*, now: datetime) -> frozenset[str]:
    """Origins of web pages that at least one usable key of anybody allows."""
    keys = ApiKey.objects.usable(now=now).exclude(allowed_origins=[])
    return frozenset(chain.from_iterable(keys.values_list("allowed_origins", flat=True)))


def list_audit_events(organisation: Organisation) -> QuerySet[AuditEvent]:
    """Newest first."""
    return organisation.audit_events.order_by("-recorded_at", "-pk")


def list_notices(*, organisation: Organisation, person: User) -> QuerySet[Notice]:
    """The person's inbox in this organisation: what their present role may read."""
    role = organisation.memberships.filter(user=person).values_list("role", flat=True).first()
    kinds = list_kinds(role) if role else []
    return Notice.objects.filter(
        organisation=organisation, person=person, in_portal=True, kind__in=kinds
    ).select_related("organisation", "cause")


def get_notice(*, organisation: Organisation, person: User, public_id: str) -> Notice:
    """One notice. Raises NotFound when it is not this person's in this organisation."""
    notices = list_notices(organisation=organisation, person=person)
    notice = notices.filter(public_id=public_id).first()
    if notice is None:
        raise NotFound(_("There is no such notice here."))
    return notice


def count_unread_notices(*, membership: Membership, most: int) -> int:
    """For the header of every page: one query, which stops counting after ``most``."""
    unread = Notice.objects.filter(
        organisation_id=membership.organisation_id,
        person_id=membership.user_id,
        in_portal=True,
        read_at__isnull=True,
        kind__in=list_kinds(membership.role),
    )
    return unread[:most].count()


def list_notice_readers(
    *, organisation: Organisation, kind: str, person: User | None = None
) -> dict[User, Channels]:
    """Who is told of this kind (or whether ``person`` is), with the channels they want."""
    rule = RULES[NoticeKind(kind)]
    roles = [role for role in Role if role.rank >= rule.least_role.rank]
    members = list_members(organisation).filter(role__in=roles, user__is_active=True)
    preferences = NoticePreference.objects.filter(organisation=organisation, kind=kind)
    if person is not None:
        members = members.filter(user=person)
        preferences = preferences.filter(person=person)
    chosen = {
        preference.person_id: Channels(preference.in_portal, preference.by_mail)
        for preference in preferences
    }
    return {
        member.user: resolve_channels(NoticeKind(kind), chosen.get(member.user_id))
        for member in members
    }


def list_notice_choices(*, membership: Membership) -> dict[NoticeKind, Channels]:
    """By kind that this member is told of: the channels in force."""
    chosen = {
        preference.kind: Channels(preference.in_portal, preference.by_mail)
        for preference in NoticePreference.objects.filter(
            organisation_id=membership.organisation_id, person_id=membership.user_id
        )
    }
    return {kind: resolve_channels(kind, chosen.get(kind)) for kind in list_kinds(membership.role)}


def list_webhooks(organisation: Organisation) -> QuerySet[WebhookEndpoint]:
    """The organisation's endpoints, the oldest first."""
    return WebhookEndpoint.objects.filter(organisation=organisation).order_by("pk")


def get_webhook(organisation: Organisation, public_id: str) -> WebhookEndpoint:
    """Raises NotFound for another tenant's."""
    endpoint = list_webhooks(organisation).filter(public_id=public_id).first()
    if endpoint is None:
        raise NotFound(_("There is no such webhook here."))
    return endpoint


def list_webhook_deliveries(endpoint: WebhookEndpoint) -> QuerySet[WebhookDelivery]:
    """The log of an endpoint, the newest first."""
    return endpoint.deliveries.order_by("-pk")


def get_webhook_delivery(endpoint: WebhookEndpoint, public_id: str) -> WebhookDelivery:
    """Raises NotFound for one of another endpoint."""
    deliveries = list_webhook_deliveries(endpoint).select_related("endpoint")
    delivery = deliveries.filter(public_id=public_id).first()
    if delivery is None:
        raise NotFound(_("There is no such message here."))
    return delivery
