"""A book with very many calls, multiplied out of one real call by SQL, for PostgreSQL alone.

Each table's new rows are copies of what the real call left there, but for the columns named here,
so that what is generated keeps up with the tables. Foreign keys and the guard of entries sleep
meanwhile.
"""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial

import time_machine
from django.db import connection
from django.db.transaction import atomic

from accounts.models import Organisation, User
from accounts.services import SYSTEM_ACTOR
from marketplace.billing import services as billing
from marketplace.ledger.models import Entry
from marketplace.metering import services as metering
from marketplace.metering.models import Call
from portal.kernel.clock import utc_now
from tests.benchmarks.many_calls import store_totals
from tests.cast import make_key, make_organisation
from tests.market import MILLION_TOKENS, make_call
from tests.partners.cast import make_live_service, make_model, make_provider

DAYS = 90
ENTRIES_PER_CALL = 2
_PROMPT_TOKENS = 100
# By itself the commit that made the row.
_MADE_BY_DEFAULT = {"recorded_in"}

# One row a new call, by turns of all wallets, the oldest call first; ids go on from what there is.
_PLAN = """
    CREATE TEMPORARY TABLE plan AS
    SELECT p.*, p.tokens * 800 + %(prompt_cost)s AS cost,
      (p.tokens * 800 + %(prompt_cost)s) * 9000 / 10000 AS share,
      sum(p.tokens * 800 + %(prompt_cost)s) OVER (PARTITION BY p.wallet_id ORDER BY p.n) AS so_far
    FROM (
      SELECT (SELECT max(id) FROM metering_call) + n AS id, n, w.id AS wallet_id, w.account_id,
        w.owner_key, w.posted_millitokens AS posted, l.id AS lot_id, o.id AS organisation_id,
        k.id AS key_id, k.public_id AS key_public_id, 50 + n %% 50 AS tokens,
        w.seq + 2 * ((n - 1) / c.wallets) AS seq,
        (SELECT max(id) FROM ledger_hold) + n AS hold_id,
        (SELECT max(id) FROM ledger_holdpart) + n AS part_id,
        (SELECT max(id) FROM ledger_transaction) + n AS transaction_id,
        (SELECT max(id) FROM ledger_entry) + 2 * n AS entry_id,
        (SELECT max(id) FROM ledger_lotburn) + n AS burn_id,
        (SELECT max(id) FROM metering_usageevent) + n AS event_id,
        (SELECT max(id) FROM metering_usagecharge) + n AS charge_id,
        now() - %(days)s * interval '1 day' * (1 - (%(before)s + n)::float8 / %(in_all)s) AS at
      FROM (SELECT count(*) AS wallets FROM ledger_wallet) c,
        generate_series(1::bigint, %(calls)s) n
        JOIN (SELECT *, row_number() OVER (ORDER BY id) - 1 AS number FROM ledger_wallet) w
          ON w.number = (n - 1) %% (SELECT count(*) FROM ledger_wallet)
        JOIN ledger_lot l ON l.wallet_id = w.id
        JOIN accounts_organisation o ON o.public_id = w.owner_key
        JOIN accounts_apikey k ON k.organisation_id = o.id
    ) p
"""
_CALL_ID = "'call_' || lpad(p.id::text, 26, '0')"
_HOLD_ID = "'hld_' || lpad(p.hold_id::text, 26, '0')"
_REFERENCE = f"'call:' || {_CALL_ID}"
# What differs from the real call's row, by column.
_COPIES: tuple[tuple[str, dict[str, str]], ...] = (
    ("ledger_hold", {
        "id": "p.hold_id", "public_id": _HOLD_ID, "owner_key": "p.owner_key",
        "idempotency_scope": "'call:' || p.key_public_id", "idempotency_key": _CALL_ID,
        "amount_millitokens": "p.cost", "captured_millitokens": "p.cost",
        "reference": _REFERENCE, "placed_at": "p.at", "resolved_at": "p.at",
        "expires_at": "p.at + interval '5 minutes'",
    }),
    ("ledger_holdpart", {
        "id": "p.part_id", "hold_id": "p.hold_id", "wallet_id": "p.wallet_id",
        "amount_millitokens": "p.cost",
    }),
    ("ledger_transaction", {
        "id": "p.transaction_id", "public_id": "'txn_' || lpad(p.transaction_id::text, 26, '0')",
        "idempotency_key": _HOLD_ID, "hold_id": "p.hold_id", "reference": _REFERENCE,
        "effective_at": "p.at", "recorded_at": "p.at",
    }),
    ("ledger_entry", {
        "id": "p.entry_id - 2 + t.line", "transaction_id": "p.transaction_id",
        "debit_account_id": "p.account_id", "wallet_id": "p.wallet_id",
        "amount_millitokens": "CASE t.line WHEN 1 THEN p.share ELSE p.cost - p.share END",
        "wallet_seq": "p.seq + t.line",
        "wallet_after_millitokens":
            "p.posted - p.so_far + CASE t.line WHEN 1 THEN p.cost - p.share ELSE 0 END",
    }),
    ("ledger_lotburn", {
        "id": "p.burn_id", "transaction_id": "p.transaction_id", "lot_id": "p.lot_id",
        "amount_millitokens": "p.cost",
    }),
    ("metering_call", {
        "id": "p.id", "public_id": _CALL_ID, "organisation_id": "p.organisation_id",
        "api_key_id": "p.key_id", "hold_id": "p.hold_id", "completion_tokens": "p.tokens",
        "cost_millitokens": "p.cost", "share_millitokens": "p.share",
        "commission_millitokens": "p.cost - p.share", "started_at": "p.at", "ended_at": "p.at",
        "rolled_up": "true",
    }),
    ("metering_usageevent", {
        "id": "p.event_id", "event_id": _CALL_ID, "call_id": "p.id",
        "payload_hash": f"encode(sha256(('{_PROMPT_TOKENS}:0:' || p.tokens)::bytea), 'hex')",
        "completion_tokens": "p.tokens", "occurred_at": "p.at", "received_at": "p.at",
    }),
    ("metering_usagecharge", {
        "id": "p.charge_id", "event_id": "p.event_id", "transaction_id": "p.transaction_id",
        "amount_millitokens": "p.cost",
    }),
)  # fmt: skip
_TEMPLATE_ROWS = {
    "ledger_hold": "id = %(hold)s",
    "ledger_holdpart": "hold_id = %(hold)s",
    "ledger_transaction": "hold_id = %(hold)s",
    "ledger_entry": "transaction_id = (SELECT id FROM ledger_transaction WHERE hold_id = %(hold)s)",
    "ledger_lotburn": "transaction_id = "
    "(SELECT id FROM ledger_transaction WHERE hold_id = %(hold)s)",
    "metering_call": "id = %(call)s",
    "metering_usageevent": "call_id = %(call)s",
    "metering_usagecharge": "event_id = "
    "(SELECT id FROM metering_usageevent WHERE call_id = %(call)s)",
}
_BALANCES = (
    """
    UPDATE ledger_wallet w SET posted_millitokens = posted_millitokens - s.cost, seq = s.seq + 2
    FROM (SELECT wallet_id, max(so_far) AS cost, max(seq) AS seq FROM plan GROUP BY wallet_id) s
    WHERE w.id = s.wallet_id
    """,
    """
    UPDATE ledger_lot l SET remaining_millitokens = remaining_millitokens - s.cost
    FROM (SELECT lot_id, max(so_far) AS cost FROM plan GROUP BY lot_id) s WHERE l.id = s.lot_id
    """,
)


