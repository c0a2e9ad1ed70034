"""A part of check 3: limits of keys, grants and budgets against the holds that count in them. For
a person: a cap that is wrong costs a tenant more than it meant to spend, but nobody's balance.
"""

from datetime import UTC, datetime
from typing import Any

from django.db.backends.utils import CursorWrapper

from marketplace.metering.periods import bound_period, get_zone
from marketplace.reconciliation.checks.base import Action, Difference, Scope, find_differences
from marketplace.reconciliation.snapshot import fetch_rows

_HELD = """
WITH counted AS (
    SELECT x.limit_id, SUM(h.amount_millitokens) AS held
    FROM ledger_hold h JOIN ledger_holdlimit x ON x.hold_id = h.id
    WHERE h.state = 'pending' GROUP BY x.limit_id
)
SELECT 'limit:' || l.subject || ':' || l.id AS subject,
       l.held_millitokens - COALESCE(counted.held, 0) AS at_stake, NULL AS wallet_id,
       l.held_millitokens AS held, COALESCE(counted.held, 0) AS holds
FROM ledger_limit l LEFT JOIN counted ON counted.limit_id = l.id
WHERE l.held_millitokens <> COALESCE(counted.held, 0)
"""
_SPENT = """
WITH counted AS (
    SELECT x.limit_id, SUM(h.captured_millitokens) AS spent
    FROM ledger_holdlimit x JOIN ledger_hold h ON h.id = x.hold_id GROUP BY x.limit_id
)
SELECT 'limit:' || l.subject || ':' || l.id || ':spent' AS subject,
       l.spent_millitokens - COALESCE(counted.spent, 0) AS at_stake, NULL AS wallet_id,
       l.spent_millitokens AS spent, COALESCE(counted.spent, 0) AS captured
FROM ledger_limit l LEFT JOIN counted ON counted.limit_id = l.id
WHERE l.spent_millitokens <> COALESCE(counted.spent, 0)
"""

# A hold counts in the limits of its call's key and grant, and of the budgets of its organisation
# and member: a cap must not start anew under another name. A key's cap is set when the key is made,
# a grant is good from then on, and a budget while all processes know it.
_SUBJECT = "'key:' || k.cap_subject || ':' || k.cap_period"
_OF_BUDGET = "'budget:' || b.public_id || ':' || b.period"
_COUNTS = """c.organisation_id = b.organisation_id AND c.unit = b.unit
    AND (b.member_id IS NULL OR c.member_id = b.member_id)"""
_MEMBERSHIPS = f"""
SELECT 'holdlimit:' || x.id AS subject, COALESCE(h.amount_millitokens, 0) AS at_stake,
       NULL AS wallet_id, l.subject AS limit_subject, l.period_start, k.cap_subject AS key
FROM ledger_holdlimit x
LEFT JOIN ledger_limit l ON l.id = x.limit_id
LEFT JOIN ledger_hold h ON h.id = x.hold_id
LEFT JOIN metering_call c ON c.hold_id = h.id
LEFT JOIN accounts_apikey k ON k.id = c.api_key_id
LEFT JOIN partners_directgrant g ON l.subject = 'grant:' || g.public_id
LEFT JOIN metering_budget b ON l.subject = {_OF_BUDGET}
WHERE l.id IS NULL OR h.id IS NULL OR l.max_millitokens > g.ceiling_millitokens
   OR l.period_start <> g.created_at
   OR (k.id IS NOT NULL AND g.id IS NULL AND b.id IS NULL AND l.subject <> {_SUBJECT})
   OR (b.id IS NOT NULL AND c.id IS NOT NULL AND NOT ({_COUNTS}))
"""  # noqa: S608 (our own text)

# One for each key, however many of its holds are counted nowhere: the limit may be gone.
_UNCOUNTED = f"""
SELECT 'limit:' || missed.name || ':uncounted' AS subject,
       SUM(missed.captured) AS at_stake, NULL AS wallet_id,
       COUNT(*) AS holds, SUM(missed.captured) AS captured, MIN(missed.hold) AS first_hold
FROM (
    SELECT {_SUBJECT} AS name, h.captured_millitokens AS captured, h.public_id AS hold
    FROM accounts_apikey k
    JOIN metering_call c ON c.api_key_id = k.id
    JOIN ledger_hold h ON h.id = c.hold_id
    WHERE k.cap_millitokens IS NOT NULL AND h.state <> 'declined' AND NOT EXISTS (
        SELECT 1 FROM ledger_holdlimit x JOIN ledger_limit l ON l.id = x.limit_id
        WHERE x.hold_id = h.id AND l.subject = {_SUBJECT})
    UNION ALL
    SELECT 'grant:' || k.public_id, h.captured_millitokens, h.public_id
    FROM metering_call c
    JOIN accounts_apikey k ON k.id = c.api_key_id
    JOIN ledger_hold h ON h.id = c.hold_id
    WHERE c.surface = 'direct' AND h.state <> 'declined' AND NOT EXISTS (
        SELECT 1 FROM ledger_holdlimit x JOIN ledger_limit l ON l.id = x.limit_id
        WHERE x.hold_id = h.id AND l.subject LIKE 'grant:%%')
    UNION ALL
    SELECT {_OF_BUDGET}, h.captured_millitokens, h.public_id
    FROM metering_budget b
    JOIN metering_call c ON {_COUNTS} AND c.started_at >= b.counts_all_from
     AND (b.counts_all_until IS NULL OR c.started_at < b.counts_all_until)
    JOIN ledger_hold h ON h.id = c.hold_id
    WHERE h.state <> 'declined' AND NOT EXISTS (
        SELECT 1 FROM ledger_holdlimit x JOIN ledger_limit l ON l.id = x.limit_id
        WHERE x.hold_id = h.id AND l.subject = {_OF_BUDGET})
) AS missed
GROUP BY missed.name
"""  # noqa: S608 (our own text)

