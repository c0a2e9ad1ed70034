"""A market in motion: tokens granted and calls made through the rooms' own services."""

from datetime import datetime, timedelta
from typing import Any

from accounts import services as accounts
from accounts.models import Organisation
from marketplace.catalog import selectors as catalog
from marketplace.catalog.models import Service
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Lot
from marketplace.metering import services as metering
from marketplace.metering.commands import CloseCall, OpenCall, OpenedCall
from marketplace.metering.models import Budget, Call, Recount
from marketplace.metering.verdicts import CountedCall
from portal.kernel.clock import utc_now

MILLION_TOKENS = 1_000_000_000  # in millitokens


def give_tokens(
    organisation: Organisation,
    millitokens: int = MILLION_TOKENS,
    *,
    reference: str = "trial:test",
    now: datetime | None = None,
    expires_at: datetime | None = None,
    scope: str = "",
) -> Lot:
    """A grant lot in the organisation's live wallet of this scope, the general one by default."""
    return ledger.grant_lot(
        owner_key=organisation.public_id,
        unit="live",
        reference=f"{reference}:{organisation.public_id}",
        kind="grant",
        face_millitokens=millitokens,
        debits=[("promotion", "operator", millitokens)],
        expires_at=expires_at,
        scope=scope,
        now=now or utc_now(),
    ).lot


def make_budget(organisation: Organisation, millitokens: int, **fields: Any) -> Budget:
    """Of all live calls per day, by its first member, unless ``fields`` say otherwise."""
    settings: dict[str, Any] = {
        "member": None,
        "unit": "live",
        "period": "day",
        "alert_percentages": [80, 100],
        "created_by": organisation.memberships.order_by("pk")[0].user,
        "actor": accounts.SYSTEM_ACTOR,
        "now": utc_now(),
    }
    return metering.create_budget(
        organisation=organisation, max_millitokens=millitokens, **settings | fields
    )


def open_call(
    key_text: str,
    service: Service,
    *,
    prompt_tokens: int = 1000,
    completion_tokens: int = 1000,
    now: datetime | None = None,
    lasts: timedelta = timedelta(minutes=5),
) -> OpenedCall:
    """A call whose tokens are held and that has not ended."""
    now = now or utc_now()
    key = accounts.authenticate_api_key(text=key_text, now=now)
    assert key is not None
    [callable_service] = catalog.find_callable_services(service.handle, unit=service.unit, now=now)
    [result] = metering.open_calls(
        [
            OpenCall(
                key=key,
                service=callable_service,
                operation="chat",
                prompt_tokens=prompt_tokens,
                completion_tokens=completion_tokens,
                expires_at=now + lasts,
            )
        ],
        now=now,
    )
    assert result.call is not None, result
    return result.call


def make_call(
    key_text: str,
    service: Service,
    *,
    prompt_tokens: int = 100,
    completion_tokens: int = 50,
    status: str = "succeeded",
    now: datetime | None = None,
    duration_ms: int = 300,
) -> Call:
    """A whole call, from hold to capture."""
    now = now or utc_now()
    opened = open_call(key_text, service, now=now)
    delivered = status == "succeeded"
    metering.close_calls(
        [
            CloseCall(
                call=opened,
                status=status,  # type: ignore[arg-type]
                prompt_tokens=prompt_tokens if delivered else 0,
                completion_tokens=completion_tokens if delivered else 0,
                usage_source="provider" if delivered else "none",
                error_code="" if delivered else "upstream_failed",
                finish_reason="stop" if delivered else "",
                first_token_ms=duration_ms // 3,
                duration_ms=duration_ms,
            )
        ],
        now=now + timedelta(milliseconds=duration_ms),
    )
    return Call.objects.get(public_id=opened.public_id)


def count_again(
    call: Call,
    *,
    prompt_counted: int | None = None,
    completion_counted: int | None = None,
    settles: bool = True,
    now: datetime | None = None,
    **more: Any,
) -> Recount:
    """What the market found when it counted this call again; the same as reported by default."""
    counted = CountedCall(
        call_pk=call.pk,
        service_pk=call.service_id,
        tokenizer="qwen3",
        prompt_reported=call.prompt_tokens,
        prompt_counted=call.prompt_tokens if prompt_counted is None else prompt_counted,
        completion_reported=call.completion_tokens,
        completion_counted=(
            call.completion_tokens if completion_counted is None else completion_counted
        ),
        **more,
    )
    metering.record_recounts([counted], now=now or utc_now(), settles=settles)
    return Recount.objects.get(call=call)
