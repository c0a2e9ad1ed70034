"""Refusals about API keys."""

from portal.kernel.errors import Conflict, Forbidden, Rejected


class KeyRejected(Rejected):
    """The key cannot be made or set like this; ``data["field"]`` names the input."""

    code = "key_rejected"


class KeyRevoked(Conflict):
    """The key is revoked for good."""

    code = "key_revoked"


class SuspendedByAnother(Forbidden):
    """A member may not undo the suspension of their key by an owner."""

    code = "key_suspended_by_another"


class KeyNotRotatable(Conflict):
    """Only a key that works, and was not rotated already, can be rotated."""

    code = "key_not_rotatable"
