"""Check 22: calls whose usage nobody could count, that the operator paid for, or that were lost.

The books are right about them; a person should still know, since they cost the operator, or the
provider its pay. One finding per service, day and reason, however many calls there were.
"""

from datetime import timedelta

from django.db.backends.utils import CursorWrapper
from django.utils.translation import gettext_lazy as _

from marketplace.reconciliation.checks.base import Action, Check, Difference, Examined, Scope
from marketplace.reconciliation.snapshot import fetch_rows

NUMBER = 22
LOOK_BACK = timedelta(days=7)

# What a person has resolved is not brought up again; what came later is.
_DOUBTFUL_CALLS = """
WITH doubtful AS (
    SELECT c.service_id, c.ended_at, c.uncovered_millitokens AS uncovered, c.public_id,
           CASE WHEN c.status = 'lost' THEN 'lost'
                WHEN c.usage_doubt <> '' THEN c.usage_doubt
                ELSE 'beyond_hold' END AS reason
    FROM metering_call c
    WHERE c.ended_at >= %s AND c.unit = 'live'
      AND (c.status = 'lost' OR c.usage_doubt <> '' OR c.uncovered_millitokens > 0)
)
SELECT s.public_id AS service, s.handle, d.reason, {day} AS day, COUNT(*) AS calls,
       SUM(d.uncovered) AS uncovered, MIN(d.public_id) AS first_call
FROM doubtful d JOIN catalog_service s ON s.id = d.service_id
WHERE NOT EXISTS (
    SELECT 1 FROM reconciliation_finding f
    WHERE f.check_number = %s AND f.state = 'resolved' AND f.resolved_at >= d.ended_at
      AND f.subject = 'service:' || s.public_id || ':' || {day} || ':' || d.reason
)
GROUP BY s.public_id, s.handle, d.reason, {day}
"""
_DAYS = {
    "postgresql": "to_char(d.ended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
    "sqlite": "date(d.ended_at)",
}


def _examine_doubts(cursor: CursorWrapper, scope: Scope) -> Examined:
    sql = _DOUBTFUL_CALLS.replace("{day}", _DAYS[cursor.db.vendor])
    rows = fetch_rows(cursor, sql, [scope.now - LOOK_BACK, NUMBER])
    return Examined(
        sum(int(row["calls"]) for row in rows),
        [
            Difference(
                f"service:{row['service']}:{row['day']}:{row['reason']}",
                {
                    "service": row["handle"],
                    "day": row["day"],
                    "reason": row["reason"],
                    "calls": int(row["calls"]),
                    "first_call": row["first_call"],
                },
                int(row["uncovered"]),
            )
            for row in rows
        ],
    )


DOUBTS = Check(
    NUMBER,
    _("No usage is in doubt, beyond its hold, or lost with its process"),
    Action.FINDING,
    _examine_doubts,
)
