"""Check 12: calls of direct mode that look like one call reported twice.

Two events with the same key, service and quantities within seconds can be two calls; many of them
on a day are worth a question to the provider. One finding per service, key and day.
"""

from datetime import timedelta

from django.db.backends.utils import CursorWrapper
from django.utils.translation import gettext_lazy as _

from marketplace.reconciliation.checks.base import (
    Action,
    Check,
    Examined,
    Scope,
    find_differences,
)
from marketplace.reconciliation.snapshot import fetch_rows

NUMBER = 12
LOOK_BACK = timedelta(days=7)

# What a person has resolved is not brought up again; what came later is.
_NEAR_DUPLICATES = """
WITH direct AS (
    SELECT c.public_id, c.service_id, c.api_key_id, c.cost_millitokens AS cost, u.occurred_at,
           u.received_at,
           LAG(u.occurred_at) OVER alike AS before_at, LAG(c.public_id) OVER alike AS before_id
    FROM metering_usageevent u JOIN metering_call c ON c.id = u.call_id
    WHERE u.id > %s AND u.received_at >= %s AND c.surface = 'direct' AND c.unit = 'live'
      AND c.cost_millitokens > 0
    WINDOW alike AS (PARTITION BY c.service_id, c.api_key_id, u.prompt_tokens, u.cached_tokens,
                     u.completion_tokens ORDER BY u.occurred_at, u.id)
)
SELECT 'service:' || s.public_id || ':' || k.public_id || ':' || {day} AS subject,
       SUM(d.cost) AS at_stake, NULL AS wallet_id, s.handle AS service, k.name AS key,
       COUNT(*) AS repeats, MIN(d.before_id) AS first_call, MIN(d.public_id) AS its_repeat
FROM direct d
JOIN catalog_service s ON s.id = d.service_id
JOIN accounts_apikey k ON k.id = d.api_key_id
WHERE {gap} <= 5 AND NOT EXISTS (
    SELECT 1 FROM reconciliation_finding f
    WHERE f.check_number = %s AND f.state = 'resolved' AND f.resolved_at >= d.received_at
      AND f.subject = 'service:' || s.public_id || ':' || k.public_id || ':' || {day}
)
GROUP BY s.public_id, s.handle, k.public_id, k.name, {day}
"""
_BY_VENDOR = {
    "postgresql": {
        "day": "to_char(d.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
        "gap": "EXTRACT(EPOCH FROM d.occurred_at - d.before_at)",
    },
    "sqlite": {
        "day": "date(d.occurred_at)",
        "gap": "(julianday(d.occurred_at) - julianday(d.before_at)) * 86400",
    },
}


def _examine_repeats(cursor: CursorWrapper, scope: Scope) -> Examined:
    sql, floor = _NEAR_DUPLICATES, scope.after("metering_usageevent")
    for name, expression in _BY_VENDOR[cursor.db.vendor].items():
        sql = sql.replace(f"{{{name}}}", expression)
    since = scope.now - LOOK_BACK
    looked_at = fetch_rows(
        cursor,
        "SELECT COUNT(*) AS n FROM metering_usageevent u JOIN metering_call c ON c.id = u.call_id"
        " WHERE u.id > %s AND u.received_at >= %s AND c.surface = 'direct'",
        [floor, since],
    )
    return Examined(int(looked_at[0]["n"]), find_differences(cursor, sql, [floor, since, NUMBER]))


REPEATS = Check(
    NUMBER,
    _("No call of direct mode looks like a repeat of another"),
    Action.FINDING,
    _examine_repeats,
    windowed=True,
)
