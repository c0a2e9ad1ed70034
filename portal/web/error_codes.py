"""The gateway's refusals as its callers read about them; its tests hold the same codes."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class ErrorCode:
    """One row: the status, the stable code, the official Python client's exception, the way out."""

    status: int
    code: str
    exception: str
    advice: Promise


ERROR_CODES = (
    ErrorCode(
        400,
        "invalid_json, invalid_value",
        "BadRequestError",
        _("The body cannot be read or a field cannot be accepted; param names the field."),
    ),
    ErrorCode(
        400,
        "wrong_operation",
        "BadRequestError",
        _("The model does not do this: chat models chat, embedding models embed."),
    ),
    ErrorCode(
        400,
        "unsupported_parameter",
        "BadRequestError",
        _("No service of the model does what param names. Leave it out, or have it dropped."),
    ),
    ErrorCode(
        400,
        "max_cost_too_low",
        "BadRequestError",
        _("The call could cost more than your max_cost allows; the message says how much."),
    ),
    ErrorCode(
        400,
        "upstream_rejected",
        "BadRequestError",
        _("The provider does not accept the request and says why."),
    ),
    ErrorCode(
        401,
        "missing_api_key, invalid_api_key",
        "AuthenticationError",
        _("There is no such key. Copy it whole; it begins with tw_live_ or tw_test_."),
    ),
    ErrorCode(
        401,
        "api_key_suspended, api_key_expired, api_key_revoked",
        "AuthenticationError",
        _("The key is known but cannot be used. Resume it or create a new one in the portal."),
    ),
    ErrorCode(
        402,
        "credit_balance_exhausted",
        "APIStatusError",
        _("The wallet cannot pay for this call. Buy a pack, or set a smaller max_tokens."),
    ),
    ErrorCode(
        402,
        "budget_exhausted",
        "APIStatusError",
        _("A budget or the key's cap would be broken; the message says whose and until when."),
    ),
    ErrorCode(
        403,
        "insufficient_scope, policy_violation",
        "PermissionDeniedError",
        _("The key may not do this or not call this service. An owner can change the key."),
    ),
    ErrorCode(
        403,
        "address_not_allowed, origin_not_allowed",
        "PermissionDeniedError",
        _("The key is confined to other addresses or web sites. The portal shows to which."),
    ),
    ErrorCode(
        403,
        "wallet_frozen",
        "PermissionDeniedError",
        _("The wallet is frozen while the operator looks into a difference. Nothing is lost."),
    ),
    ErrorCode(
        404,
        "model_not_found",
        "NotFoundError",
        _("No live service has this name. Copy it from the service's page or GET /v1/models."),
    ),
    ErrorCode(
        404,
        "no_allowed_provider",
        "NotFoundError",
        _("What provider asks for excludes every service of the model; param says which wish did."),
    ),
    ErrorCode(
        409,
        "idempotency_in_progress, idempotency_key_used",
        "ConflictError",
        _("A request with this Idempotency-Key still runs, or its answer is not kept any more."),
    ),
    ErrorCode(
        413,
        "request_too_large",
        "APIStatusError",
        _("The body is above the limit. Send less at a time."),
    ),
    ErrorCode(
        422,
        "idempotency_mismatch",
        "UnprocessableEntityError",
        _("Another request had this Idempotency-Key. Use a new one for each request."),
    ),
    ErrorCode(
        429,
        "rate_limit_exceeded",
        "RateLimitError",
        _("The limit per minute of the key or the service is reached. Wait as Retry-After says."),
    ),
    ErrorCode(
        429,
        "upstream_rate_limited",
        "RateLimitError",
        _("The provider is busy. Wait as Retry-After says; the official clients do so themselves."),
    ),
    ErrorCode(
        500,
        "call_not_recorded",
        "InternalServerError",
        _("The end of the call could not be recorded. Its receipt says whether it was charged."),
    ),
    ErrorCode(
        502,
        "upstream_error, upstream_unreachable",
        "InternalServerError",
        _("The provider failed. Try again, or name another service of the same model."),
    ),
    ErrorCode(
        503,
        "service_not_connected",
        "InternalServerError",
        _("A sample listing: the operator has connected no endpoint yet."),
    ),
    ErrorCode(
        503,
        "ledger_unguarded",
        "InternalServerError",
        _("Calls are stopped while what guards the books is put back. Nothing was charged."),
    ),
    ErrorCode(
        503,
        "overloaded",
        "InternalServerError",
        _("Too much is in flight. Wait as Retry-After says."),
    ),
    ErrorCode(
        503,
        "shutting_down",
        "InternalServerError",
        _("This server is being stopped or replaced. Wait as Retry-After says."),
    ),
    ErrorCode(
        504,
        "upstream_timeout",
        "InternalServerError",
        _("The provider did not answer in time. Try again, or name another service."),
    ),
)
