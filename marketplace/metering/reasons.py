"""Why a call ended without an answer, in words for the people who read its receipt."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as Words

_REASONS: Mapping[str, "Words"] = {
    "upstream_error": _("The provider failed, or broke off its answer."),
    "upstream_unreachable": _("The provider could not be reached."),
    "upstream_timeout": _("The provider did not answer in time."),
    "upstream_rate_limited": _("The provider was answering too many calls."),
    "upstream_rejected": _("The provider did not accept the request."),
    "overloaded": _("Too many calls were running here."),
    "internal_error": _("Something went wrong on our side."),
    "process_lost": _("The process that served it ended before it did."),
    "released": _("The provider gave the hold back."),
    "insufficient_funds": _("The wallet could not pay for this service."),
    "limit_exceeded": _("A cap or a budget would have been exceeded."),
    "wallet_frozen": _("The wallet was frozen."),
}


def explain_error(code: str) -> str:
    """The reason behind a call's ``error_code``; a code without words reads as itself."""
    return str(_REASONS.get(code, code))
