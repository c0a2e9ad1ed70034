"""Checks 8 and 9: usage against charges, and both against what the ledger captured."""

from datetime import datetime

from django.db.backends.utils import CursorWrapper
from django.utils.translation import gettext_lazy as _

from marketplace.metering import services as metering
from marketplace.reconciliation.checks.base import (
    Action,
    Check,
    Difference,
    Examined,
    Scope,
    count_rows,
    find_differences,
    was_decided,
)

_CHARGES = 9

# Event and charge are one commit, so no snapshot may show one without the other. The charge can be
# written again when the capture is there and the call says the same amount.
_EVENTS_WITHOUT_CHARGE = """
SELECT 'call:' || c.public_id AS subject, c.cost_millitokens AS at_stake,
       (SELECT MIN(p.wallet_id) FROM ledger_holdpart p WHERE p.hold_id = c.hold_id) AS wallet_id,
       u.source, u.event_id AS event, 'missing' AS charge, c.cost_millitokens AS cost,
       COALESCE(h.captured_millitokens, 0) AS captured
FROM metering_usageevent u
JOIN metering_call c ON c.id = u.call_id
LEFT JOIN ledger_hold h ON h.id = c.hold_id
WHERE u.id > %s AND NOT EXISTS (SELECT 1 FROM metering_usagecharge g WHERE g.event_id = u.id)
  AND {holds}
"""
_REPLAYABLE = "c.cost_millitokens = COALESCE(h.captured_millitokens, 0)"

# Every capture is of a call. A captured hold, its capture's entries out of wallets, its call and
# the call's charge must all name one amount, what the provider got must be the call's share, and
# nothing may go elsewhere.
# What the operator bore left no wallet: it is the call's uncovered amount.
_CAPTURED_AGAINST_CHARGED = """
WITH taken AS (
    SELECT t.id, t.hold_id,
           SUM(CASE WHEN d.kind = 'wallet' THEN e.amount_millitokens ELSE 0 END) AS total,
           SUM(CASE WHEN d.kind = 'wallet' THEN 0 ELSE e.amount_millitokens END) AS borne,
           SUM(CASE WHEN c.kind = 'payable' THEN e.amount_millitokens ELSE 0 END) AS paid,
           SUM(CASE WHEN c.kind IN ('payable', 'commission') THEN e.amount_millitokens
               ELSE 0 END) AS owed,
           MIN(CASE WHEN c.kind IN ('payable', 'suspense') THEN c.owner_key END) AS payee,
           MAX(CASE WHEN c.kind IN ('payable', 'suspense') THEN c.owner_key END) AS other_payee,
           SUM(CASE WHEN e.wallet_id IS NOT NULL AND NOT EXISTS (
                   SELECT 1 FROM ledger_wallet w
                   WHERE w.id = e.wallet_id AND w.owner_key = h.owner_key AND w.unit = h.unit)
               THEN 1 ELSE 0 END) AS others,
           MIN(e.wallet_id) AS wallet_id
    FROM ledger_transaction t
    JOIN ledger_hold h ON h.id = t.hold_id
    JOIN ledger_entry e ON e.transaction_id = t.id
    JOIN ledger_account d ON d.id = e.debit_account_id
    JOIN ledger_account c ON c.id = e.credit_account_id
    WHERE t.id > %s AND t.kind = 'capture'
    GROUP BY t.id, t.hold_id
)
SELECT 'hold:' || h.public_id AS subject,
       GREATEST(h.captured_millitokens, taken.total, COALESCE(g.amount_millitokens, 0))
       - LEAST(h.captured_millitokens, taken.total, COALESCE(g.amount_millitokens, 0)) AS at_stake,
       taken.wallet_id, h.reference, h.captured_millitokens AS captured, taken.total AS taken,
       COALESCE(g.amount_millitokens, 0) AS charged, c.share_millitokens AS share, taken.paid,
       c.uncovered_millitokens AS uncovered, taken.borne, taken.others AS wallets_of_others,
       taken.payee, p.public_id AS provider
FROM taken
JOIN ledger_hold h ON h.id = taken.hold_id
LEFT JOIN metering_call c ON c.hold_id = h.id
LEFT JOIN catalog_service s ON s.id = c.service_id
LEFT JOIN catalog_provider p ON p.id = s.provider_id
LEFT JOIN metering_usageevent u ON u.call_id = c.id
LEFT JOIN metering_usagecharge g ON g.event_id = u.id
WHERE h.captured_millitokens <> taken.total OR taken.others > 0
   OR c.id IS NULL OR u.id IS NULL
   OR (g.id IS NULL AND c.cost_millitokens <> taken.total)
   OR g.amount_millitokens <> taken.total
   OR (g.id IS NOT NULL AND (g.transaction_id IS NULL) <> (taken.total = 0))
   OR g.transaction_id <> taken.id
   OR (c.commission_basis_points > 0 AND c.unit = 'live' AND NOT (
       taken.paid * 10000 <= taken.owed * (10000 - c.commission_basis_points)
       AND (taken.paid + 1) * 10000 > taken.owed * (10000 - c.commission_basis_points)))
   OR c.share_millitokens <> taken.paid OR c.uncovered_millitokens <> taken.borne
   OR taken.payee <> p.public_id OR taken.other_payee <> p.public_id
"""

