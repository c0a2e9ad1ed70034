"""Whether two counts of one call agree. Model tokens everywhere, whole numbers only.

Servers differ by a few tokens without anybody being dishonest: how a chat is written into a
prompt, whether the token that ends an answer counts, markers around thoughts and tool calls. The
bands leave room for that; what passes them costs the tenant only what can be shown.
"""

from dataclasses import dataclass

from marketplace.metering.models import RecountReason, Verdict

# (tokens, basis points of what was counted), whichever is more.
AGREEMENT = (4, 50)
REVIEW = (16, 200)
MARKUP = (8, 300)
# Beyond so many tokens a difference is no matter of how a server writes a chat.
MOST_OFFSET = 512

_SEVERITY = (Verdict.AGREES, Verdict.REVIEW, Verdict.DISPUTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedCall:
    """A closed call with what its provider reported and what was counted again.

    ``*_counted`` are None for what cannot be, for ``reason``. ``stops`` answers ended by
    themselves; ``has_markup``: there were thoughts or tool calls.
    """

    call_pk: int
    service_pk: int
    tokenizer: str
    prompt_reported: int
    prompt_counted: int | None
    completion_reported: int
    completion_counted: int | None
    reason: str = ""
    stops: int = 0
    has_markup: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """``fair_*`` are the most that a disputed call may cost; what was reported for all others."""

    verdict: Verdict
    reason: str
    fair_prompt: int
    fair_completion: int


def judge(call: CountedCall, *, prompt_offset: int | None) -> Judgement:
    """Compare both parts; the graver difference decides.

    ``prompt_offset`` is None while it is still being learned: then a prompt is never disputed.
    """
    parts: list[tuple[Verdict, str]] = []
    fair_prompt, fair_completion = call.prompt_reported, call.completion_reported
    if call.prompt_counted is not None:
        expected = max(call.prompt_counted + (prompt_offset or 0), 0)
        part = _compare(call.prompt_reported, expected, expected)
        if prompt_offset is None and part[0] is not Verdict.AGREES:
            part = Verdict.REVIEW, RecountReason.CALIBRATING.value
        elif part[0] is Verdict.DISPUTED:
            fair_prompt = expected
        parts.append(part)
    if call.completion_counted is not None:
        least, most = call.completion_counted, call.completion_counted + call.stops
        if call.has_markup:
            most += _band(most, MARKUP)
        part = _compare(call.completion_reported, least, most)
        if part[0] is Verdict.DISPUTED:
            fair_completion = most
        parts.append(part)
    if not parts:
        return Judgement(Verdict.UNCOUNTABLE, call.reason, fair_prompt, fair_completion)
    verdict, reason = max(parts, key=lambda part: _SEVERITY.index(part[0]))
    return Judgement(verdict, reason or call.reason, fair_prompt, fair_completion)


def _compare(reported: int, least: int, most: int) -> tuple[Verdict, str]:
    difference = max(reported - most, least - reported, 0)
    if difference <= _band(most, AGREEMENT):
        return Verdict.AGREES, ""
    if reported < least:
        return Verdict.REVIEW, RecountReason.REPORTED_LESS.value
    if difference <= _band(most, REVIEW):
        return Verdict.REVIEW, ""
    return Verdict.DISPUTED, ""


def _band(counted: int, width: tuple[int, int]) -> int:
    tokens, basis_points = width
    return max(tokens, counted * basis_points // 10_000)