# Periods by zone and beginning, with the first and last hold in them: few, however many limits.
_COUNTED = f"""
FROM ledger_limit l
JOIN ledger_holdlimit x ON x.limit_id = l.id
JOIN ledger_hold h ON h.id = x.hold_id
JOIN metering_call c ON c.hold_id = h.id
JOIN accounts_apikey k ON k.id = c.api_key_id
JOIN accounts_organisation o ON o.id = k.organisation_id
LEFT JOIN moved ON moved.organisation_id = o.id
LEFT JOIN metering_budget b ON l.subject = {_OF_BUDGET}
WHERE (l.subject LIKE 'key:%%' OR b.id IS NOT NULL)
"""
_PERIOD = "COALESCE(b.period, k.cap_period)"
# Organisations that were in another zone before.
_MOVED = """
WITH moved AS (
    SELECT DISTINCT a.organisation_id FROM accounts_auditevent a
    WHERE a.action = 'organisation.changed' AND CAST(a.before AS text) LIKE '%%"timezone"%%'
)
"""
_PERIODS = f"""
{_MOVED}
SELECT o.timezone, {_PERIOD} AS period, l.period_start,
       moved.organisation_id IS NOT NULL AS has_moved, MIN(l.id) AS example,
       MIN(h.placed_at) AS first_at, MAX(h.placed_at) AS last_at
{_COUNTED}
GROUP BY o.timezone, {_PERIOD}, l.period_start, moved.organisation_id IS NOT NULL
"""
_OUTSIDE = f"""
{_MOVED}
SELECT 'limit:' || l.subject || ':' || l.id || ':period' AS subject,
       SUM(h.captured_millitokens) AS at_stake, NULL AS wallet_id,
       l.period_start, o.timezone, MIN(h.placed_at) AS first_hold, MAX(h.placed_at) AS last_hold
{_COUNTED}
  AND o.timezone = %s AND {_PERIOD} = %s
  AND l.period_start = (SELECT e.period_start FROM ledger_limit e WHERE e.id = %s)
  AND (moved.organisation_id IS NOT NULL) = %s AND (h.placed_at < %s OR h.placed_at >= %s)
GROUP BY l.id, l.subject, l.period_start, o.timezone
"""  # noqa: S608 (our own text)


def find_odd_limits(cursor: CursorWrapper, scope: Scope) -> list[Difference]:
    """In light runs only what is held, since the rest is over all memberships."""
    found = find_differences(cursor, _HELD, action=Action.FINDING)
    if scope.since is None:
        for sql in (_SPENT, _MEMBERSHIPS, _UNCOUNTED):
            found += find_differences(cursor, sql, action=Action.FINDING)
        found += _find_moved_periods(cursor)
    return found


def _find_moved_periods(cursor: CursorWrapper) -> list[Difference]:
    """Holds that count in a period that is not that of their time: a cap that starts anew."""
    found: list[Difference] = []
    adapt = cursor.db.ops.adapt_datetimefield_value
    for row in fetch_rows(cursor, _PERIODS, []):
        zone, period, has_moved = row["timezone"], row["period"], bool(row["has_moved"])
        began, first, last = map(_read, (row["period_start"], row["first_at"], row["last_at"]))
        start, end = bound_period(period, get_zone(zone), began, by_any_zone=has_moved)
        if not start <= first <= last < end:
            group = [zone, period, row["example"], has_moved, adapt(start), adapt(end)]
            found += find_differences(cursor, _OUTSIDE, group, action=Action.FINDING)
    return found


def _read(moment: Any) -> datetime:
    """SQLite's are in UTC without saying so, and texts where they were computed."""
    moment = moment if isinstance(moment, datetime) else datetime.fromisoformat(moment)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