# A call, its hold, its event and its charge are one record in four rooms.
_CALLS = """
SELECT 'call:' || c.public_id AS subject,
       c.cost_millitokens - COALESCE(g.amount_millitokens, 0) AS at_stake,
       (SELECT MIN(p.wallet_id) FROM ledger_holdpart p WHERE p.hold_id = c.hold_id) AS wallet_id,
       c.status, h.state AS hold, c.cost_millitokens AS cost,
       COALESCE(g.amount_millitokens, 0) AS charged,
       c.prompt_tokens || '/' || c.cached_tokens || '/' || c.completion_tokens AS quantities,
       u.prompt_tokens || '/' || u.cached_tokens || '/' || u.completion_tokens AS event_quantities
FROM metering_call c
LEFT JOIN accounts_organisation o ON o.id = c.organisation_id
LEFT JOIN accounts_apikey k ON k.id = c.api_key_id
LEFT JOIN catalog_service s ON s.id = c.service_id
LEFT JOIN catalog_provider r ON r.id = s.provider_id
LEFT JOIN catalog_priceversion v ON v.id = c.price_version_id
LEFT JOIN ledger_hold h ON h.id = c.hold_id
LEFT JOIN metering_usageevent u ON u.call_id = c.id
LEFT JOIN metering_usagecharge g ON g.event_id = u.id
WHERE (c.id > %s OR c.status = 'open')
  AND (c.cost_millitokens <> COALESCE(g.amount_millitokens, CASE WHEN u.id IS NULL THEN 0
                                                          ELSE c.cost_millitokens END)
    OR c.cost_millitokens <> c.share_millitokens + c.commission_millitokens
    OR (c.cost_millitokens > 0 AND c.status NOT IN ('succeeded', 'client_disconnected'))
    OR (c.hold_id IS NOT NULL AND h.id IS NULL) OR (c.uncovered_millitokens > 0 AND u.id IS NULL)
    OR o.id IS NULL OR k.id IS NULL OR r.id IS NULL OR v.id IS NULL
    OR k.organisation_id <> c.organisation_id OR v.service_id <> c.service_id
    OR (h.id IS NOT NULL AND (h.owner_key <> o.public_id OR h.unit <> c.unit
        OR h.price_version <> v.public_id OR h.reference <> 'call:' || c.public_id
        OR (c.surface = 'gateway' AND (h.idempotency_scope <> 'call:' || k.public_id
            OR h.idempotency_key NOT IN (c.public_id, c.public_id || ':short')))
        OR (c.status = 'open') <> (h.state = 'pending')
        OR (c.status = 'refused') <> (h.state = 'declined')
        OR (c.status = 'lost' AND h.state <> 'expired')
        OR (c.status = 'failed' AND h.state = 'captured')))
    OR (u.id IS NOT NULL AND (u.prompt_tokens <> c.prompt_tokens
        OR u.cached_tokens <> c.cached_tokens OR u.completion_tokens <> c.completion_tokens
        OR c.status NOT IN ('succeeded', 'client_disconnected') OR c.usage_source = 'none'
        OR (u.source = 'gateway' AND u.event_id <> c.public_id)
        OR u.source <> CASE WHEN c.surface = 'direct' THEN 'provider:' || r.public_id
                            ELSE 'gateway' END))
    OR (u.id IS NULL AND c.usage_source <> 'none'
        AND c.status IN ('succeeded', 'client_disconnected'))
    OR (g.id IS NOT NULL AND (g.price_version_id <> c.price_version_id
        OR (g.amount_millitokens = 0) <> (g.transaction_id IS NULL))))
"""

