"""Check 11: usage events that were reported again with other content, and wait in quarantine; and
whether all that were counted are still there."""

from django.db.backends.utils import CursorWrapper
from django.utils.translation import gettext_lazy as _

from marketplace.reconciliation.checks.base import (
    Action,
    Check,
    Examined,
    Scope,
    count_rows,
    find_differences,
)

NUMBER = 11

# What a person has resolved is not brought up again, unless it is said once more.
_CONTRADICTIONS = """
SELECT 'call:' || c.public_id AS subject, c.cost_millitokens AS at_stake, NULL AS wallet_id,
       q.source, q.event_id AS event, q.times, q.last_received_at,
       u.prompt_tokens || '/' || u.cached_tokens || '/' || u.completion_tokens AS charged,
       q.prompt_tokens || '/' || q.cached_tokens || '/' || q.completion_tokens AS reported
FROM partners_quarantinedreport q
JOIN metering_call c ON c.id = q.call_id
LEFT JOIN metering_usageevent u ON u.call_id = c.id
WHERE NOT EXISTS (
    SELECT 1 FROM reconciliation_finding f
    WHERE f.check_number = %s AND f.state = 'resolved' AND f.resolved_at >= q.last_received_at
      AND f.subject = 'call:' || c.public_id
)
"""

# A report is kept before it is counted.
_KEPT = """
SELECT i.source, SUM(i.quarantined) AS counted,
       COALESCE((SELECT SUM(q.times) FROM partners_quarantinedreport q
                 WHERE q.source = i.source), 0) AS kept
FROM partners_intake i GROUP BY i.source
"""
_GONE = f"""
SELECT 'quarantine:' || sums.source AS subject, 0 AS at_stake, NULL AS wallet_id,
       sums.counted, sums.kept
FROM ({_KEPT}) AS sums WHERE sums.counted > sums.kept
"""  # noqa: S608 (our own text)


def _examine_contradictions(cursor: CursorWrapper, _scope: Scope) -> Examined:
    return Examined(
        count_rows(cursor, "partners_quarantinedreport"),
        [
            *find_differences(cursor, _CONTRADICTIONS, [NUMBER]),
            *find_differences(cursor, _GONE),
        ],
    )


CONTRADICTIONS = Check(
    NUMBER,
    _("No usage event was reported twice with different content"),
    Action.FINDING,
    _examine_contradictions,
)
