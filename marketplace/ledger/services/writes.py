"""The statements that change balances. Each compares with what was read, under lock, before."""

from marketplace.ledger.sql import Statement

UPDATE_HOLDS = Statement(
    """
    UPDATE ledger_hold SET state = v.state, amount_millitokens = v.amount,
      captured_millitokens = v.captured, resolved_at = v.resolved_at
    FROM {rows}
    WHERE ledger_hold.id = v.id AND ledger_hold.state = v.state_before
      AND ledger_hold.amount_millitokens = v.amount_before
    RETURNING ledger_hold.id
    """,
    columns="id bigint, state_before text, amount_before bigint, state text, amount bigint, "
    "captured bigint, resolved_at timestamptz",
)
UPSERT_PARTS = Statement(
    """
    INSERT INTO ledger_holdpart (hold_id, wallet_id, position, amount_millitokens)
    SELECT v.hold_id, v.wallet_id, v.position, v.amount FROM {rows} WHERE true
    ON CONFLICT (hold_id, wallet_id) DO UPDATE SET amount_millitokens = excluded.amount_millitokens
    RETURNING id
    """,
    columns="hold_id bigint, wallet_id bigint, position bigint, amount bigint",
)
UPDATE_WALLETS = Statement(
    """
    UPDATE ledger_wallet SET posted_millitokens = v.posted, held_millitokens = v.held,
      seq = v.seq, next_expiry_at = v.next_expiry_at
    FROM {rows}
    WHERE ledger_wallet.id = v.id AND ledger_wallet.posted_millitokens = v.posted_before
      AND ledger_wallet.held_millitokens = v.held_before AND ledger_wallet.seq = v.seq_before
      AND v.held BETWEEN 0 AND v.posted
    RETURNING ledger_wallet.id
    """,
    columns="id bigint, posted_before bigint, held_before bigint, seq_before bigint, "
    "posted bigint, held bigint, seq bigint, next_expiry_at timestamptz",
)
UPDATE_LOTS = Statement(
    """
    UPDATE ledger_lot SET remaining_millitokens = v.remaining
    FROM {rows}
    WHERE ledger_lot.id = v.id AND ledger_lot.remaining_millitokens = v.remaining_before
    RETURNING ledger_lot.id
    """,
    columns="id bigint, remaining_before bigint, remaining bigint",
)
UPDATE_LIMITS = Statement(
    """
    UPDATE ledger_limit SET max_millitokens = v.max, held_millitokens = v.held,
      spent_millitokens = v.spent
    FROM {rows}
    WHERE ledger_limit.id = v.id AND ledger_limit.held_millitokens = v.held_before
      AND ledger_limit.spent_millitokens = v.spent_before
    RETURNING ledger_limit.id
    """,
    columns="id bigint, held_before bigint, spent_before bigint, max bigint, held bigint, "
    "spent bigint",
)
INSERT_TRANSACTIONS = Statement(
    """
    INSERT INTO ledger_transaction (public_id, kind, idempotency_scope, idempotency_key,
      request_hash, entry_count, hold_id, reverses_id, reversal_no, reference, reason,
      effective_at, recorded_at)
    SELECT v.public_id, v.kind, v.scope, v.key, v.request_hash, v.entry_count, v.hold_id,
      v.reverses_id, v.reversal_no, v.reference, v.reason, v.now, v.now
    FROM {rows} WHERE true
    RETURNING id, public_id
    """,
    columns="public_id text, kind text, scope text, key text, request_hash text, "
    "entry_count bigint, hold_id bigint, reverses_id bigint, reversal_no bigint, reference text, "
    "reason text, now timestamptz",
    table="ledger_transaction",
)
INSERT_ENTRIES = Statement(
    """
    INSERT INTO ledger_entry (transaction_id, line, debit_account_id, credit_account_id,
      amount_millitokens, wallet_id, wallet_seq, wallet_after_millitokens)
    SELECT t.id, v.line, v.debit, v.credit, v.amount, v.wallet_id, v.wallet_seq, v.wallet_after
    FROM {rows} JOIN {new ledger_transaction: id bigint, public_id text} t
      ON t.public_id = v.public_id
    RETURNING id
    """,
    columns="public_id text, line bigint, debit bigint, credit bigint, amount bigint, "
    "wallet_id bigint, wallet_seq bigint, wallet_after bigint",
)
INSERT_BURNS = Statement(
    """
    INSERT INTO ledger_lotburn (transaction_id, lot_id, amount_millitokens)
    SELECT t.id, v.lot_id, v.amount
    FROM {rows} JOIN {new ledger_transaction: id bigint, public_id text} t
      ON t.public_id = v.public_id
    RETURNING id
    """,
    columns="public_id text, lot_id bigint, amount bigint",
)
INSERT_HOLDS = Statement(
    """
    INSERT INTO ledger_hold (public_id, owner_key, unit, idempotency_scope, idempotency_key,
      request_hash, amount_millitokens, captured_millitokens, state, decline_code,
      decline_subject, reference, price_version, placed_at, expires_at, resolved_at)
    SELECT v.public_id, v.owner_key, v.unit, v.scope, v.key, v.request_hash, v.amount, 0, v.state,
      v.decline_code, v.decline_subject, v.reference, v.price_version, v.now, v.expires_at,
      v.resolved_at
    FROM {rows} WHERE true ORDER BY v.scope, v.key
    ON CONFLICT (idempotency_scope, idempotency_key) DO NOTHING
    RETURNING id, public_id
    """,
    columns="public_id text, owner_key text, unit text, scope text, key text, "
    "request_hash text, amount bigint, state text, decline_code text, decline_subject text, "
    "reference text, price_version text, now timestamptz, expires_at timestamptz, "
    "resolved_at timestamptz",
)
INSERT_HOLD_LIMITS = Statement(
    "INSERT INTO ledger_holdlimit (hold_id, limit_id) SELECT v.hold_id, v.limit_id FROM {rows} "
    "RETURNING id",
    columns="hold_id bigint, limit_id bigint",
)
INSERT_LIMITS = Statement(
    """
    INSERT INTO ledger_limit (subject, period_start, max_millitokens, held_millitokens,
      spent_millitokens)
    SELECT v.subject, v.period_start, v.max, 0, 0 FROM {rows}
    WHERE true ORDER BY v.subject, v.period_start
    ON CONFLICT (subject, period_start) DO NOTHING
    RETURNING id
    """,
    columns="subject text, period_start timestamptz, max bigint",
)
