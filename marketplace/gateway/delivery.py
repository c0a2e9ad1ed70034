"""What of a streamed answer was generated and what of it was delivered, for an honest charge."""

from dataclasses import dataclass
from typing import Any

from marketplace.gateway.calls import RunningCall
from marketplace.upstream import shaping
from marketplace.upstream.usage import NO_USAGE, NOTHING_DELIVERED, Usage, parse_usage

# For guesses in the tenant's favour: a token of generated text is about as long.
_BYTES_PER_TOKEN = 4
# A prompt has at least one token per so many bytes of text, in any language.
_MOST_BYTES_PER_PROMPT_TOKEN = 8


@dataclass(slots=True)
class Delivery:
    """Counters of one streamed answer. ``bytes`` are of generated text in UTF-8."""

    call: RunningCall
    reported_usage: Any = None
    generated_bytes: int = 0
    generated_pieces: int = 0
    delivered_bytes: int = 0
    delivered_pieces: int = 0
    # About how many tokens were generated: what the hold must cover.
    about_tokens: int = 0

    def count(self, choices: list[Any]) -> int:
        """Count a chunk's text as generated; returns its bytes."""
        size = shaping.count_text_bytes(choices)
        if size:
            self.generated_bytes += size
            self.generated_pieces += 1
            self.about_tokens += max(1, size // _BYTES_PER_TOKEN)
        return size

    def count_delivered(self, size: int) -> None:
        if size:
            self.delivered_bytes += size
            self.delivered_pieces += 1

    @property
    def is_complete(self) -> bool:
        """Whether all that was generated was delivered."""
        return self.delivered_bytes == self.generated_bytes

    def charge_whole(self) -> Usage:
        """The usage of an answer that was read to its end.

        Beyond what was held, the provider's word alone is not enough: there must have been a byte
        of text for each token.
        """
        return parse_usage(
            self.reported_usage,
            most_prompt_tokens=self.call.opened.prompt_tokens,
            most_completion_tokens=min(
                self.call.most_tokens, max(self.call.held_tokens, self.generated_bytes)
            ),
        )

    def charge_cut(self, *, by_us: bool) -> Usage:
        """The usage of an answer that the client, or we, cut short after it had begun.

        By the listing's terms if the client left: all, what was delivered, or nothing. What we
        cut ourselves is charged as delivered. The provider's count is divided by bytes. Where it
        did not come in time: one token for each piece delivered and the fewest that the prompt
        can have, marked to be looked at.
        """
        terms = "delivered" if by_us else self.call.service.cut_stream_billing
        if terms == "nothing":
            return NOTHING_DELIVERED
        usage = self.charge_whole()
        if usage.doubt == NO_USAGE.doubt:
            return self._estimate(all_of_it=terms == "full")
        if terms == "full" or self.is_complete:
            return usage
        return Usage(
            prompt_tokens=usage.prompt_tokens,
            cached_tokens=usage.cached_tokens,
            completion_tokens=usage.completion_tokens
            * self.delivered_bytes
            // self.generated_bytes,
            source="none" if usage.source == "none" else "estimate",
            doubt=usage.doubt,
        )

    def _estimate(self, *, all_of_it: bool) -> Usage:
        pieces = self.generated_pieces if all_of_it else self.delivered_pieces
        fewest = self.call.request.prompt_bytes // _MOST_BYTES_PER_PROMPT_TOKEN
        return Usage(
            prompt_tokens=min(fewest, self.call.opened.prompt_tokens),
            completion_tokens=min(pieces, self.call.most_tokens),
            source="estimate",
            doubt="estimated",
        )
