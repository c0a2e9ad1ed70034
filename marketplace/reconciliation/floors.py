"""Where light runs begin to read: ids instead of times, since these tables grow by ids.

A floor is no watermark by max(id): ids commit out of order. It is the id below which everything
was recorded more than the margin before a full run, and that run has read it.
"""

from datetime import datetime

from django.db.backends.utils import CursorWrapper

from marketplace.reconciliation.snapshot import fetch_rows

# The time of each table's rows; the tables that light runs read from their floors on.
_TIMES = {
    "ledger_hold": "placed_at",
    "ledger_transaction": "recorded_at",
    "metering_call": "started_at",
    "metering_usageevent": "received_at",
}


def find_floors(cursor: CursorWrapper, *, before: datetime) -> dict[str, int]:
    """By table, the highest id such that no row up to it was recorded at ``before`` or later."""
    floors = {}
    for table, column in _TIMES.items():
        sql = (
            f"SELECT COALESCE(MIN(CASE WHEN {column} >= %s THEN id END) - 1, MAX(id), 0) AS floor "  # noqa: S608 (our own names)
            f"FROM {table}"
        )
        floors[table] = int(fetch_rows(cursor, sql, [before])[0]["floor"])
    return floors
