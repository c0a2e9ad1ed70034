"""How much of the wallet a call may need: bounds in model tokens, from request and service."""

from dataclasses import dataclass

from django.conf import settings

from marketplace.catalog.selectors import CallableService
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
    may grow to.
    """

    prompt_tokens: int
    completion_tokens: int
    least_completion_tokens: int | None
    most_completion_tokens: int


def size_call(service: CallableService, request: CallRequest) -> Size:
    """The bounds of this request at this service.

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
