"""Holds of direct mode: placed on a grant by the provider, extended, released."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiKey
from accounts.services import AuthenticatedKey, apply_policies
from marketplace.catalog import selectors as catalog
from marketplace.catalog.models import Provider
from marketplace.catalog.selectors import CallableService
from marketplace.ledger import services as ledger
from marketplace.metering import selectors as metering_selectors
from marketplace.metering import services as metering
from marketplace.metering.models import Call, CallStatus, Surface
from marketplace.partners.models import DirectGrant
from marketplace.partners.services.grants import read_grant
from marketplace.partners.services.hold_refusals import (
    GrantKeyRefused,
    HoldDeclined,
    HoldKeyReused,
    HoldNotFound,
    ServiceNotLive,
    closed,
    declined,
)
from marketplace.partners.services.policies import refuse_forbidden
from marketplace.partners.services.wishes import Wish, bound_wish, hash_wish, price_extension

OPERATION = "direct"


@dataclass(frozen=True)
class DirectHold:
    """A hold as its provider sees it."""

    call_id: str
    hold_id: str
    amount_millitokens: int
    expires_at: datetime


def place_direct_hold(
    *,
    provider: Provider,
    token: str,
    wish: Wish,
    idempotency_key: str,
    request_id: str = "",
    now: datetime,
) -> DirectHold:
    """Hold tokens of the tenant who gave the grant, below the grant's ceiling and the key's cap.

    Committed with the call's record. The same key with the same content gives the same hold (or
    the same refusal) again. Raises what ``read_grant`` raises, GrantKeyRefused, ServiceNotLive,
    PolicyViolation (it may be newer than the grant),
    HoldRejected (nothing to hold), HoldDeclined (funds, ceiling, cap, frozen), HoldKeyReused.
    """
    grant = read_grant(token=token, provider=provider, now=now)
    service, key = _find_live_service(grant, now), _key_of(grant.api_key, now)
    refuse_forbidden(service, key.policies)
    quantities = bound_wish(wish, service.price)
    expires_at = grant.expires_at + timedelta(seconds=settings.DIRECT_GRACE_SECONDS)
    (result,) = metering.open_calls(
        [
            metering.OpenCall(
                key=key,
                service=service,
                operation=OPERATION,
                prompt_tokens=quantities.prompt_tokens,
                completion_tokens=quantities.completion_tokens,
                expires_at=expires_at,
                surface=Surface.DIRECT.value,
                request_id=request_id,
                limits=(
                    ledger.LimitDemand(
                        subject=f"grant:{grant.public_id}",
                        period_start=grant.created_at,
                        max_millitokens=grant.ceiling_millitokens,
                    ),
                ),
                idempotency_scope=f"direct:{provider.public_id}",
                idempotency_key=idempotency_key,
                request_hash=hash_wish(wish, grant_id=grant.public_id),
            )
        ],
        now=now,
    )
    if result.outcome == "conflict":
        raise HoldKeyReused(_("This Idempotency-Key was used for another hold; use a new one."))
    if result.call is None:
        raise declined(result.decline_code, result.decline_subject)
    return DirectHold(
        call_id=result.call.public_id,
        hold_id=result.call.hold_id,
        amount_millitokens=result.call.held_millitokens,
        expires_at=expires_at,
    )


def extend_direct_hold(
    *, provider: Provider, hold_id: str, wish: Wish, now: datetime
) -> DirectHold:
    """Hold more for a call that runs longer. Not repeatable by itself: see the caller.

    Raises HoldNotFound, HoldClosed, HoldRejected, HoldDeclined (funds, ceiling or cap), and
    GrantKeyRefused: a suspended key holds nothing more; what is held may still be captured.
    """
    call = get_direct_call(provider=provider, hold_id=hold_id)
    require_open(call, now=now)
    _require_usable(call.api_key_id, now)
    extra = price_extension(wish, call.price_version.snapshot)
    (extended,) = ledger.extend_holds([(hold_id, extra)], now=now)
    if not extended:
        require_open(get_direct_call(provider=provider, hold_id=hold_id), now=now)
        raise HoldDeclined(
            _("The wallet, the grant's ceiling or the key's cap does not allow more.")
        )
    return describe_hold(get_direct_call(provider=provider, hold_id=hold_id))


def release_direct_hold(*, provider: Provider, hold_id: str, now: datetime) -> DirectHold:
    """Give everything back: the call failed and costs nothing. Twice is once.

    Raises HoldNotFound, HoldClosed (captured or expired).
    """
    call = get_direct_call(provider=provider, hold_id=hold_id)
    if call.status == CallStatus.OPEN:
        require_open(call, now=now)
        opened = metering_selectors.describe_opened(call)
        metering.close_calls(
            [metering.CloseCall(call=opened, status="failed", error_code="released")], now=now
        )
        call = get_direct_call(provider=provider, hold_id=hold_id)
    if call.status != CallStatus.FAILED:
        raise closed(call)
    return describe_hold(call)


def get_direct_call(*, provider: Provider, hold_id: str) -> Call:
    """The call of a hold that this provider placed; raises HoldNotFound for any other hold."""
    call = (
        Call.objects.filter(
            surface=Surface.DIRECT, service__provider=provider, hold__public_id=hold_id
        )
        .exclude(status=CallStatus.REFUSED)
        .select_related("hold", "price_version", "service__provider")
        .first()
    )
    if call is None:
        raise HoldNotFound(_("There is no such hold of yours."))
    return call


def require_open(call: Call, *, now: datetime) -> None:
    """Raises HoldClosed, saying how it was closed."""
    if call.status != CallStatus.OPEN or hold_expires_at(call) <= now:
        raise closed(call)


def hold_expires_at(call: Call) -> datetime:
    """Until when usage may be reported: the grant's life and the published grace."""
    if call.hold is None:
        raise HoldNotFound(_("There is no such hold of yours."))
    return call.hold.expires_at


def describe_hold(call: Call) -> DirectHold:
    """The hold as it stands."""
    hold = call.hold
    if hold is None:
        raise HoldNotFound(_("There is no such hold of yours."))
    return DirectHold(
        call_id=call.public_id,
        hold_id=hold.public_id,
        amount_millitokens=hold.amount_millitokens,
        expires_at=hold.expires_at,
    )


def _find_live_service(grant: DirectGrant, now: datetime) -> CallableService:
    service = grant.service
    for found in catalog.find_callable_services(service.handle, unit=service.unit, now=now):
        if found.public_id == service.public_id:
            return found
    raise ServiceNotLive(_("The service takes no calls now."))


def _require_usable(key_pk: int, now: datetime) -> None:
    if not ApiKey.objects.usable(now=now).filter(pk=key_pk).exists():
        raise GrantKeyRefused(_("The caller's key no longer works, so the grant does not either."))


def _key_of(key: ApiKey, now: datetime) -> AuthenticatedKey:
    """The tenant's key behind a grant, as if it had been presented; it must still work."""
    _require_usable(key.pk, now)
    organisation = key.organisation
    return AuthenticatedKey(
        key_id=key.pk,
        key_public_id=key.public_id,
        kind=key.kind,
        scopes=frozenset(key.scopes),
        cap_millitokens=key.cap_millitokens,
        cap_period=key.cap_period,
        cap_subject=key.cap_subject,
        allowed_services=frozenset(key.allowed_services),
        member_pk=key.created_by_id,
        organisation_pk=organisation.pk,
        organisation_public_id=organisation.public_id,
        organisation_slug=organisation.slug,
        organisation_timezone=organisation.timezone,
        status="ok",
        touch_due=False,
        policies=apply_policies(organisation=organisation.policy, key=key.policy),
    )
