"""A part of check 2: heads of checkpoints that were kept, in the runs' own rows and in the file
outside, against the chain. Who takes the newest checkpoints away, or all, leaves a chain that fits.
"""

from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db.backends.utils import CursorWrapper

from marketplace.ledger import services as ledger
from marketplace.reconciliation.checks.base import Difference, find_differences

NUMBER = 2

# The first that is missed. A loss that a person explained (a restore) is not brought up again.
_HEADS_OF_RUNS = """
SELECT 'heads:runs' AS subject, 0 AS at_stake, NULL AS wallet_id, r.head_number AS number,
       r.head_hash AS hash, r.public_id AS seen_by, r.finished_at AS seen_at
FROM reconciliation_run r
WHERE r.head_number IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM ledger_checkpoint c
                  WHERE c.number = r.head_number AND c.hash = r.head_hash)
  AND NOT EXISTS (SELECT 1 FROM reconciliation_finding f
                  WHERE f.check_number = %s AND f.subject = 'heads:runs'
                    AND f.state = 'resolved' AND f.resolved_at >= r.started_at)
ORDER BY r.head_number, r.id LIMIT 1
"""


def find_missed_heads(cursor: CursorWrapper) -> list[Difference]:
    """Whether each head that a run saw is still in the chain."""
    return find_differences(cursor, _HEADS_OF_RUNS, [NUMBER])


def ask_the_file(_now: datetime) -> list[Difference]:
    """Whether the chain contains the last head that LEDGER_HEADS_FILE has. Not by the snapshot:
    the file may be ahead of it."""
    if not settings.LEDGER_HEADS_FILE:
        return []
    try:
        ledger.confirm_heads_file(Path(settings.LEDGER_HEADS_FILE))
    except (ledger.HeadsDisagree, ValueError, OSError) as error:
        return [Difference("heads:file", {"reason": str(error)})]
    return []
