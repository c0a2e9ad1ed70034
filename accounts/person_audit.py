"""What changes the safety of a person's account is kept in the audit log, without an organisation.

allauth tells of it by signals; the connections are made when the app starts.
"""

from typing import Any

from allauth.account import signals as account_signals
from allauth.mfa import signals as mfa_signals
from django.dispatch import Signal
from django.http import HttpRequest

from accounts import services
from accounts.models import User
from portal.kernel.clock import utc_now

_ACTIONS: list[tuple[Signal, str]] = [
    (account_signals.password_changed, "person.password_changed"),
    (account_signals.password_set, "person.password_set"),
    (account_signals.password_reset, "person.password_reset"),
    (account_signals.email_changed, "person.address_changed"),
    (mfa_signals.authenticator_added, "person.second_factor_added"),
    (mfa_signals.authenticator_removed, "person.second_factor_removed"),
    (mfa_signals.authenticator_reset, "person.recovery_codes_renewed"),
]


def connect() -> None:
    """Listen from now on; harmless when repeated."""
    for signal, action in _ACTIONS:
        signal.connect(_recorder(action), weak=False, dispatch_uid=f"audit.{action}")


def _recorder(action: str) -> Any:
    def record(*, request: HttpRequest, user: User, **details: Any) -> None:
        old, new = details.get("from_email_address"), details.get("to_email_address")
        authenticator = details.get("authenticator")
        services.record_audit(
            organisation=None,
            actor=services.actor_of_person(user, request),
            action=action,
            target_id=user.public_id,
            target_label=user.email,
            before={"address": old.email} if old else {},
            after={
                **({"address": new.email} if new else {}),
                **({"kind": str(authenticator.type)} if authenticator else {}),
            },
            now=utc_now(),
        )

    return record
