"""The services of a model that a caller's preferences leave, best first.

Health orders before preference: what works is asked first, what is known to fail last.
"""

from collections.abc import Callable, Iterator, Sequence

from django.utils.translation import gettext_lazy as _

from marketplace.catalog.selectors import CallableService
from marketplace.gateway.errors import GatewayRefusal
from marketplace.gateway.health import Health
from marketplace.gateway.parameters import find_undeclared
from marketplace.gateway.preferences import NO_PREFERENCES, Preferences, Sort
from marketplace.gateway.requests import CallRequest

Fits = Callable[[CallableService], bool]


def keep_preferred(
    services: Sequence[CallableService], preferences: Preferences, request: CallRequest
) -> list[CallableService]:
    """Those that the preferences allow, in the given order; at least one.

    Raises GatewayRefusal (404) naming the preference that excluded the last.
    """
    left = list(services)
    if preferences is NO_PREFERENCES:
        return left
    for name, fits in _list_conditions(preferences, request):
        left = [service for service in left if fits(service)]
        if not left:
            param = f"provider.{name}"
            raise GatewayRefusal(
                404,
                "no_allowed_provider",
                _("No service of this model is left: %(preference)s excludes them. Nothing was "
                  "charged."),
                values={"preference": param},
                param=param,
            )  # fmt: skip
    return left


def rank(
    services: Sequence[CallableService],
    preferences: Preferences,
    *,
    sort: Sort | None,
    health: Health,
) -> list[CallableService]:
    """``services`` (cheapest first) in the order in which they are to be tried.

    Without fall-backs, and with no order named, that is the one that the preferences put first,
    however it is doing.
    """
    ranked = list(services)
    if by := _sorting_key(sort or preferences.sort, health):
        ranked.sort(key=by)
    if preferences.order:
        places = {name: place for place, name in enumerate(reversed(preferences.order))}
        ranked.sort(key=lambda service: -max(places.get(name, -1) for name in _names(service)))
    elif not preferences.allow_fallbacks:
        return ranked[:1]
    if len(ranked) > 1:
        ranked.sort(key=lambda service: health.standing(service.service_pk))
    return ranked


def _list_conditions(wanted: Preferences, request: CallRequest) -> Iterator[tuple[str, Fits]]:
    """Each preference that excludes, under the name that callers know it by."""
    if (only := wanted.only) is not None:
        yield "only", lambda service: not only.isdisjoint(_names(service))
    if wanted.ignore:
        yield "ignore", lambda service: wanted.ignore.isdisjoint(_names(service))
    if wanted.order and not wanted.allow_fallbacks:
        listed = frozenset(wanted.order)
        yield "order", lambda service: not listed.isdisjoint(_names(service))
    if wanted.deny_data_collection:
        yield (
            "data_collection",
            lambda service: not service.trains_on_data and not service.retains_prompts_days,
        )
    if wanted.zero_retention:
        yield "zdr", lambda service: not service.retains_prompts_days
    if (quantisations := wanted.quantisations) is not None:
        yield "quantizations", lambda service: service.quantisation in quantisations
    if wanted.require_parameters:
        yield "require_parameters", lambda service: not find_undeclared(service, request)
    yield "max_price", lambda service: _is_affordable(service, wanted)


def _is_affordable(service: CallableService, wanted: Preferences) -> bool:
    price = service.price
    limits = (
        (price.input_millitokens, wanted.most_input_millitokens),
        (price.output_millitokens, wanted.most_output_millitokens),
        (price.request_millitokens, wanted.most_request_millitokens),
    )
    return all(most is None or asked <= most for asked, most in limits)


def _names(service: CallableService) -> tuple[str, str]:
    """What preferences can call it by."""
    return service.provider_slug.lower(), service.handle.lower()


def _sorting_key(sort: Sort | None, health: Health) -> Callable[[CallableService], float] | None:
    """None for the order by price. What was not measured yet comes first, so that it will be."""
    if sort == "throughput":
        return lambda service: -(health.median_throughput(service.service_pk) or float("inf"))
    if sort == "latency":
        return lambda service: health.median_latency_ms(service.service_pk) or 0.0
    return None
