"""Openings on their way: what is held for each, and the call that an earlier one has left."""

from dataclasses import dataclass, replace

from marketplace.catalog.pricing import upper_bound
from marketplace.catalog.selectors import CallableService
from marketplace.ledger import services as ledger
from marketplace.ledger.selectors import Purse
from marketplace.metering.commands import OpenCall, OpenResult
from marketplace.metering.limits import Cap
from marketplace.metering.models import Call, CallStatus
from marketplace.metering.selectors import describe_opened


def purse_of(organisation_public_id: str, service: CallableService) -> Purse:
    """The wallets of a tenant that a call of the service may spend, in the order they burn."""
    return Purse(
        owner_key=organisation_public_id,
        unit=service.unit,
        scopes=(
            f"service:{service.public_id}",
            f"provider:{service.provider_public_id}",
            f"modality:{service.modality}",
        ),
    )


@dataclass(slots=True)
class Attempt:
    """One request on its way: what is held for it, and what the ledger said."""

    request: OpenCall
    public_id: str
    amount: int
    completion_tokens: int
    caps: tuple[Cap, ...] = ()
    hold: ledger.HoldResult | None = None
    # Why a first hold was declined that a smaller one was tried after.
    shortened_by: str = ""

    @property
    def purse(self) -> Purse:
        return purse_of(self.request.key.organisation_public_id, self.request.service)

    @property
    def is_conflict(self) -> bool:
        return self.hold is not None and self.hold.outcome == "conflict"

    @property
    def prompt_cost(self) -> int:
        """Of the request without an answer, at most."""
        return upper_bound(
            self.request.service.price,
            prompt_tokens=self.request.prompt_tokens,
            completion_tokens=0,
        )


def find_opened(attempt: Attempt) -> OpenResult:
    """The answer to an earlier request, from the call that was written with it."""
    request, hold = attempt.request, attempt.hold
    known = Call.objects.select_related("hold", "price_version", "service__provider")
    if request.idempotency_key and hold:
        call = known.get(hold_id=hold.hold_pk)
    else:
        call = known.get(public_id=attempt.public_id)
    if call.status == CallStatus.REFUSED and call.hold:
        return OpenResult(
            outcome="declined",
            call_id=call.public_id,
            decline_code=call.hold.decline_code,
            decline_subject=call.hold.decline_subject,
            replayed=True,
        )
    opened = describe_opened(call)
    if not request.idempotency_key:
        opened = replace(
            opened,
            prompt_tokens=request.prompt_tokens,
            completion_tokens=_held_answer(attempt, opened.held_millitokens),
            # The first hold is remembered as declined; the smaller one runs.
            shortened_by=hold.decline_code if hold else "",
        )
    return OpenResult(outcome="opened", call=opened, call_id=call.public_id, replayed=True)


def _held_answer(attempt: Attempt, held_millitokens: int) -> int:
    """How much answer is held for: less than was asked for where the wallet was short."""
    price = attempt.request.service.price.output_millitokens
    if held_millitokens >= attempt.amount or not price:
        return attempt.completion_tokens
    return (held_millitokens - attempt.prompt_cost) // price
