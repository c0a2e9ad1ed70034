"""Check 23: the totals that usage pages show are those of the calls that were rolled up."""

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

# A roll-up adds calls to totals and marks them in one commit.
_TOTALS = """
SELECT 'total:' || o.public_id || ':' || s.public_id || ':' || sums.unit || ':' || sums.status
           AS subject,
       SUM(sums.cost) AS at_stake, NULL AS wallet_id, SUM(sums.calls) AS calls,
       SUM(sums.cost) AS cost, SUM(sums.share) AS share, SUM(sums.tokens) AS tokens
FROM (
    SELECT organisation_id, service_id, unit, status, 1 AS calls, cost_millitokens AS cost,
           share_millitokens AS share, prompt_tokens + completion_tokens AS tokens
    FROM metering_call WHERE rolled_up
    UNION ALL
    SELECT organisation_id, service_id, unit, status, -calls, -cost_millitokens,
           -share_millitokens, -prompt_tokens - completion_tokens
    FROM metering_usagetotal
) AS sums
JOIN accounts_organisation o ON o.id = sums.organisation_id
JOIN catalog_service s ON s.id = sums.service_id
GROUP BY o.public_id, s.public_id, sums.unit, sums.status
HAVING SUM(sums.calls) <> 0 OR SUM(sums.cost) <> 0 OR SUM(sums.share) <> 0 OR SUM(sums.tokens) <> 0
"""


def _examine_totals(cursor: CursorWrapper, scope: Scope) -> Examined:
    """In full runs only: the sums are over all calls."""
    if scope.since is not None:
        return Examined(0)
    return Examined(count_rows(cursor, "metering_usagetotal"), find_differences(cursor, _TOTALS))


TOTALS = Check(
    23,
    _("Usage totals are those of the calls"),
    Action.FINDING,
    _examine_totals,
    windowed=True,
)
