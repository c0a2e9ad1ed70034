"""What a provider says it counted, checked before anybody is charged for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Source = Literal["provider", "recount", "estimate", "none"]
# Why a count deserves a look: nothing was said; what was said is no count; more than the request
# allows; estimated from what was delivered.
Doubt = Literal["", "missing", "malformed", "more_than_possible", "estimated"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Model tokens to charge for. ``cached_tokens`` are part of ``prompt_tokens``."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    source: Source = "provider"
    doubt: Doubt = ""


NO_USAGE = Usage(source="none", doubt="missing")
NOTHING_DELIVERED = Usage(source="none")
_MALFORMED = Usage(source="none", doubt="malformed")


def parse_usage(reported: object, *, most_prompt_tokens: int, most_completion_tokens: int) -> Usage:
    """The usage in an answer's ``usage`` object, never more than the request made possible.

    Nothing reported: ``NO_USAGE``. Reported zero is zero. Numbers that are no counts (negative,
    fractional, text): nothing is charged, with the doubt "malformed". Providers differ in whether
    the prompt includes the cached part and the completion the reasoning; ``total_tokens`` is the
    witness, so that no token is charged twice and none is missed.
    """
    if reported is None:
        return NO_USAGE
    if not isinstance(reported, Mapping):
        return _MALFORMED
    try:
        prompt = _count(reported.get("prompt_tokens"))
        completion = _count(reported.get("completion_tokens"))
        total = _count(reported.get("total_tokens"))
        cached = _count(_detail(reported, "prompt_tokens_details", "cached_tokens")) or 0
        reasoning = _count(_detail(reported, "completion_tokens_details", "reasoning_tokens")) or 0
    except ValueError:
        return _MALFORMED
    if prompt is None and completion is None:
        return NO_USAGE if total is None else _MALFORMED
    if prompt is None:
        prompt = max(total - completion, 0) if total is not None and completion is not None else 0
    if completion is None:
        # Embeddings have no completion; where there is one, the total tells it.
        completion = max(total - prompt, 0) if total is not None else 0
    if total is not None:
        prompt, completion = _ask_the_total(prompt, cached, completion, reasoning, total)
    doubt: Doubt = ""
    if cached > prompt:
        cached, doubt = prompt, "malformed"
    if prompt > most_prompt_tokens or completion > most_completion_tokens:
        doubt = "more_than_possible"
        prompt = min(prompt, most_prompt_tokens)
        completion = min(completion, most_completion_tokens)
    return Usage(
        prompt_tokens=prompt,
        cached_tokens=min(cached, prompt),
        completion_tokens=completion,
        reasoning_tokens=min(reasoning, completion),
        doubt=doubt,
    )


def _ask_the_total(
    prompt: int, cached: int, completion: int, reasoning: int, total: int
) -> tuple[int, int]:
    """Prompt with its cached part and completion with its reasoning, whichever the total shows."""
    missing = total - prompt - completion
    if missing > 0:
        if missing == cached + reasoning:
            return prompt + cached, completion + reasoning
        if missing == cached:
            return prompt + cached, completion
        if missing == reasoning:
            return prompt, completion + reasoning
    return prompt, completion


def _detail(reported: Mapping[str, Any], group: str, name: str) -> object:
    details = reported.get(group)
    return details.get(name) if isinstance(details, Mapping) else None


def _count(value: object) -> int | None:
    """A non-negative integer, None for none. Raises ValueError for anything else."""
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError
    return value
