"""``count_again``: a call's prompt and completion, counted independently of its provider."""

from dataclasses import dataclass

from marketplace.upstream.recount.families import Family
from marketplace.upstream.recount.prompts import Prompt, Reason
from marketplace.upstream.recount.transcript import Transcript
from marketplace.upstream.recount.vocabularies import (
    TokenCounter,
    TooLongToCount,
    VocabularyMissing,
    get_counter,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Model tokens, None where they cannot be counted, for the reason beside it.

    ``stops`` of the answers ended by themselves: engines differ in whether they count the token
    that ends an answer. ``has_markup``: there were thoughts or tool calls, around which models
    write markers that no answer shows.
    """

    prompt_tokens: int | None = None
    prompt_reason: Reason = ""
    completion_tokens: int | None = None
    completion_reason: Reason = ""
    stops: int = 0
    has_markup: bool = False


def count_again(
    family: Family, prompt: Prompt, answer: Transcript | None, *, hidden_reasoning: bool = False
) -> Counts:
    """Count with the family's tokenizer; takes about a second for fifty million characters.

    Call ``vocabularies.forget_texts`` after a few of these. ``answer`` is None for embeddings.
    ``hidden_reasoning``: the provider counted thoughts that it did not show.
    """
    try:
        counter = get_counter(family)
    except VocabularyMissing:
        return Counts(prompt_reason="no_vocabulary", completion_reason="no_vocabulary")
    prompt_tokens, prompt_reason = _count_prompt(counter, family, prompt)
    completion, reason = _count_answer(counter, answer, hidden_reasoning)
    return Counts(
        prompt_tokens=prompt_tokens,
        prompt_reason=prompt_reason,
        completion_tokens=completion,
        completion_reason=reason,
        stops=answer.stops if answer else 0,
        has_markup=answer is not None and (answer.has_reasoning or answer.has_tool_calls),
    )


def _count_prompt(
    counter: TokenCounter, family: Family, prompt: Prompt
) -> tuple[int | None, Reason]:
    if prompt.reason:
        return None, prompt.reason
    try:
        if prompt.texts:
            added = family.tokens_per_input if prompt.embedded else 0
            return sum(counter.count(text) + added for text in prompt.texts), ""
        if family.template is None:
            return None, "no_template"
        return counter.count(family.template(prompt.turns)), ""
    except TooLongToCount:
        return None, "too_long"


def _count_answer(
    counter: TokenCounter, answer: Transcript | None, hidden_reasoning: bool
) -> tuple[int | None, Reason]:
    if answer is None:
        return 0, ""
    if answer.is_too_long:
        return None, "too_long"
    if answer.has_other_output:
        return None, "media"
    if hidden_reasoning and not answer.has_reasoning:
        return None, "hidden_reasoning"
    try:
        return sum(counter.count(text) for text in answer.texts), ""
    except TooLongToCount:
        return None, "too_long"
