"""How a provider can fail a call. None of these costs the tenant anything."""

from django.utils.translation import gettext_lazy as _

from portal.kernel.errors import DomainError


class UpstreamFailure(DomainError):
    """The provider could not answer."""

    code, kind = "upstream_error", "unavailable"
    # Whether another provider of the same model may do better.
    worth_another_provider = True


class UpstreamUnreachable(UpstreamFailure):
    """The provider could not be reached."""

    code = "upstream_unreachable"


class UpstreamTimedOut(UpstreamFailure):
    """The provider did not answer in time."""

    code = "upstream_timeout"


class UpstreamOverran(UpstreamTimedOut):
    """The provider's answer took longer than a call may take."""


class UpstreamBusy(UpstreamFailure):
    """The provider is answering too many calls at the moment."""

    code, kind = "upstream_rate_limited", "limited"

    def __init__(self, *, retry_after_seconds: int) -> None:
        super().__init__(
            _("The provider is answering too many calls at the moment."),
            data={"retry_after_seconds": retry_after_seconds},
        )


class UpstreamRejected(UpstreamFailure):
    """The provider does not accept this request, in its own words."""

    code, kind = "upstream_rejected", "rejected"
    worth_another_provider = False


class UpstreamCutShort(Exception):
    """We stopped listening: the client went away, or what was held is used up."""
