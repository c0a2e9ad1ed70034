"""Every refusal of the gateway in OpenAI's error shape, with a stable code; see docs/gateway.md.

The official clients choose the exception class by the status and show ``code``: 400
BadRequestError, 401 AuthenticationError, 402 APIStatusError, 403 PermissionDeniedError, 404
NotFoundError, 429 RateLimitError, 5xx InternalServerError. They try 408, 409, 429 and 5xx again by
themselves, so a refusal that another try cannot change has none of these.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

from marketplace.upstream.failures import UpstreamBusy, UpstreamFailure
from portal.kernel.errors import DomainError

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

    Words = str | _StrPromise

_UPSTREAM_STATUS = {
    "upstream_error": 502,
    "upstream_unreachable": 502,
    "upstream_timeout": 504,
    "upstream_rate_limited": 429,
    "upstream_rejected": 400,
}
_TYPES = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
}


class GatewayRefusal(Exception):
    """A request that ends here: HTTP status, stable code, words for people.

    ``values`` fill the message's ``%(name)s`` when it is rendered, in the reader's language.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: "Words",
        *,
        param: str | None = None,
        retry_after_seconds: int | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
        values: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message
        self.values = values
        self.param = param
        self.headers = list(headers)
        if retry_after_seconds is not None:
            self.headers.append((b"retry-after", str(retry_after_seconds).encode()))

    def render(self) -> dict[str, Any]:
        """The answer's body: ``{"error": {"message", "type", "param", "code"}}``."""
        default = "server_error" if self.status >= 500 else "invalid_request_error"
        message = str(self.message)
        return {
            "error": {
                "message": message % self.values if self.values else message,
                "type": _TYPES.get(self.status, default),
                "param": self.param,
                "code": self.code,
            }
        }


def refuse_value(param: str, message: "Words", **values: object) -> GatewayRefusal:
    """A field that cannot be accepted."""
    return GatewayRefusal(400, "invalid_value", message, param=param, values=values)


def refuse_unsupported(param: str, message: "Words", **values: object) -> GatewayRefusal:
    """A field that would be understood, but that nobody here can fulfil."""
    return GatewayRefusal(400, "unsupported_parameter", message, param=param, values=values)


def refuse_failure(failure: UpstreamFailure) -> GatewayRefusal:
    """A provider's failure, told without its secrets. Whatever it was, it cost nothing."""
    status = _UPSTREAM_STATUS.get(failure.code, 502)
    retry_after = failure.data["retry_after_seconds"] if isinstance(failure, UpstreamBusy) else None
    return GatewayRefusal(
        status,
        failure.code,
        _("%(what)s Nothing was charged."),
        retry_after_seconds=retry_after,
        values={"what": failure.message},
    )


def refuse_domain(error: DomainError) -> GatewayRefusal:
    """A refusal of another room that no step foresaw."""
    statuses = {"not_found": 404, "forbidden": 403, "rejected": 400, "unpaid": 402, "limited": 429}
    return GatewayRefusal(statuses.get(error.kind, 503), error.code, str(error))


def refuse_unexpected() -> GatewayRefusal:
    return GatewayRefusal(
        500, "internal_error", _("Something went wrong on our side. Nothing was charged.")
    )


def refuse_unrecorded(call_id: str) -> GatewayRefusal:
    """The end of a call could not be written down, as far as we know: a retry may pay again."""
    return GatewayRefusal(
        500,
        "call_not_recorded",
        _(
            "The end of this call could not be recorded. Its receipt (%(call)s) says in a few "
            "minutes whether it was charged."
        )
        % {"call": call_id},
        headers=[(b"x-should-retry", b"false")],
    )
