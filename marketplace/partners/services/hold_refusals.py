"""Why a hold of direct mode is refused, in codes that stay."""

from django.utils.translation import gettext_lazy as _

from marketplace.metering.models import Call, CallStatus
from portal.kernel.errors import Conflict, DomainError, Forbidden, NotFound, Rejected


class HoldNotFound(NotFound):
    """There is no such hold of yours."""

    code = "hold_not_found"


class HoldDeclined(DomainError):
    """The tokens cannot be held; nothing was changed."""

    code, kind = "credit_balance_exhausted", "unpaid"


class HoldClosed(Conflict):
    """The hold was captured, released or has expired."""

    code = "hold_closed"


class HoldKeyReused(Conflict):
    """This Idempotency-Key stands for another hold."""

    code = "idempotency_key_reused"


class HoldRejected(Rejected):
    """This cannot be held."""

    code = "hold_rejected"


class GrantKeyRefused(Forbidden):
    """The tenant's key behind the grant no longer works."""

    code = "grant_key_refused"


class ServiceNotLive(Conflict):
    """The service takes no calls now."""

    code = "service_not_live"


def declined(code: str, subject: str) -> HoldDeclined:
    """The ledger's reason, in the words and codes of this API."""
    if code == "limit_exceeded" and subject.startswith("grant:"):
        message = _("The grant's ceiling does not allow this. Ask the caller for another grant.")
        return HoldDeclined(message, code="grant_ceiling_exhausted")
    if code == "limit_exceeded":
        return HoldDeclined(_("The caller's budget does not allow this."), code="budget_exhausted")
    if code == "wallet_frozen":
        message = _("The caller's wallet is frozen: running calls finish, no new one can start.")
        return HoldDeclined(message, code="wallet_frozen")
    return HoldDeclined(_("The caller does not have enough tokens."))


def closed(call: Call) -> HoldClosed:
    """How the call's hold was closed."""
    if call.status == CallStatus.SUCCEEDED:
        return HoldClosed(_("This hold was captured already."), code="hold_captured")
    if call.status == CallStatus.FAILED:
        return HoldClosed(_("This hold was released."), code="hold_released")
    return HoldClosed(
        _("This hold has expired; its usage can no longer be charged."), code="hold_expired"
    )
