"""What a key may use and has used, and what one call cost, in OpenRouter's shapes."""

from typing import Any
from urllib.parse import parse_qs

from django.utils.translation import gettext_lazy as _

from accounts.models import ApiKey
from accounts.services import AuthenticatedKey
from marketplace.gateway.amounts import currency_number, tokens_text
from marketplace.gateway.errors import GatewayRefusal
from marketplace.metering import selectors as metering
from marketplace.metering.models import Call
from portal.kernel.clock import utc_now

_RESETS = {"day": "daily", "week": "weekly", "month": "monthly"}


def get_key(key: AuthenticatedKey) -> dict[str, Any]:
    """Amounts in the tariff currency, and under ``tokens`` in wallet tokens."""
    now = utc_now()
    record = ApiKey.objects.select_related("organisation").get(pk=key.key_id)
    usage = metering.get_key_usage(record, now=now)
    state = metering.get_key_states([record], now=now).get(record.pk)
    amounts = {
        "limit": state.max_millitokens if state else None,
        "limit_remaining": state.left_millitokens if state else None,
        "usage": usage.total,
        "usage_daily": usage.day,
        "usage_weekly": usage.week,
        "usage_monthly": usage.month,
    }
    return {
        "data": {
            "label": record.name,
            **{n: None if v is None else currency_number(v) for n, v in amounts.items()},
            "limit_reset": _RESETS.get(record.cap_period) if state else None,
            "expires_at": record.expires_at,
            "is_free_tier": False,
            "unit": key.kind,
            "tokens": {n: None if v is None else tokens_text(v) for n, v in amounts.items()},
        }
    }


def get_generation(key: AuthenticatedKey, query: bytes) -> dict[str, Any]:
    """The call that ``?id=`` names, if the key's holder made it with tokens of the key's kind.

    Raises GatewayRefusal: 404 for any other.
    """
    [call_id, *_more] = parse_qs(query.decode("latin-1")).get("id", [""])
    call = (
        Call.objects.select_related("service__model", "service__provider")
        .filter(
            # PostgreSQL takes no NUL, and no id has one.
            public_id=call_id.replace("\0", ""),
            organisation=key.organisation_pk,
            member=key.member_pk,
            unit=key.kind,
        )
        .first()
    )
    if call is None:
        raise GatewayRefusal(404, "not_found", _("There is no such request here."), param="id")
    return {"data": _render(call)}


def _render(call: Call) -> dict[str, Any]:
    cost = currency_number(call.cost_millitokens)
    before = call.first_token_ms if call.streamed else call.duration_ms
    generating = (call.duration_ms or 0) - (call.first_token_ms or 0) if call.streamed else before
    return {
        "id": call.public_id,
        "model": call.service.model.handle,
        "provider_name": call.service.provider.name,
        "created_at": call.started_at,
        "streamed": call.streamed,
        "cancelled": call.status == "client_disconnected",
        "finish_reason": call.finish_reason or None,
        "native_finish_reason": call.finish_reason or None,
        "latency": before,
        "generation_time": generating,
        "tokens_prompt": call.prompt_tokens,
        "tokens_completion": call.completion_tokens,
        "native_tokens_prompt": call.prompt_tokens,
        "native_tokens_completion": call.completion_tokens,
        "native_tokens_cached": call.cached_tokens,
        "usage": cost,
        "total_cost": cost,
        "upstream_id": call.upstream_id or None,
        "is_byok": False,
        "service": call.service.handle,
        "status": call.status,
        "error_code": call.error_code or None,
        "operation": call.operation,
        "unit": call.unit,
        "cost_tokens": tokens_text(call.cost_millitokens),
        "request_id": call.request_id,
    }
