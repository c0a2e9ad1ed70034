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

# A roll-up adds calls to totals and marks them in one commit. Not by member: a key can be handed
# over within a quarter of an hour, and its row keeps the first one's name.
_TOTALS = """
SELECT 'total:' || COALESCE(s.public_id, '') || ':' || COALESCE(k.public_id, '') || ':'
           || sums.unit || ':' || sums.status AS subject,
       SUM(sums.cost) AS at_stake, NULL AS wallet_id, SUM(sums.calls) AS calls,
       SUM(sums.cost) AS cost, SUM(sums.share) AS share, SUM(sums.prompt) AS prompt,
       SUM(sums.cached) AS cached, SUM(sums.completion) AS completion
FROM (
    SELECT organisation_id, service_id, api_key_id, unit, status, 1 AS calls,
           cost_millitokens AS cost, share_millitokens AS share, prompt_tokens AS prompt,
           cached_tokens AS cached, completion_tokens AS completion
    FROM metering_call WHERE rolled_up
    UNION ALL
    SELECT organisation_id, service_id, api_key_id, unit, status, -calls, -cost_millitokens,
           -share_millitokens, -prompt_tokens, -cached_tokens, -completion_tokens
    FROM metering_usagetotal
) AS sums
LEFT JOIN catalog_service s ON s.id = sums.service_id
LEFT JOIN accounts_apikey k ON k.id = sums.api_key_id
GROUP BY sums.organisation_id, s.public_id, k.public_id, sums.unit, sums.status
HAVING SUM(sums.calls) <> 0 OR SUM(sums.cost) <> 0 OR SUM(sums.share) <> 0
    OR SUM(sums.prompt) <> 0 OR SUM(sums.cached) <> 0 OR SUM(sums.completion) <> 0
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
