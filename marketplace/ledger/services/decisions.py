"""Deciding which requests are held: in memory, over wallets and limits that are locked."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from marketplace.ledger.services import reads, writes
from marketplace.ledger.services.commands import HoldRequest, LimitDemand
from marketplace.ledger.services.rows import LimitRow, PartRow, WalletRow
from marketplace.ledger.sql import run
from portal.kernel.public_ids import new_public_id

Wallets = dict[tuple[str, str, str], WalletRow]  # by owner, unit and scope
Limits = dict[tuple[str, datetime], LimitRow]  # by subject and period start


@dataclass(slots=True)
class Decision:
    """What is to become of one request; no code means that it is held."""

    request: HoldRequest
    public_id: str
    parts: list[PartRow] = field(default_factory=list)
    limits: list[LimitRow] = field(default_factory=list)
    decline_code: str = ""
    decline_subject: str = ""

    def reserve(self, *, sign: int = 1) -> None:
        """Set aside in memory what a held request takes; ``sign`` −1 takes that back."""
        if self.decline_code:
            return
        for part in self.parts:
            part.wallet.held += sign * part.amount
        for limit in self.limits:
            limit.held += sign * self.request.amount_millitokens


def lock_limits(requests: Iterable[HoldRequest], wallets: Wallets) -> Limits:
    """The limits of the requests that wallets could pay for.

    Those that don't exist yet are made, but only for requests that all their limits allow: a
    refusal leaves nothing behind.
    """
    payable = [
        request
        for request in requests
        if request.limits and _spendable(request, wallets) >= request.amount_millitokens
    ]
    if not payable:
        return {}
    names = {demand.name for request in payable for demand in request.limits}
    limits = {
        (limit.subject, limit.period_start): limit for limit in reads.lock_limits_named(names)
    }
    missing = {
        demand.name: demand.max_millitokens
        for request in payable
        if _refusing_limit(request, limits) is None
        for demand in request.limits
        if demand.name not in limits
    }
    if missing:
        run(writes.INSERT_LIMITS, [(*name, maximum) for name, maximum in missing.items()])
        for limit in reads.lock_limits_named(missing):
            limits[limit.subject, limit.period_start] = limit
    return limits


def decide(request: HoldRequest, wallets: Wallets, limits: Limits) -> Decision:
    """Reserve in memory, or decline."""
    decision = Decision(request, new_public_id("hld"))
    needed = request.amount_millitokens
    candidates = wallets_of(request, wallets)
    for wallet in candidates:
        taken = min(wallet.spendable, needed)
        if taken > 0:
            decision.parts.append(PartRow(wallet, len(decision.parts), taken))
            needed -= taken
    if needed:
        frozen = any(wallet.frozen for wallet in candidates)
        decision.decline_code = "wallet_frozen" if frozen else "insufficient_funds"
        return decision
    refusing = _refusing_limit(request, limits)
    if refusing is not None:
        decision.decline_code, decision.decline_subject = "limit_exceeded", refusing.subject
        return decision
    for demand in request.limits:
        limit = limits[demand.name]
        limit.max = demand.max_millitokens
        decision.limits.append(limit)
    decision.reserve()
    return decision


def wallets_of(request: HoldRequest, wallets: Wallets) -> list[WalletRow]:
    """The wallets that the request may draw on, in burn order."""
    names = [(request.owner_key, request.unit, scope) for scope in (*request.scopes, "")]
    return [wallets[name] for name in names if name in wallets]


def _spendable(request: HoldRequest, wallets: Wallets) -> int:
    return sum(wallet.spendable for wallet in wallets_of(request, wallets))


def _refusing_limit(request: HoldRequest, limits: Limits) -> LimitDemand | None:
    """The first limit that does not allow the request; one that is not there yet is unused."""
    for demand in request.limits:
        if demand.max_millitokens is None:
            continue
        limit = limits.get(demand.name)
        used = limit.held + limit.spent if limit else 0
        if request.amount_millitokens > demand.max_millitokens - used:
            return demand
    return None
