"""From a request to an open call, and to its end: choice of service, hold, capture.

Everything here is database work and runs in the gateway's threads; nothing waits for a provider.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.utils.translation import gettext_lazy as _

from marketplace.catalog.selectors import CallableService
from marketplace.gateway.amounts import tokens_text
from marketplace.gateway.budget_words import refuse_over_budget
from marketplace.gateway.choosing import Choice, Opening, choose
from marketplace.gateway.errors import GatewayRefusal
from marketplace.gateway.parameters import list_dropped
from marketplace.gateway.rates import Taken
from marketplace.gateway.requests import CallRequest
from marketplace.gateway.sizing import Size
from marketplace.ledger import selectors as ledger
from marketplace.metering import services as metering
from marketplace.metering.services import longest_call
from marketplace.upstream.usage import NOTHING_DELIVERED, Usage
from portal.kernel.clock import utc_now

# What can set an answer's length beside the caller and the model.
SHORT_OF_FUNDS = "credit_balance_exhausted"
SHORT_OF_BUDGET = "budget_exhausted"
SHORT_OF_TIME = "time_limit"
LIMITED_BY_MAX_COST = "max_cost"


@dataclass(slots=True)
class RunningCall:
    """An open call and how much it may generate.

    ``most_tokens`` bounds all answers together; while they stream, the hold is extended up to it.
    ``limited_by`` names what set that bound, if neither the caller's length nor the model did.
    ``model_place``: which of the request's models serves it.
    """

    service: CallableService
    request: CallRequest
    opened: metering.OpenedCall
    most_tokens: int
    # Of the limits of its service, and of its key.
    room: Taken
    limited_by: str = ""
    taken: Taken | None = None
    model_place: int = 0

    @property
    def model(self) -> str:
        """The model or service that serves it, as the caller named it."""
        return self.request.models[self.model_place].name

    @property
    def max_tokens(self) -> int:
        """What the provider is told, for each answer."""
        return self.most_tokens // self.request.answers

    @property
    def held_tokens(self) -> int:
        return self.opened.completion_tokens

    @property
    def purse(self) -> ledger.Purse:
        return metering.purse_of(self.opened.organisation_public_id, self.service)

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        headers = [(b"x-tokenworks-service", self.service.handle.encode())]
        if dropped := list_dropped(self.service, self.request):
            names = [self.request.field_names.get(name, name) for name in dropped]
            headers.append((b"x-tokenworks-dropped", ", ".join(names).encode()))
        return headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a call ended, before it is charged."""

    status: Literal["succeeded", "failed", "client_disconnected"]
    duration_ms: int
    usage: Usage = NOTHING_DELIVERED
    error_code: str = ""
    finish_reason: str = ""
    upstream_id: str = ""
    first_token_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Closed:
    """In millitokens: what the call cost the tenant, and what the next one like it can spend."""

    cost: int
    balance: int

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return [
            (b"x-tokenworks-cost", tokens_text(self.cost).encode()),
            (b"x-tokenworks-balance", tokens_text(self.balance).encode()),
        ]


def open_calls(openings: Sequence[Opening]) -> list[RunningCall | GatewayRefusal | None]:
    """For each, hold what the call can cost at the service chosen for it, all in one commit.

    None when all services were tried; a GatewayRefusal when none fits or the wallet cannot pay.
    Safe to repeat: an opening gives the same call again.
    """
    now = utc_now()
    choices = [(opening, choose(opening)) for opening in openings]
    wanted = [
        _ask(opening, choice, now) for opening, choice in choices if isinstance(choice, Choice)
    ]
    results = iter(metering.open_calls(wanted, now=now))
    return [
        _conclude(opening, choice, next(results)) if isinstance(choice, Choice) else choice
        for opening, choice in choices
    ]


def extend_call(call: RunningCall, tokens: int) -> bool:
    """Hold for ``tokens`` more of the answer; False when they cannot be paid."""
    extended = metering.extend_call(call.opened, completion_tokens=tokens, now=utc_now())
    if extended is None:
        return False
    call.opened = extended
    return True


