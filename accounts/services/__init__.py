"""Writes of accounts, by topic. Call them through the module: ``accounts.create_api_key(...)``."""

from accounts.services.audit import (
    SYSTEM_ACTOR,
    Actor,
    actor_from_key,
    actor_from_request,
    address_of,
    record_audit,
)
from accounts.services.key_check import (
    AuthenticatedKey,
    authenticate_api_key,
    touch_api_key,
)
from accounts.services.keys import (
    GRACES,
    SCOPES_BY_KIND,
    KeyNotRotatable,
    KeyRejected,
    KeyRevoked,
    create_api_key,
    resume_api_key,
    revoke_api_key,
    rotate_api_key,
    suspend_api_key,
)
from accounts.services.organisations import (
    AddressTaken,
    create_organisation,
    create_person,
    join,
    update_organisation,
    verify_organisations,
)
from accounts.services.trials import claim_trial

__all__ = [
    "GRACES",
    "SCOPES_BY_KIND",
    "SYSTEM_ACTOR",
    "Actor",
    "AddressTaken",
    "AuthenticatedKey",
    "KeyNotRotatable",
    "KeyRejected",
    "KeyRevoked",
    "actor_from_key",
    "actor_from_request",
    "address_of",
    "authenticate_api_key",
    "claim_trial",
    "create_api_key",
    "create_organisation",
    "create_person",
    "join",
    "record_audit",
    "resume_api_key",
    "revoke_api_key",
    "rotate_api_key",
    "suspend_api_key",
    "touch_api_key",
    "update_organisation",
    "verify_organisations",
]
