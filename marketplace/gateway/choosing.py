"""Which service a request goes to: the cheapest that fits and was not tried yet."""

from dataclasses import dataclass, field
from functools import partial

from django.utils.translation import gettext_lazy as _

from accounts.services import AuthenticatedKey
from marketplace.catalog import selectors as catalog
from marketplace.catalog.selectors import CallableService
from marketplace.gateway.errors import GatewayRefusal
from marketplace.gateway.parameters import keep_supporting
from marketplace.gateway.rate_limits import RateLimits, refuse_full
from marketplace.gateway.rates import Taken
from marketplace.gateway.requests import CallRequest
from marketplace.gateway.sizing import Size, keep_affordable, size_call
from portal.kernel.clock import utc_now
from portal.kernel.public_ids import new_public_id


@dataclass(frozen=True, slots=True)
class Choice:
    """A service, how much the call may need there, and what of the service's limits it took."""

    service: CallableService
    size: Size
    room: Taken


@dataclass(slots=True)
class Opening:
    """A request that wants a call, at a service that was not ``tried`` yet.

    The call's id and, once it is made, the choice stay: when the answer to a commit got lost, the
    same opening is worked on again, and must find the call and the hold that it may have made.
    """

    key: AuthenticatedKey
    request: CallRequest
    request_id: str
    rates: RateLimits
    tried: frozenset[int] = frozenset()
    call_id: str = field(default_factory=partial(new_public_id, "call"))
    choice: Choice | None = None


def choose(opening: Opening) -> Choice | GatewayRefusal | None:
    """None when all fitting services were tried; a GatewayRefusal when none fits at all."""
    if opening.choice is not None:
        return opening.choice
    try:
        fitting = _list_fitting(opening.key, opening.request)
    except GatewayRefusal as refusal:
        return refusal
    left = [service for service in fitting if service.service_pk not in opening.tried]
    waits = []
    for service in left:
        size = size_call(service, opening.request)
        room = opening.rates.take_room(service, opening.request, size)
        if isinstance(room, Taken):
            opening.choice = Choice(service, size, room)
            return opening.choice
        waits.append(room)
    return refuse_full(min(waits)) if waits else None


def _list_fitting(key: AuthenticatedKey, request: CallRequest) -> list[CallableService]:
    """Services for this request, cheapest first, at least one. Raises GatewayRefusal."""
    found = catalog.find_callable_services(request.model, unit=key.kind, now=utc_now())
    if not found:
        raise GatewayRefusal(
            404,
            "model_not_found",
            _("There is no model or service “%(model)s” here. GET /v1/models lists them."),
            values={"model": request.model},
            param="model",
        )
    fitting = [service for service in found if service.modality == request.modality]
    if not fitting:
        raise GatewayRefusal(
            400,
            "wrong_operation",
            _("This model cannot do what this address is for."),
            param="model",
        )
    if key.allowed_services:
        fitting = [service for service in fitting if service.public_id in key.allowed_services]
    if not fitting:
        raise GatewayRefusal(
            403,
            "policy_violation",
            _("This key may not use this model: its allowed services do not include it."),
            param="model",
        )
    connected = [service for service in fitting if service.is_connected]
    if not connected:
        raise GatewayRefusal(
            503,
            "service_not_connected",
            _("This is a listing whose endpoint is not connected yet. Nothing was charged."),
            param="model",
        )
    return keep_affordable(keep_supporting(connected, request), request)
