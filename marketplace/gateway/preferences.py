"""What a caller asks of the choice of service: OpenRouter's ``provider`` object, the list of
``models``, and the suffixes ``:floor`` and ``:nitro``. Checked here; ``ranking`` applies them."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, get_args

from django.utils.translation import gettext_lazy as _

from marketplace.catalog import vocabulary
from marketplace.gateway.errors import refuse_value

MOST_MODELS = 8
MOST_NAMES = 100
_LONGEST_NAME = 200
_LONGEST_NUMBER = 40
_HIGHEST_PRICE = Decimal(10) ** 9
_MILLITOKENS = 1000
_MILLION = 1_000_000

Sort = Literal["price", "throughput", "latency"]
_SUFFIXES: dict[str, Sort] = {":floor": "price", ":nitro": "throughput"}
# OpenRouter's name for a weight format that engines usually call by another.
_QUANTISATIONS = frozenset(vocabulary.QUANTISATIONS) | {"fp6"}
# Prices that no service here has: any limit on them is kept.
_OTHER_PRICES = frozenset({"image", "audio", "image_output", "image_token"})
# Wishes of OpenRouter's that restrict nothing; they are not acted on.
_WISHES = frozenset({"preferred_min_throughput", "preferred_max_latency"})
_PREFERENCES = frozenset(
    "order only ignore sort max_price allow_fallbacks data_collection require_parameters "
    "quantizations zdr".split()
)


@dataclass(frozen=True, slots=True)
class WantedModel:
    """A model or a service by its handle; ``sort`` from its suffix, if it had one."""

    name: str
    sort: Sort | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """Names are in lower case: providers' slugs or services' handles. ``most_…``: the highest
    acceptable price in wallet millitokens per model token, or per request."""

    order: tuple[str, ...] = ()
    only: frozenset[str] | None = None
    ignore: frozenset[str] = frozenset()
    sort: Sort | None = None
    most_input_millitokens: Decimal | None = None
    most_output_millitokens: Decimal | None = None
    most_request_millitokens: Decimal | None = None
    allow_fallbacks: bool = True
    deny_data_collection: bool = False
    require_parameters: bool = False
    quantisations: frozenset[str] | None = None
    zero_retention: bool = False


NO_PREFERENCES = Preferences()


@dataclass(frozen=True, slots=True)
class Routing:
    """The models to try, in this order, and what is asked of their services."""

    models: tuple[WantedModel, ...] = ()
    preferences: Preferences = NO_PREFERENCES


NO_ROUTING = Routing()


def read_routing(body: Mapping[str, Any]) -> Routing:
    """Raises GatewayRefusal (400) naming the field that cannot be accepted.

    ``NO_ROUTING`` for a body that names one model and nothing more; that one is not checked here.
    """
    model = body.get("model")
    suffixed = isinstance(model, str) and model.endswith(tuple(_SUFFIXES))
    if not suffixed and body.get("provider") is None and not body.get("models"):
        return NO_ROUTING
    return Routing(_read_models(body), _read_preferences(body))


def _read_models(body: Mapping[str, Any]) -> tuple[WantedModel, ...]:
    """``model`` first, then ``models``; each once."""
    others = body.get("models")
    if others is not None and not isinstance(others, list):
        raise refuse_value("models", _("models must be a list of models or services."))
    model = body.get("model")
    names = [] if model is None and others else [("model", model)]
    names += [(f"models[{number}]", name) for number, name in enumerate(others or ())]
    wanted: dict[str, WantedModel] = {}
    for param, name in names:
        if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME:
            raise refuse_value(param, _("%(name)s must name a model or a service."), name=param)
        found = _read_suffix(name)
        wanted.setdefault(found.name, found)
        if len(wanted) > MOST_MODELS:
            raise refuse_value(
                "models", _("At most %(most)s models in one call."), most=MOST_MODELS
            )
    return tuple(wanted.values())


def _read_suffix(name: str) -> WantedModel:
    for suffix, sort in _SUFFIXES.items():
        if name.endswith(suffix) and len(name) > len(suffix):
            return WantedModel(name.removesuffix(suffix), sort)
    return WantedModel(name)


def _read_preferences(body: Mapping[str, Any]) -> Preferences:
    given = body.get("provider")
    if given is None:
        return NO_PREFERENCES
    if not isinstance(given, dict):
        raise refuse_value("provider", _("provider must be an object."))
    for name, value in given.items():
        # What restricts in a way that is not known here must not be passed over.
        if name not in _PREFERENCES and name not in _WISHES and value not in (None, False):
            raise refuse_value(f"provider.{name[:60]}", _("This preference is not known here."))
    prices = _read_max_price(given)
    only, quantisations = _read_names(given, "only"), _read_names(given, "quantizations")
    _check_quantisations(quantisations)
    return Preferences(
        order=_read_names(given, "order") or (),
        only=None if only is None else frozenset(only),
        ignore=frozenset(_read_names(given, "ignore") or ()),
        sort=_read_sort(given),
        most_input_millitokens=_scale(prices.get("prompt"), _MILLITOKENS),
        most_output_millitokens=_scale(prices.get("completion"), _MILLITOKENS),
        most_request_millitokens=_scale(prices.get("request"), _MILLION * _MILLITOKENS),
        allow_fallbacks=_read_flag(given, "allow_fallbacks", default=True),
        deny_data_collection=_read_data_collection(given),
        require_parameters=_read_flag(given, "require_parameters"),
        quantisations=None if quantisations is None else frozenset(quantisations),
        zero_retention=_read_flag(given, "zdr"),
    )


def _read_names(given: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    """In lower case. An empty list of what alone is allowed is more likely a slip than a wish."""
    value = given.get(name)
    if value is None:
        return None
    if (
        not isinstance(value, list)
        or len(value) > MOST_NAMES
        or not all(isinstance(item, str) and 0 < len(item) <= _LONGEST_NAME for item in value)
        or (not value and name in ("only", "quantizations"))
    ):
        raise refuse_value(
            f"provider.{name}",
            _("provider.%(name)s must be a list of 1 to %(most)s names."),
            name=name,
            most=MOST_NAMES,
        )
    return tuple(item.lower() for item in value)


def _check_quantisations(names: tuple[str, ...] | None) -> None:
    for name in names or ():
        if name not in _QUANTISATIONS:
            raise refuse_value(
                "provider.quantizations",
                _("provider.quantizations can name: %(choices)s."),
                choices=", ".join(sorted(_QUANTISATIONS)),
            )


def _read_sort(given: Mapping[str, Any]) -> Sort | None:
    value = given.get("sort")
    if isinstance(value, dict):
        # OpenRouter's longer form; one model's services are never mixed with another's here.
        if value.get("partition", "model") != "model":
            raise refuse_value(
                "provider.sort.partition", _("provider.sort.partition can only be model.")
            )
        value = value.get("by")
    if value is None:
        return None
    for sort in get_args(Sort):
        if value == sort:
            return sort
    raise refuse_value("provider.sort", _("provider.sort must be price, throughput or latency."))


def _read_data_collection(given: Mapping[str, Any]) -> bool:
    value = given.get("data_collection")
    if value not in (None, "allow", "deny"):
        raise refuse_value(
            "provider.data_collection", _("provider.data_collection must be allow or deny.")
        )
    return bool(value == "deny")


def _read_flag(given: Mapping[str, Any], name: str, *, default: bool = False) -> bool:
    value = given.get(name)
    if value is not None and not isinstance(value, bool):
        raise refuse_value(
            f"provider.{name}", _("%(name)s must be true or false."), name=f"provider.{name}"
        )
    return default if value is None else value


def _read_max_price(given: Mapping[str, Any]) -> dict[str, Decimal]:
    """In the tariff currency: ``prompt`` and ``completion`` per 1M tokens, ``request`` each."""
    value = given.get("max_price")
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise refuse_value("provider.max_price", _("provider.max_price must be an object."))
    prices = {}
    for name, price in value.items():
        param = f"provider.max_price.{name[:60]}"
        if name not in ("prompt", "completion", "request") and name not in _OTHER_PRICES:
            raise refuse_value(param, _("This preference is not known here."))
        if price is not None:
            prices[name] = _read_price(param, price)
    return prices


def _read_price(param: str, value: object) -> Decimal:
    """A number or a decimal text; never through binary fractions."""
    price = Decimal("NaN")
    text = str(value) if isinstance(value, int | float | str) else ""
    if not isinstance(value, bool) and len(text) <= _LONGEST_NUMBER:
        with suppress(InvalidOperation):
            price = Decimal(text)
    if not price.is_finite() or not 0 <= price <= _HIGHEST_PRICE:
        raise refuse_value(
            param, _("%(name)s must be a price in the tariff currency, such as 0.8."), name=param
        )
    return price


def _scale(price: Decimal | None, factor: int) -> Decimal | None:
    return None if price is None else price * factor
