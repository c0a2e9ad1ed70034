"""Check 10: a sample of charges, rated again with their stored prices and digested again."""

import hashlib
from typing import Any

from django.conf import settings
from django.db.backends.utils import CursorWrapper
from django.utils.translation import gettext_lazy as _

from marketplace.catalog.pricing import PriceSnapshot, charge
from marketplace.reconciliation.checks.base import Action, Check, Difference, Examined, Scope
from marketplace.reconciliation.snapshot import fetch_rows

NUMBER = 10

_CHARGE = """
SELECT 'call:' || c.public_id AS subject, c.uncovered_millitokens AS uncovered,
       g.amount_millitokens AS charged, u.payload_hash, u.prompt_tokens, u.cached_tokens,
       u.completion_tokens, v.id AS price_pk, v.public_id AS price, v.input_millitokens AS input,
       v.cached_input_millitokens AS cached_input, v.output_millitokens AS output,
       v.request_millitokens AS request,
       (SELECT MIN(p.wallet_id) FROM ledger_holdpart p WHERE p.hold_id = c.hold_id) AS wallet_id
FROM metering_usagecharge g
JOIN metering_usageevent u ON u.id = g.event_id
JOIN metering_call c ON c.id = u.call_id
JOIN catalog_priceversion v ON v.id = g.price_version_id
WHERE c.hold_id IS NOT NULL AND
"""
# Each is at least the first one at or after its number, so gaps in ids do not matter.
_FIRST_FROM = "u.id = (SELECT MIN(e.id) FROM metering_usageevent e WHERE e.id >= %s)"
_SUSPECTED = """
'call:' || c.public_id IN (SELECT f.subject FROM reconciliation_finding f
                           WHERE f.check_number = %s AND f.state <> 'resolved')
"""


def _examine_sample(cursor: CursorWrapper, scope: Scope) -> Examined:
    """What was found before is looked at again, whatever the dice say."""
    rows = {row["subject"]: row for row in fetch_rows(cursor, _CHARGE + _SUSPECTED, [NUMBER])}
    for event_pk in _throw(cursor, scope):
        for row in fetch_rows(cursor, _CHARGE + _FIRST_FROM, [event_pk]):
            rows[row["subject"]] = row
    differences = [found for row in rows.values() for found in _rate(row)]
    return Examined(len(rows), differences)


def _throw(cursor: CursorWrapper, scope: Scope) -> list[int]:
    """Event ids within the scope, spread evenly by the run's own seed; all where they are few."""
    floor = scope.after("metering_usageevent")
    bounds = fetch_rows(
        cursor,
        "SELECT COALESCE(MIN(id), 0) AS low, COALESCE(MAX(id), -1) AS high"
        " FROM metering_usageevent WHERE id > %s",
        [floor],
    )[0]
    low, high, size = int(bounds["low"]), int(bounds["high"]), settings.RECONCILE_SAMPLE
    if high - low < size:
        return list(range(low, high + 1))
    return sorted({low + _die(scope.seed, n) % (high - low + 1) for n in range(size)})


def _die(seed: str, number: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{number}".encode()).digest()[:8])


def _rate(row: dict[str, Any]) -> list[Difference]:
    quantities = {name: int(row[name]) for name in _QUANTITIES}
    price = PriceSnapshot(
        price_version_pk=row["price_pk"],
        public_id=row["price"],
        input_millitokens=int(row["input"]),
        cached_input_millitokens=int(row["cached_input"]),
        output_millitokens=int(row["output"]),
        request_millitokens=int(row["request"]),
    )
    charged, uncovered = int(row["charged"]), int(row["uncovered"])
    try:
        rated = charge(price, **quantities)
    except ValueError:  # quantities that cannot be
        rated = 0
    digest = hashlib.sha256(":".join(map(str, quantities.values())).encode()).hexdigest()
    if rated == charged + uncovered and digest == row["payload_hash"]:
        return []
    return [
        Difference(
            row["subject"],
            {
                "price": row["price"],
                "rated": str(rated),
                "charged": str(charged),
                "uncovered": str(uncovered),
                "digest": "same" if digest == row["payload_hash"] else "another",
                **{name: str(quantity) for name, quantity in quantities.items()},
            },
            abs(rated - charged - uncovered),
            row["wallet_id"],
        )
    ]


_QUANTITIES = ("prompt_tokens", "cached_tokens", "completion_tokens")

RATING = Check(
    NUMBER,
    _("A sample of charges, rated again with their stored prices, comes to the same"),
    Action.FINDING,
    _examine_sample,
    windowed=True,
)
