"""Usual holds on PostgreSQL in one statement and one round trip, which is also their commit.

A wallet's holds succeed together or nothing is changed; whatever is unusual (lots to expire, too
little for all of them, a fitting scoped wallet that has something, a limit not yet made or that
they could pass) leaves that wallet alone, a known key leaves its hold out, and ``holds`` goes step
by step. Wallets and limits are locked first, in that order, then the holds are inserted unless
their keys are taken, and only inserted holds move balances.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection

from marketplace.ledger.services.checks import check_hold_request
from marketplace.ledger.services.commands import HoldRequest, HoldResult, LimitDemand
from marketplace.ledger.sql import FEW, Call, Row, Statement, run_together
from marketplace.ledger.watch import refuse_when_unguarded
from portal.kernel.public_ids import new_public_id

_Name = tuple[str, str]  # owner and unit

# One row for each wallet, with all that is asked of it: its holds, and the limits they count in,
# which they name by number.
_PLACE = Statement(
    "SELECT id, public_id, reference FROM hold",
    ctes="""
    q AS MATERIALIZED (
      SELECT v.* FROM {rows}
    ), demand AS MATERIALIZED (
      SELECT q.owner_key, q.unit, x.* FROM q, json_to_recordset(q.limits)
        AS x(n bigint, subject text, period_start timestamptz, max bigint, amount bigint)
      WHERE {few}
    ), wallet AS MATERIALIZED (
      SELECT w.id, w.owner_key, w.unit FROM ledger_wallet w, q
      WHERE w.owner_key = q.owner_key AND w.unit = q.unit AND w.scope = '' AND NOT w.frozen
        AND w.posted_millitokens - w.held_millitokens >= q.amount
        AND (w.next_expiry_at IS NULL OR w.next_expiry_at > q.now)
        AND NOT EXISTS (
          SELECT 1 FROM ledger_wallet s
          WHERE s.owner_key = q.owner_key AND s.unit = q.unit AND q.scopes ? s.scope
            AND s.posted_millitokens > s.held_millitokens)
      ORDER BY w.id FOR NO KEY UPDATE OF w
    ), allowed AS MATERIALIZED (
      SELECT l.id, wallet.id AS wallet_id, demand.n, demand.max
      FROM wallet JOIN demand USING (owner_key, unit)
        JOIN ledger_limit l USING (subject, period_start)
      WHERE (SELECT count(*) FROM wallet) > 0 AND (demand.max IS NULL
        OR demand.amount <= demand.max - l.held_millitokens - l.spent_millitokens)
      ORDER BY l.id FOR NO KEY UPDATE OF l
    ), asked AS MATERIALIZED (
      SELECT wallet.id AS wallet_id, q.owner_key, q.unit, q.now, x.*
      FROM wallet JOIN q USING (owner_key, unit), json_to_recordset(q.holds)
        AS x(n bigint, public_id text, scope text, key text, request_hash text, amount bigint,
          reference text, price_version text, expires_at timestamptz, limits jsonb)
      WHERE {few} AND json_array_length(q.limits) =
        (SELECT count(*) FROM allowed WHERE allowed.wallet_id = wallet.id)
    ), hold AS (
      INSERT INTO ledger_hold (public_id, owner_key, unit, idempotency_scope, idempotency_key,
        request_hash, amount_millitokens, captured_millitokens, state, decline_code,
        decline_subject, reference, price_version, placed_at, expires_at)
      SELECT a.public_id, a.owner_key, a.unit, a.scope, a.key, a.request_hash, a.amount, 0,
        'pending', '', '', a.reference, a.price_version, a.now, a.expires_at
      FROM asked a ORDER BY a.scope, a.key
      ON CONFLICT (idempotency_scope, idempotency_key) DO NOTHING
      RETURNING id, public_id, reference
    ), placed AS MATERIALIZED (
      SELECT hold.id AS hold_id, asked.wallet_id, asked.amount, asked.limits
      FROM hold JOIN asked USING (public_id)
    ), part AS (
      INSERT INTO ledger_holdpart (hold_id, wallet_id, position, amount_millitokens)
      SELECT hold_id, wallet_id, 0, amount FROM placed
    ), held AS (
      UPDATE ledger_wallet SET held_millitokens = held_millitokens + p.amount
      FROM (SELECT wallet_id, sum(amount)::bigint AS amount FROM placed GROUP BY wallet_id) p
      WHERE ledger_wallet.id = p.wallet_id
    ), counted AS MATERIALIZED (
      SELECT p.hold_id, p.amount, allowed.id AS limit_id, allowed.max
      FROM placed p JOIN allowed
        ON allowed.wallet_id = p.wallet_id AND p.limits @> to_jsonb(allowed.n)
    ), limited AS (
      UPDATE ledger_limit SET held_millitokens = held_millitokens + c.amount,
        max_millitokens = c.max
      FROM (SELECT limit_id, max, sum(amount)::bigint AS amount FROM counted
        GROUP BY limit_id, max) c
      WHERE ledger_limit.id = c.limit_id
    ), membership AS (
      INSERT INTO ledger_holdlimit (hold_id, limit_id) SELECT hold_id, limit_id FROM counted
    )""".replace("{few}", FEW),
    columns="owner_key text, unit text, amount bigint, now timestamptz, scopes jsonb, "
    "limits json, holds json",
    table="ledger_hold",
)


def can_place_at_once(count: int) -> bool:
    """Whether so many holds may go to ``place_at_once`` and what it leaves step by step: on
    PostgreSQL, and several only outside of a transaction, in which wallets would stay locked that
    others lock in another order."""
    return connection.vendor == "postgresql" and (count == 1 or not connection.in_atomic_block)


def place_at_once(
    requests: Sequence[HoldRequest], *, now: datetime, beside: Call | None = None
) -> tuple[list[HoldResult | None], list[Row]]:
    """The holds that one statement could place, None for the others, which changed nothing.

    ``beside`` is written in the same statement; what it returned is handed back. Outside of a
    transaction the statement is its own commit. Raises ValueError, before anything is written, for
    a request that makes no sense, and LedgerUnguarded.
    """
    for request in requests:
        check_hold_request(request)
    refuse_when_unguarded()
    if not requests:
        return [], []
    rows, ids = _gather(requests, now)
    placed, *returned = run_together((_PLACE, rows), *([beside] if beside else []))
    pks = {public_id: pk for pk, public_id, _reference in placed}
    results = [
        HoldResult("held", pks[public_id], public_id, request.amount_millitokens)
        if public_id in pks
        else None
        for request, public_id in zip(requests, ids, strict=True)
    ]
    return results, returned[0] if returned else []


def _gather(requests: Sequence[HoldRequest], now: datetime) -> tuple[list[Row], list[str]]:
    """A row for each wallet, and for each request the public id that its hold would get.

    No id for those left out: another in this batch has their key, or names another maximum, or
    wallet, for one of their limits.
    """
    wallets: dict[_Name, _Asked] = {}
    keys: set[tuple[str, str]] = set()
    limits: dict[tuple[str, datetime], tuple[_Name, int | None]] = {}
    ids = []
    for request in requests:
        name, key = (
            (request.owner_key, request.unit),
            (request.idempotency_scope, request.idempotency_key),
        )
        counts = {(d.subject, d.period_start): (name, d.max_millitokens) for d in request.limits}
        ids.append("")
        if key not in keys and all(limits.get(n, c) == c for n, c in counts.items()):
            keys.add(key)
            limits |= counts
            ids[-1] = new_public_id("hld")
            wallets.setdefault(name, _Asked()).add(request, ids[-1])
    rows = [
        (
            *name,
            asked.amount,
            now,
            sorted(asked.scopes),
            list(asked.limits.values()),
            asked.holds,
        )
        for name, asked in wallets.items()
    ]
    return rows, ids


@dataclass(slots=True)
class _Asked:
    """All that is asked of one tenant's general wallet."""

    amount: int = 0
    scopes: set[str] = field(default_factory=set)
    limits: dict[tuple[str, datetime], dict[str, Any]] = field(default_factory=dict)
    holds: list[dict[str, Any]] = field(default_factory=list)

    def add(self, request: HoldRequest, public_id: str) -> None:
        self.amount += request.amount_millitokens
        self.scopes.update(request.scopes)
        self.holds.append(
            {
                "n": len(self.holds),
                "public_id": public_id,
                "scope": request.idempotency_scope,
                "key": request.idempotency_key,
                "request_hash": request.request_hash,
                "amount": request.amount_millitokens,
                "reference": request.reference,
                "price_version": request.price_version,
                "expires_at": request.expires_at,
                "limits": [self._count(demand, request) for demand in request.limits],
            }
        )

    def _count(self, demand: LimitDemand, request: HoldRequest) -> int:
        """Adds the request to the limit; its number."""
        limit = self.limits.setdefault(
            (demand.subject, demand.period_start),
            {
                "n": len(self.limits),
                "subject": demand.subject,
                "period_start": demand.period_start,
                "max": demand.max_millitokens,
                "amount": 0,
            },
        )
        limit["amount"] += request.amount_millitokens
        number: int = limit["n"]
        return number
