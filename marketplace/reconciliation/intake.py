"""What reported usage became: received = charged + quarantined + rejected, per source."""

from django.db.backends.utils import CursorWrapper

from marketplace.reconciliation.snapshot import fetch_rows

_CHARGED = """
SELECT u.source, COUNT(*) AS charged FROM metering_usageevent u
JOIN metering_usagecharge g ON g.event_id = u.id
GROUP BY u.source
"""


def count_intake(cursor: CursorWrapper) -> dict[str, dict[str, int]]:
    """By source of usage, since the beginning."""
    return {
        row["source"]: {"charged": int(row["charged"])} for row in fetch_rows(cursor, _CHARGED, [])
    }
