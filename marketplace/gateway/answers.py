"""What providers answer, checked and written for callers, with the limits and the cost we name."""

from collections.abc import Mapping
from typing import Any

import orjson
from django.utils.translation import gettext_lazy as _

from marketplace.gateway.amounts import currency_number, tokens_text
from marketplace.gateway.calls import Closed, RunningCall
from marketplace.upstream.failures import UpstreamFailure


def read_parts(answer: dict[str, Any], name: str) -> list[Any]:
    """The objects under ``name`` in a whole answer. Raises UpstreamFailure when there are none."""
    parts = answer.get(name)
    if not isinstance(parts, list) or not parts or not all(isinstance(p, dict) for p in parts):
        raise UpstreamFailure(_("The provider's answer could not be read."))
    return parts


def read_finish_reason(choices: list[Any]) -> str:
    """Of the first choice that has one."""
    for choice in choices:
        reason = choice.get("finish_reason") if isinstance(choice, dict) else None
        if isinstance(reason, str) and reason:
            return reason
    return ""


def render_cost(closed: Closed) -> dict[str, Any]:
    """OpenRouter's ``cost`` (tariff currency) and ours in wallet tokens."""
    return {"cost": currency_number(closed.cost), "cost_tokens": tokens_text(closed.cost)}


def write_out(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Each field as JSON already. Raises UpstreamFailure."""
    try:
        return {name: orjson.Fragment(orjson.dumps(value)) for name, value in answer.items()}
    except orjson.JSONEncodeError as error:
        raise UpstreamFailure(_("The provider's answer could not be read.")) from error


def name_limit(call: RunningCall, finish_reason: str) -> str:
    """What set the answer's length, if neither the caller's length nor the model did."""
    return call.limited_by if finish_reason == "length" else ""


def render_limit(limited_by: str) -> dict[str, Any]:
    """The field beside a finish_reason "length" that names a limit of ours; none for none."""
    return {"tokenworks": {"limited_by": limited_by}} if limited_by else {}
