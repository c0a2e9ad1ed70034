"""People, organisations, memberships, invitations, API keys, notices and the audit log.

Other rooms are referred to by public id only; this room imports none of them.
"""

from accounts.models.audit import AuditEvent
from accounts.models.keys import ApiKey, ApiKeyQuerySet, CapPeriod, KeyKind, RememberedAnswer
from accounts.models.notices import Notice, NoticeCause, NoticeKind, NoticePreference
from accounts.models.people import (
    Invitation,
    Membership,
    Organisation,
    Role,
    TrialClaim,
    User,
    UserManager,
)
from accounts.models.webhooks import WebhookDelivery, WebhookEndpoint, WebhookEvent

__all__ = [
    "ApiKey",
    "ApiKeyQuerySet",
    "AuditEvent",
    "CapPeriod",
    "Invitation",
    "KeyKind",
    "Membership",
    "Notice",
    "NoticeCause",
    "NoticeKind",
    "NoticePreference",
    "Organisation",
    "RememberedAnswer",
    "Role",
    "TrialClaim",
    "User",
    "UserManager",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookEvent",
]
