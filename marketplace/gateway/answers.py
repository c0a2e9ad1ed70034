"""What providers answer, as callers get it: our ids, the model they asked for, and the cost."""

from typing import Any

import orjson
from django.utils.translation import gettext_lazy as _

from marketplace.gateway.amounts import currency_number, tokens_text
from marketplace.gateway.calls import Closed, RunningCall
from marketplace.upstream.failures import UpstreamFailure
from marketplace.upstream.usage import Usage


def check_answer(answer: dict[str, Any], *, operation: str) -> list[Any]:
    """The choices or vectors of a whole answer. Raises UpstreamFailure when there are none."""
    parts = answer.get("choices" if operation == "chat" else "data")
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


def render_usage(usage: Usage, closed: Closed, *, operation: str) -> dict[str, Any]:
    """OpenAI's usage with OpenRouter's ``cost`` (tariff currency) and ours in wallet tokens."""
    rendered: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
    if operation == "chat":
        rendered["completion_tokens"] = usage.completion_tokens
        rendered["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
        rendered["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    rendered["cost"] = currency_number(closed.cost)
    rendered["cost_tokens"] = tokens_text(closed.cost)
    return rendered


def write_answer(answer: dict[str, Any], call: RunningCall) -> dict[str, Any]:
    """The whole answer but for its usage, each field written out as JSON already.

    For before the charge: what cannot be written, and so not delivered, must not be charged.
    What it says about limits of ours is under ``tokenworks``. Raises UpstreamFailure.
    """
    answer = {name: answer[name] for name in answer if name not in ("usage", "tokenworks")}
    answer["model"] = call.request.model
    if call.request.operation == "chat":
        answer["id"] = call.opened.public_id
        if call.short_of_funds and read_finish_reason(answer["choices"]) == "length":
            answer["tokenworks"] = SHORT_OF_FUNDS
    try:
        return {name: orjson.Fragment(orjson.dumps(value)) for name, value in answer.items()}
    except orjson.JSONEncodeError as error:
        raise UpstreamFailure(_("The provider's answer could not be read.")) from error


# Beside finish_reason "length", where neither the caller nor the model set the length: the wallet
# did, or the longest time that a call may take.
SHORT_OF_FUNDS = {"limited_by": "credit_balance_exhausted"}
SHORT_OF_TIME = {"limited_by": "time_limit"}
