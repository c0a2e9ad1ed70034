"""What reported usage became: received = charged + repeated + quarantined + rejected, per source.

Of the gateway, received is every call that ended with counted usage, charged every usage event
with its charge: two rooms' records of one commit. Of a provider, received is counted before a
batch is judged, charged are its usage events since that counting began; what is received and
nothing else was on its way when the snapshot was taken, or its answer was lost and it will be
reported again. So it is never less than what became of it, and no count ever falls.
"""

import json
from datetime import datetime, timedelta

from django.db.backends.utils import CursorWrapper

from marketplace.reconciliation.checks.base import Action, Difference
from marketplace.reconciliation.snapshot import fetch_rows

_GATEWAY = """
SELECT (SELECT COUNT(*) FROM metering_call c
        WHERE c.surface = 'gateway' AND c.status IN ('succeeded', 'client_disconnected')
          AND c.usage_source <> 'none') AS received,
       (SELECT COUNT(*) FROM metering_usageevent u
        JOIN metering_usagecharge g ON g.event_id = u.id WHERE u.source = 'gateway') AS charged
"""
_PROVIDERS = """
WITH intake AS (
    SELECT source, MIN(since) AS since, SUM(received) AS received, SUM(repeated) AS repeated,
           SUM(quarantined) AS quarantined, SUM(rejected) AS rejected
    FROM partners_intake GROUP BY source
)
SELECT i.source, i.received, i.repeated, i.quarantined, i.rejected,
       (SELECT COUNT(*) FROM metering_usageevent u
        JOIN metering_usagecharge g ON g.event_id = u.id
        WHERE u.source = i.source AND u.received_at >= i.since) AS charged
FROM intake i ORDER BY i.source
"""
# Of a few days: what the next run is to see again, it must not compare with the first that saw it.
_LOOK_BACK = timedelta(days=7)
_EARLIER = """
SELECT r.intake FROM reconciliation_run r
WHERE r.kind = 'full' AND r.finished_at IS NOT NULL AND r.started_at >= %s ORDER BY r.id
"""
_NAMES = ("received", "charged", "repeated", "quarantined", "rejected")


def count_intake(cursor: CursorWrapper) -> dict[str, dict[str, int]]:
    """By source of usage; ``unanswered`` is what is received and nothing else."""
    [gateway] = fetch_rows(cursor, _GATEWAY, [])
    rows = {"gateway": gateway, **{r["source"]: r for r in fetch_rows(cursor, _PROVIDERS, [])}}
    return {source: _count(row) for source, row in rows.items()}


def find_lost_counts(
    cursor: CursorWrapper, counted: dict[str, dict[str, int]], now: datetime
) -> list[Difference]:
    """Sources whose counts are lower than a full run had them before, or do not add up."""
    most: dict[str, dict[str, int]] = {}
    for row in fetch_rows(cursor, _EARLIER, [now - _LOOK_BACK]):
        for source, counts in json.loads(row["intake"]).items():
            before = most.setdefault(source, dict.fromkeys(_NAMES, 0))
            before |= {name: max(before[name], counts[name]) for name in _NAMES}
    found = []
    for source in sorted(counted.keys() | most.keys()):
        counts, before = counted.get(source, _count({})), most.get(source, {})
        fell = {name: number for name, number in before.items() if counts[name] < number}
        if fell or counts["unanswered"] < 0:
            figures = {name: str(number) for name, number in counts.items()}
            figures |= {f"{name}_before": str(number) for name, number in fell.items()}
            found.append(Difference(f"intake:{source}", figures, action=Action.FINDING))
    return found


def _count(row: dict[str, object]) -> dict[str, int]:
    counts = {name: int(str(row.get(name, 0))) for name in _NAMES}
    became = sum(counts[name] for name in _NAMES if name != "received")
    return counts | {"unanswered": counts["received"] - became}
