"""How much of the wallet a call may need: bounds in model tokens, from request and service."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from marketplace.catalog.pricing import upper_bound
from marketplace.catalog.selectors import CallableService
from marketplace.gateway.amounts import tokens_text
from marketplace.gateway.errors import GatewayRefusal
from marketplace.gateway.requests import CallRequest
from marketplace.upstream import shaping

# The shortest answer worth holding for when the caller named no length and the wallet is low.
LEAST_ANSWER_TOKENS = 16
# Left to an answer whatever is guessed of the prompt's length.
LEAST_ROOM_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Size:
    """Bounds of one call, all answers together.

    ``completion_tokens`` are held at first, no fewer than ``least_completion_tokens`` (None: all
    or nothing, since the caller named the length). ``most_completion_tokens`` is what the answers
    may grow to, and ``limited_by_max_cost`` whether the caller's ``max_cost`` set that.
    """

    prompt_tokens: int
    completion_tokens: int
    least_completion_tokens: int | None
    most_completion_tokens: int
    limited_by_max_cost: bool = False


def size_call(service: CallableService, request: CallRequest) -> Size:
    """The bounds of this request at this service, none of which can cost more than ``max_cost``."""
    size = _size_unlimited(service, request)
    most = request.wishes.max_cost
    if most is None or request.named_length is not None or not service.price.output_millitokens:
        return size
    room = (most - _least_cost(service, size)) // service.price.output_millitokens
    room = max(room, 0) + (size.least_completion_tokens or 0)
    # Alike for all answers.
    room -= room % request.answers
    if room >= size.most_completion_tokens:
        return size
    return replace(
        size,
        completion_tokens=min(size.completion_tokens, room),
        most_completion_tokens=room,
        limited_by_max_cost=True,
    )


def keep_affordable(
    services: Sequence[CallableService], request: CallRequest
) -> list[CallableService]:
    """The services where the call fits into the caller's ``max_cost``: the prompt and the length
    that was named, else a short answer. Raises GatewayRefusal when there is none."""
    most = request.wishes.max_cost
    if most is None:
        return list(services)
    costs = [_least_cost(service, _size_unlimited(service, request)) for service in services]
    fitting = [service for service, cost in zip(services, costs, strict=True) if cost <= most]
    if fitting or not services:
        return fitting
    raise GatewayRefusal(
        400,
        "max_cost_too_low",
        _(
            "This call could cost up to %(tokens)s tokens, more than its max_cost. Raise it, "
            "shorten the prompt, or lower max_tokens. Nothing was charged."
        ),
        param="max_cost",
        values={"tokens": tokens_text(min(costs))},
    )


def _least_cost(service: CallableService, size: Size) -> int:
    """Millitokens that the call may need in any case: with the named length, or a short answer."""
    least = size.least_completion_tokens
    return upper_bound(
        service.price,
        prompt_tokens=size.prompt_tokens,
        completion_tokens=size.completion_tokens if least is None else least,
    )


def _size_unlimited(service: CallableService, request: CallRequest) -> Size:
    """The bounds of this request at this service, but for ``max_cost``.

    A caller who names no length gets an assumed one, never the model's longest: a small call must
    not be refused for a huge answer that nobody asked for. While it streams, the answer may grow
    to the model's longest; else the assumption is its limit.
    """
    prompt = min(request.prompt_bound, service.context_length * request.inputs)
    if request.operation == "embeddings":
        return Size(prompt, 0, None, 0)
    longest = max(service.max_output_tokens, 1)
    if request.named_length is not None:
        named = min(request.named_length, longest) * request.answers
        return Size(prompt, named, None, named)
    # Engines refuse a length for which the context has no room beside the prompt.
    room = service.context_length - shaping.guess_tokens(request.prompt_bytes)
    longest = min(longest, max(room, LEAST_ROOM_TOKENS))
    assumed = min(settings.GATEWAY_ASSUMED_OUTPUT_TOKENS, longest)
    return Size(
        prompt_tokens=prompt,
        completion_tokens=assumed * request.answers,
        least_completion_tokens=min(LEAST_ANSWER_TOKENS, assumed) * request.answers,
        most_completion_tokens=(longest if request.stream else assumed) * request.answers,
    )
