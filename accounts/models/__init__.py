"""People, organisations, memberships, invitations, API keys and the audit log.

Other rooms are referred to by public id only; this room imports none of them.
"""

from accounts.models.audit import AuditEvent
from accounts.models.keys import ApiKey, ApiKeyQuerySet, CapPeriod, KeyKind, RememberedAnswer
from accounts.models.people import (
    Invitation,
    Membership,
    Organisation,
    Role,
    TrialClaim,
    User,
    UserManager,
)

__all__ = [
    "ApiKey",
    "ApiKeyQuerySet",
    "AuditEvent",
    "CapPeriod",
    "Invitation",
    "KeyKind",
    "Membership",
    "Organisation",
    "RememberedAnswer",
    "Role",
    "TrialClaim",
    "User",
    "UserManager",
]
