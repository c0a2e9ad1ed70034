"""Which service a request goes to: the best that fits, is well, and was not tried yet."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from django.utils.translation import gettext_lazy as _

from accounts.services import AuthenticatedKey
from marketplace.catalog import selectors as catalog
from marketplace.catalog.selectors import CallableService
from marketplace.gateway.errors import GatewayRefusal
from marketplace.gateway.health import Health
from marketplace.gateway.parameters import keep_supporting
from marketplace.gateway.policies import keep_permitted
from marketplace.gateway.preferences import WantedModel
from marketplace.gateway.ranking import keep_preferred, rank
from marketplace.gateway.rate_limits import RateLimits, refuse_full
from marketplace.gateway.rates import Taken
from marketplace.gateway.requests import CallRequest
from marketplace.gateway.sizing import Size, keep_affordable, size_call
from portal.kernel.clock import utc_now
from portal.kernel.public_ids import new_public_id


@dataclass(frozen=True, slots=True)
class Choice:
    """A service, how much the call may need there, what of the service's limits it took, and which
    of the request's models it serves, by its place among them."""

    service: CallableService
    size: Size
    room: Taken
    model_place: int = 0


@dataclass(slots=True)
class Opening:
    """A request that wants a call, at a service that was not ``tried`` yet, of its models from
    ``first_model`` on.

    The call's id and, once it is made, the choice stay: when the answer to a commit got lost, the
    same opening is worked on again, and must find the call and the hold that it may have made.
    """

    key: AuthenticatedKey
    request: CallRequest
    request_id: str
    rates: RateLimits
    tried: frozenset[int] = frozenset()
    first_model: int = 0
    health: Health = field(default_factory=Health)
    call_id: str = field(default_factory=partial(new_public_id, "call"))
    choice: Choice | None = None


def choose(opening: Opening) -> Choice | GatewayRefusal | None:
    """None when all fitting services were tried; a GatewayRefusal when none fits at all."""
    if opening.choice is not None:
        return opening.choice
    refusals: list[GatewayRefusal] = []
    waits = []
    for service, place in _list_candidates(opening, refusals):
        size = size_call(service, opening.request)
        room = opening.rates.take_room(service, opening.request, size)
        if isinstance(room, Taken):
            opening.choice = Choice(service, size, room, place)
            return opening.choice
        waits.append(room)
    if waits:
        return refuse_full(min(waits))
    left = len(opening.request.models) - opening.first_model
    return refusals[0] if len(refusals) == left else None


def _list_candidates(
    opening: Opening, refusals: list[GatewayRefusal]
) -> Iterator[tuple[CallableService, int]]:
    """Services that were not tried yet, the best first, with the place of their model.

    Those that rest come last: to ask them is better than to refuse. A model that no service fits
    adds to ``refusals``.
    """
    resting = []
    for place, wanted in enumerate(opening.request.models):
        if place < opening.first_model:
            continue
        try:
            services = _list_untried(opening, wanted)
        except GatewayRefusal as refusal:
            refusals.append(refusal)
            continue
        for service in services:
            if opening.health.admit(service.service_pk):
                yield service, place
            else:
                resting.append((service, place))
    yield from resting


def _list_untried(opening: Opening, wanted: WantedModel) -> list[CallableService]:
    """The model's services in the order to try them in. Raises GatewayRefusal when none fits."""
    request = opening.request
    preferences = request.routing.preferences
    fitting = _list_fitting(opening.key, request, wanted.name)
    alone = not preferences.allow_fallbacks and not preferences.order
    if alone and any(service.service_pk in opening.tried for service in fitting):
        return []
    ranked = rank(fitting, preferences, sort=wanted.sort, health=opening.health)
    return [service for service in ranked if service.service_pk not in opening.tried]


def _list_fitting(key: AuthenticatedKey, request: CallRequest, name: str) -> list[CallableService]:
    """Services that can serve this model of the request, cheapest first, at least one.

    Raises GatewayRefusal.
    """
    found = catalog.find_callable_services(name, unit=key.kind, now=utc_now())
    if not found:
        raise GatewayRefusal(
            404,
            "model_not_found",
            _("There is no model or service “%(model)s” here. GET /v1/models lists them."),
            values={"model": name},
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
    permitted = keep_permitted(fitting, key)
    connected = [service for service in permitted if service.is_connected]
    if not connected:
        raise GatewayRefusal(
            503,
            "service_not_connected",
            _("This is a listing whose endpoint is not connected yet. Nothing was charged."),
            param="model",
        )
    preferred = keep_preferred(connected, request.routing.preferences, request)
    return keep_affordable(keep_supporting(preferred, request), request)