def make_tenants(count: int) -> Call:
    """So many tenants, each with a key, a wallet and one lot; returns the one real call.

    It was all a day before the oldest call that ``fill_book`` adds.
    """
    with time_machine.travel(utc_now() - timedelta(days=DAYS + 1), tick=True):
        service = make_live_service(make_provider("Benchmark"), make_model())
        first = make_organisation("Tenant 0")
        owner = User.objects.get(email=first.billing_email)
        now = utc_now()
        _batch, [code] = billing.create_vouchers(
            name="Benchmark",
            codes=1,
            millitokens=MILLION_TOKENS,
            redeemable_until=now + timedelta(days=1),
            uses_per_code=count,
            user=owner,
            actor=SYSTEM_ACTOR,
            now=now,
        )
        redeem = partial(billing.redeem_voucher, user=owner, code=code, actor=SYSTEM_ACTOR, now=now)
        redeem(organisation=first)
        _key, secret = make_key(first)
        call = make_call(secret, service, prompt_tokens=_PROMPT_TOKENS)
        metering.roll_up_usage(now=utc_now())
        for number in range(1, count):
            organisation = Organisation.objects.create(
                name=f"Tenant {number}", slug=f"tenant{number}", billing_email=owner.email
            )
            redeem(organisation=organisation)
            make_key(organisation, created_by=owner)
    return call


def fill_book(call: Call, *, entries: int, of: int) -> None:
    """Add calls until there are so many entries; with ``of`` entries, they reach from 90 days ago
    until now."""
    before = Entry.objects.count() // ENTRIES_PER_CALL
    plan = {
        "before": before,
        "calls": entries // ENTRIES_PER_CALL - before,
        "in_all": of // ENTRIES_PER_CALL,
        "days": DAYS,
        "prompt_cost": _PROMPT_TOKENS * 200,
    }
    with connection.cursor() as cursor:
        with atomic():
            # For so many rows at once it would take minutes; check 5 looks at the same.
            cursor.execute("ALTER TABLE ledger_entry DISABLE TRIGGER ledger_entry_joins")
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(_PLAN, plan)
            for table, changes in _COPIES:
                cursor.execute(_copy(table, changes), {"hold": call.hold_id, "call": call.pk})
            for statement in _BALANCES:
                cursor.execute(statement)
            cursor.execute("DROP TABLE plan")
            cursor.execute("ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER ledger_entry_joins")
        for table in (name for name, _changes in _COPIES):
            cursor.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"  # noqa: S608 (our own names)
            )
            cursor.execute(f"VACUUM ANALYZE {table}")
        cursor.execute("VACUUM ANALYZE ledger_wallet")
        store_totals(cursor)


def _copy(table: str, changes: Mapping[str, str]) -> str:
    """The statement that multiplies the real call's rows of this table by the plan."""
    with connection.cursor() as cursor:
        table_columns = connection.introspection.get_table_description(cursor, table)
    names = [column.name for column in table_columns if column.name not in _MADE_BY_DEFAULT]
    unknown = changes.keys() - set(names)
    assert not unknown, f"{table} has no {unknown}"
    values = ", ".join(changes.get(name, f"t.{name}") for name in names)
    return (
        f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} "  # noqa: S608 (our own names)
        f"FROM plan p, {table} t WHERE t.{_TEMPLATE_ROWS[table]}"
    )
