"""How a provider can fail a call. None of these costs the tenant anything."""

from django.utils.translation import gettext_lazy as _

from portal.kernel.errors import DomainError


class UpstreamFailure(DomainError):
    """The provider could not answer."""

    code, kind = "upstream_error", "unavailable"
    sentence = _("The provider could not answer.")
    # Whether another provider of the same model may do better.
    worth_another_provider = True
    # Whether it counts against the provider's uptime.
    is_providers_fault = True


class UpstreamUnreachable(UpstreamFailure):
    """No connection came about."""

    code = "upstream_unreachable"
    sentence = _("The provider could not be reached.")


class UpstreamTimedOut(UpstreamFailure):
    """Nothing came for longer than the phase allows."""

    code = "upstream_timeout"
    sentence = _("The provider did not answer in time.")


class UpstreamOverran(UpstreamTimedOut):
    """The whole answer took longer than a call may take."""


class UpstreamForbade(UpstreamFailure):
    """The provider may not serve this request: its own rules or its country's."""

    is_providers_fault = False


class UpstreamBusy(UpstreamFailure):
    """The provider's own limit of calls; ``data`` has ``retry_after_seconds``."""

    code, kind = "upstream_rate_limited", "limited"
    sentence = _("The provider is answering too many calls at the moment.")
    is_providers_fault = False

    def __init__(self, *, retry_after_seconds: int) -> None:
        super().__init__(data={"retry_after_seconds": retry_after_seconds})


class UpstreamRejected(UpstreamFailure):
    """The provider does not accept the request; the message is in its own words, if it has any."""

    code, kind = "upstream_rejected", "rejected"
    sentence = _("The provider does not accept this request.")
    worth_another_provider = False
    is_providers_fault = False


class UpstreamCutShort(Exception):
    """We stopped listening: the client went away, or what was held is used up."""
