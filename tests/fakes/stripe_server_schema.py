"""What the SDK's own types say about requests and answers, used as the server's strictness.

The parameters' TypedDicts name every key that the API takes; literals in them close the enums. The
resource classes name every field of an answer, so the fake cannot invent any.
"""

import types
from collections.abc import Mapping
from functools import cache
from typing import (
    Any,
    Literal,
    NotRequired,
    Required,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)
from urllib.parse import parse_qsl

import stripe
from stripe._request_options import RequestOptions
from stripe._stripe_context import StripeContext
from typing_extensions import is_typeddict

Parameters = TypeVar("Parameters")


class WrongParameter(Exception):
    """``param`` is written as Stripe writes it: ``line_items[0][quantity]``."""

    def __init__(self, param: str, reason: str) -> None:
        super().__init__(f"{param}: {reason}")
        self.param, self.reason = param, reason


def decode_form(encoded: str) -> dict[str, Any]:
    """``a[b]=1&c[0]=2`` as ``{"a": {"b": "1"}, "c": {"0": "2"}}``."""
    form: dict[str, Any] = {}
    for name, value in parse_qsl(encoded, keep_blank_values=True, strict_parsing=bool(encoded)):
        *outer, last = name.replace("]", "").split("[")
        place = form
        for key in outer:
            place = place.setdefault(key, {})
        place[last] = value
    return form


def require_parameters(form: Mapping[str, Any], kind: type[Parameters]) -> Parameters:
    """The form as the TypedDict ``kind`` has it, numbers as numbers. Raises WrongParameter."""
    options = set(RequestOptions.__annotations__)
    if misplaced := options & set(form):
        raise WrongParameter(misplaced.pop(), "Received unknown parameter")
    read: Parameters = _read(form, kind, "")
    return read


def find_invented_fields(answer: Mapping[str, Any], kind: type[stripe.StripeObject]) -> set[str]:
    """Fields of the answer that the SDK's resource class does not know."""
    return set(answer) - {
        name for one in kind.__mro__ for name in vars(one).get("__annotations__", ())
    }


# Names that the SDK's annotations leave to type checkers.
_NAMES = {"Mapping": Mapping, "StripeContext": StripeContext}


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, localns=_NAMES, include_extras=True)


def _read(value: Any, kind: Any, path: str) -> Any:
    origin = get_origin(kind)
    if origin in (NotRequired, Required):
        return _read(value, get_args(kind)[0], path)
    if is_typeddict(kind):
        return _read_object(value, kind, path)
    if origin in (Union, types.UnionType):
        return _read_any_of(value, get_args(kind), path)
    if origin is Literal:
        if value in get_args(kind):
            return value
        raise WrongParameter(path, f"must be one of {get_args(kind)}")
    if origin is list:
        return [
            _read(_entry(value, index, path), get_args(kind)[0], f"{path}[{index}]")
            for index in range(len(_require_group(value, path)))
        ]
    if origin is dict:
        return {name: str(one) for name, one in _require_group(value, path).items()}
    return _read_scalar(value, kind, path)


def _read_object(value: Any, kind: Any, path: str) -> dict[str, Any]:
    hints = _hints(kind)
    read = {}
    for name, one in _require_group(value, path).items():
        where = f"{path}[{name}]" if path else name
        if name not in hints:
            raise WrongParameter(where, "Received unknown parameter")
        read[name] = _read(one, hints[name], where)
    for name in kind.__required_keys__ - set(read):
        raise WrongParameter(f"{path}[{name}]" if path else name, "Missing required param")
    return read


def _read_any_of(value: Any, kinds: tuple[Any, ...], path: str) -> Any:
    """Where literals are listed beside ``str``, no other text counts."""
    has_literals = any(get_origin(kind) is Literal for kind in kinds)
    problem = WrongParameter(path, "has no possible type")
    for kind in kinds:
        if kind is str and has_literals:
            continue
        try:
            return _read(value, kind, path)
        except WrongParameter as wrong:
            problem = wrong
    raise problem


def _read_scalar(value: Any, kind: Any, path: str) -> Any:
    if not isinstance(value, str):
        raise WrongParameter(path, "Invalid: expected a scalar")
    if kind is int:
        if not (value.isascii() and value.removeprefix("-").isdigit()):
            raise WrongParameter(path, "Invalid integer")
        return int(value)
    if kind is bool:
        if value not in ("true", "false"):
            raise WrongParameter(path, "Invalid boolean")
        return value == "true"
    if kind is not str:
        raise WrongParameter(path, f"a type the fake does not read: {kind}")
    return value


def _require_group(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise WrongParameter(path, "Invalid: expected a group")
    return value


def _entry(value: dict[str, Any], index: int, path: str) -> Any:
    if str(index) not in value:
        raise WrongParameter(path, "Invalid array")
    return value[str(index)]