def name_shortage(call: RunningCall) -> str:
    """What does not allow the call to hold more: its wallets, else a cap or budget."""
    [spendable] = ledger.list_spendable([call.purse])
    enough = spendable >= call.service.price.output_millitokens
    return SHORT_OF_BUDGET if enough else SHORT_OF_FUNDS


def close_calls(endings: Sequence[tuple[RunningCall, Ending]]) -> list[Closed]:
    """Charge and record the calls in one commit. Safe to repeat."""
    results = metering.close_calls(
        [
            metering.CloseCall(
                call=call.opened,
                status=ending.status,
                prompt_tokens=ending.usage.prompt_tokens,
                cached_tokens=ending.usage.cached_tokens,
                completion_tokens=ending.usage.completion_tokens,
                usage_source=ending.usage.source,
                usage_doubt=ending.usage.doubt,
                error_code=ending.error_code,
                finish_reason=ending.finish_reason,
                upstream_id=ending.upstream_id,
                first_token_ms=ending.first_token_ms,
                duration_ms=ending.duration_ms,
            )
            for call, ending in endings
        ],
        now=utc_now(),
    )
    balances = ledger.list_spendable([call.purse for call, _ending in endings])
    return [
        Closed(cost=result.cost_millitokens, balance=balance)
        for balance, result in zip(balances, results, strict=True)
    ]


def _ask(opening: Opening, choice: Choice, now: datetime) -> metering.OpenCall:
    size = choice.size
    return metering.OpenCall(
        key=opening.key,
        service=choice.service,
        operation=opening.request.operation,
        prompt_tokens=size.prompt_tokens,
        completion_tokens=size.completion_tokens,
        least_completion_tokens=size.least_completion_tokens,
        streamed=opening.request.stream,
        request_id=opening.request_id,
        expires_at=now + longest_call(),
        call_id=opening.call_id,
        attempt=len(opening.tried) + 1,
    )


def _conclude(
    opening: Opening, choice: Choice, result: metering.OpenResult
) -> RunningCall | GatewayRefusal:
    if result.call is None:
        return _refuse_decline(result, opening, choice)
    most, limited_by = _limit_answer(result.call, choice.service, choice.size)
    return RunningCall(
        choice.service,
        opening.request,
        result.call,
        most,
        choice.room,
        limited_by,
        model_place=choice.model_place,
    )


def _limit_answer(
    opened: metering.OpenedCall, service: CallableService, size: Size
) -> tuple[int, str]:
    """The most tokens the answers may have, and which limit of ours set that, if one did."""
    held, most = opened.completion_tokens, size.most_completion_tokens
    if opened.shortened_by == "limit_exceeded":
        return held, SHORT_OF_BUDGET
    limited_by = LIMITED_BY_MAX_COST if size.limited_by_max_cost else ""
    if most <= size.completion_tokens:
        return held, SHORT_OF_FUNDS if held < size.completion_tokens else limited_by
    price = service.price.output_millitokens
    if not price:
        return most, limited_by
    [spendable] = ledger.list_spendable([metering.purse_of(opened.organisation_public_id, service)])
    payable = held + spendable // price
    return min(payable, most), SHORT_OF_FUNDS if payable < most else limited_by


def _refuse_decline(
    result: metering.OpenResult, opening: Opening, choice: Choice
) -> GatewayRefusal:
    if result.decline_code == "limit_exceeded":
        return refuse_over_budget(result.decline_subject, opening.key, now=utc_now())
    if result.decline_code == "wallet_frozen":
        return GatewayRefusal(
            403,
            "wallet_frozen",
            _("The wallet is frozen while the operator looks into a difference in the books: "
              "running calls finish, no new one can start. Nothing was charged. Ask the operator "
              "about %(reference)s.")
            % {
                "reference": ledger.get_freeze_reference(
                    owner_key=opening.key.organisation_public_id,
                    unit=choice.service.unit,
                )
            },
        )  # fmt: skip
    return GatewayRefusal(
        402,
        "credit_balance_exhausted",
        _("The wallet's balance cannot pay for this call. Nothing was charged. Buy tokens in the "
          "portal, or lower max_tokens.")
        if opening.request.named_length
        else _("The wallet's balance cannot pay for this call. Nothing was charged. Buy tokens in "
               "the portal."),
    )  # fmt: skip