# Hold and call are one commit, so a hold has its call; while it is pending, one that still runs. (A
# captured one is above; of a call that was shortened, the first try leaves a declined one behind.)
_HOLDS_WITHOUT_CALL = """
SELECT 'hold:' || h.public_id AS subject, h.amount_millitokens AS at_stake,
       (SELECT MIN(p.wallet_id) FROM ledger_holdpart p WHERE p.hold_id = h.id) AS wallet_id,
       h.state AS hold, h.reference, c.status AS call
FROM ledger_hold h LEFT JOIN metering_call c ON c.hold_id = h.id
WHERE h.state = 'pending' AND (c.id IS NULL OR c.status <> 'open')
"""
# One that has given its tokens back has cost nobody anything.
_FREED_HOLDS_WITHOUT_CALL = """
SELECT 'hold:' || h.public_id AS subject, 0 AS at_stake, NULL AS wallet_id,
       h.state AS hold, h.reference, h.amount_millitokens AS amount
FROM ledger_hold h
WHERE h.id > %s AND h.state IN ('released', 'expired')
  AND NOT EXISTS (SELECT 1 FROM metering_call c WHERE c.hold_id = h.id)
  AND NOT {decided}
""".replace("{decided}", was_decided(_CHARGES, "'hold:' || h.public_id"))


def _examine_events(cursor: CursorWrapper, scope: Scope) -> Examined:
    floor = scope.after("metering_usageevent")
    replayable = _EVENTS_WITHOUT_CHARGE.replace("{holds}", _REPLAYABLE)
    others = _EVENTS_WITHOUT_CHARGE.replace("{holds}", f"NOT ({_REPLAYABLE})")
    return Examined(
        count_rows(cursor, "metering_usageevent", scope),
        [
            *find_differences(cursor, replayable, [floor]),
            *find_differences(cursor, others, [floor], action=Action.FINDING),
        ],
    )


def _write_charge(difference: Difference, now: datetime) -> str | None:
    call_id = difference.subject.removeprefix("call:")
    written = metering.write_missing_charge(call_id=call_id)
    return None if written is None else f"wrote the charge of {written} millitokens again"


def _examine_charges(cursor: CursorWrapper, scope: Scope) -> Examined:
    captured = _CAPTURED_AGAINST_CHARGED
    if cursor.db.vendor == "sqlite":  # where these two are called otherwise
        captured = captured.replace("GREATEST", "MAX").replace("LEAST", "MIN")
    return Examined(
        count_rows(cursor, "metering_usageevent", scope),
        [
            *find_differences(cursor, captured, [scope.after("ledger_transaction")]),
            *find_differences(cursor, _CALLS, [scope.after("metering_call")]),
            *find_differences(cursor, _HOLDS_WITHOUT_CALL),
            *find_differences(
                cursor,
                _FREED_HOLDS_WITHOUT_CALL,
                [scope.after("ledger_hold")],
                action=Action.FINDING,
            ),
        ],
    )


EVENTS = Check(
    8,
    _("Every usage event was charged"),
    Action.REPAIR,
    _examine_events,
    _write_charge,
    windowed=True,
)
CHARGES = Check(
    _CHARGES,
    _("What was captured equals what was charged, and calls agree with their holds"),
    Action.FREEZE,
    _examine_charges,
    windowed=True,
)
