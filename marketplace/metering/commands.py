"""What opening and closing calls takes and gives back; plain values, cheap to make by thousands."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from accounts.services import AuthenticatedKey
from marketplace.catalog.pricing import PriceSnapshot
from marketplace.catalog.selectors import CallableService
from marketplace.ledger.services import LimitDemand


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCall:
    """A call about to be made, with the most that it can use.

    With ``least_completion_tokens`` the answer may be held for fewer tokens, down to that many,
    when wallet, cap or budgets do not allow ``completion_tokens`` (say, because the caller named
    no length). ``limits`` are caps beside the key's own and the budgets, which always count.
    ``attempt``: which try of its request it is.

    With a ``call_id`` (a fresh public id of the caller's) the very same request, made again because
    its answer got lost, gives the same call again. With an ``idempotency_key``, any request under
    the same ``idempotency_scope`` and key does. With neither, the call is new in any case.
    """

    key: AuthenticatedKey
    service: CallableService
    operation: str
    prompt_tokens: int
    completion_tokens: int
    expires_at: datetime
    least_completion_tokens: int | None = None
    streamed: bool = False
    surface: str = "gateway"
    request_id: str = ""
    attempt: int = 1
    limits: tuple[LimitDemand, ...] = ()
    call_id: str = ""
    idempotency_scope: str = ""
    idempotency_key: str = ""
    request_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedCall:
    """A call that may run: its tokens are held (``hold_id`` is empty where it can cost nothing).

    ``completion_tokens`` is how much answer is held for; ``shortened_by`` is the ledger's reason
    if that is less than was asked for.
    """

    call_pk: int
    public_id: str
    organisation_public_id: str
    unit: str
    provider_public_id: str
    commission_basis_points: int
    price: PriceSnapshot
    hold_id: str
    held_millitokens: int
    prompt_tokens: int
    completion_tokens: int
    started_at: datetime
    shortened_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenResult:
    """``opened`` has a call. ``declined`` has the ledger's reason: "insufficient_funds",
    "wallet_frozen", or "limit_exceeded" with the limit's subject. ``conflict``: another request
    was made under this idempotency key. ``replayed``: the answer of an earlier request."""

    outcome: Literal["opened", "declined", "conflict"]
    call: OpenedCall | None = None
    call_id: str = ""
    decline_code: str = ""
    decline_subject: str = ""
    replayed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseCall:
    """How a call ended. Only "succeeded" and "client_disconnected" cost anything.

    ``usage_source`` "none" means that nobody counted: nothing is charged. Quantities are model
    tokens, ``cached_tokens`` a part of ``prompt_tokens``. ``event_source`` comes from the
    credential and never from a payload; ``event_id`` defaults to the call's public id. ``late``
    "refuse" changes nothing when the hold is past its time; "debit" charges what can be.
    """

    call: OpenedCall
    status: Literal["succeeded", "failed", "client_disconnected"]
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    usage_source: str = "none"
    usage_doubt: str = ""
    error_code: str = ""
    finish_reason: str = ""
    upstream_id: str = ""
    first_token_ms: int | None = None
    duration_ms: int | None = None
    event_source: str = "gateway"
    event_id: str = ""
    occurred_at: datetime | None = None
    late: Literal["debit", "refuse"] = "debit"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseResult:
    """``closed`` now, or ``replayed``: it was closed before, and these are its numbers.

    ``conflict``: the usage event is known with other content; ``expired``: the hold is past its
    time, and the request refuses late charges; nothing was changed. ``cost_millitokens`` is what
    the tenant paid, ``uncovered_millitokens`` what it did not.
    """

    outcome: Literal["closed", "replayed", "conflict", "expired"]
    cost_millitokens: int = 0
    uncovered_millitokens: int = 0
    transaction_id: str = ""
