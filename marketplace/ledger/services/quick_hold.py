"""The usual hold on PostgreSQL in one statement and one round trip.

It succeeds whole or changes nothing; whatever is unusual (a known key, lots to expire, too little,
a fitting scoped wallet that has something, a limit not yet made) yields no row, and ``holds`` goes
step by step. Wallet and limits are locked first, in that order, then the hold is inserted unless
its key is taken, and only an inserted hold moves balances.
"""

from datetime import datetime

from marketplace.ledger.services.commands import HoldRequest, HoldResult
from marketplace.ledger.sql import FEW, Statement, run
from portal.kernel.public_ids import new_public_id

_PLACE = Statement(
    """
    WITH q AS MATERIALIZED (
      SELECT v.* FROM {rows}
    ), demand AS MATERIALIZED (
      SELECT x.* FROM q, json_to_recordset(q.limits)
        AS x(n bigint, subject text, period_start timestamptz, max bigint) WHERE {few}
    ), wallet AS MATERIALIZED (
      SELECT w.id FROM ledger_wallet w, q
      WHERE w.owner_key = q.owner_key AND w.unit = q.unit AND w.scope = '' AND NOT w.frozen
        AND w.posted_millitokens - w.held_millitokens >= q.amount
        AND (w.next_expiry_at IS NULL OR w.next_expiry_at > q.now)
        AND NOT EXISTS (
          SELECT 1 FROM ledger_wallet s
          WHERE s.owner_key = q.owner_key AND s.unit = q.unit AND q.scopes ? s.scope
            AND s.posted_millitokens > s.held_millitokens)
      FOR NO KEY UPDATE OF w
    ), allowed AS MATERIALIZED (
      SELECT l.id, demand.max FROM q, demand JOIN ledger_limit l USING (subject, period_start)
      WHERE EXISTS (SELECT 1 FROM wallet) AND (demand.max IS NULL
        OR q.amount <= demand.max - l.held_millitokens - l.spent_millitokens)
      ORDER BY l.id FOR NO KEY UPDATE OF l
    ), hold AS (
      INSERT INTO ledger_hold (public_id, owner_key, unit, idempotency_scope, idempotency_key,
        request_hash, amount_millitokens, captured_millitokens, state, decline_code,
        decline_subject, reference, price_version, placed_at, expires_at)
      SELECT q.public_id, q.owner_key, q.unit, q.scope, q.key, q.request_hash, q.amount, 0,
        'pending', '', '', q.reference, q.price_version, q.now, q.expires_at
      FROM q, wallet
      WHERE (SELECT count(*) FROM allowed) = (SELECT count(*) FROM demand)
      ON CONFLICT (idempotency_scope, idempotency_key) DO NOTHING
      RETURNING id
    ), part AS (
      INSERT INTO ledger_holdpart (hold_id, wallet_id, position, amount_millitokens)
      SELECT hold.id, wallet.id, 0, q.amount FROM hold, wallet, q
    ), held AS (
      UPDATE ledger_wallet SET held_millitokens = held_millitokens + q.amount
      FROM hold, wallet, q WHERE ledger_wallet.id = wallet.id
    ), counted AS (
      UPDATE ledger_limit SET held_millitokens = held_millitokens + q.amount,
        max_millitokens = allowed.max
      FROM hold, allowed, q WHERE ledger_limit.id = allowed.id
    ), membership AS (
      INSERT INTO ledger_holdlimit (hold_id, limit_id)
      SELECT hold.id, allowed.id FROM hold, allowed
    )
    SELECT id FROM hold
    """.replace("{few}", FEW),
    columns="public_id text, owner_key text, unit text, scope text, key text, "
    "request_hash text, amount bigint, reference text, price_version text, now timestamptz, "
    "expires_at timestamptz, limits json, scopes jsonb",
)


def place_quickly(request: HoldRequest, *, now: datetime) -> HoldResult | None:
    """The hold if one statement could place it; None if nothing was changed."""
    public_id = new_public_id("hld")
    row = (
        public_id,
        request.owner_key,
        request.unit,
        request.idempotency_scope,
        request.idempotency_key,
        request.request_hash,
        request.amount_millitokens,
        request.reference,
        request.price_version,
        now,
        request.expires_at,
        [
            {
                "n": number,
                "subject": demand.subject,
                "period_start": demand.period_start,
                "max": demand.max_millitokens,
            }
            for number, demand in enumerate(request.limits)
        ],
        request.scopes,
    )
    placed = run(_PLACE, [row])
    if not placed:
        return None
    return HoldResult("held", placed[0][0], public_id, request.amount_millitokens)
