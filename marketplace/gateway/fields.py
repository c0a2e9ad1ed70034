"""Single fields of a request's body, checked. Each raises GatewayRefusal that names its field."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from marketplace.gateway.errors import refuse_value

_LONGEST_MODEL = 200


def read_model(body: Mapping[str, Any]) -> str:
    model = body.get("model")
    if not isinstance(model, str) or not 0 < len(model) <= _LONGEST_MODEL:
        raise refuse_value("model", _("model must name a model or a service."))
    return model


def read_flag(body: Mapping[str, Any], name: str, *, param: str = "") -> bool:
    """False when it is absent. ``param`` is the field's name where it stands inside another."""
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise refuse_value(param or name, _("%(name)s must be true or false."), name=param or name)
    return bool(value)


def read_count(body: Mapping[str, Any], name: str, *, least: int = 1) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if type(value) is not int or value < least:
        raise refuse_value(
            name,
            _("%(name)s must be a whole number of at least %(least)s."),
            name=name,
            least=least,
        )
    return value


def read_object(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Empty when it is absent."""
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        raise refuse_value(name, _("%(name)s must be an object."), name=name)
    return value or {}


def read_list(body: Mapping[str, Any], name: str) -> list[Any]:
    """Empty when it is absent."""
    value = body.get(name)
    if value is not None and not isinstance(value, list):
        raise refuse_value(name, _("%(name)s must be a list."), name=name)
    return value or []


def count_texts(body: Mapping[str, Any], name: str, *, most: int) -> int:
    """How many texts a field has: one, tokens of one, or a list of either."""
    value = body.get(name)
    if isinstance(value, str) and value:
        return 1
    if isinstance(value, list) and value:
        if all(type(item) is int for item in value):
            return 1
        fits = all(isinstance(item, str) and item for item in value) or all(
            isinstance(item, list) and item and all(type(token) is int for token in item)
            for item in value
        )
        if fits and len(value) <= most:
            return len(value)
        if fits:
            raise refuse_value(name, _("At most %(most)s texts in one call."), most=most)
    raise refuse_value(
        name,
        _("%(name)s must be a text, a list of texts, or tokens; not empty."),
        name=name,
    )
