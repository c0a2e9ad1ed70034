"""What became of holds that were resolved before they were asked to be captured."""

from collections.abc import Mapping, Sequence

from marketplace.ledger.models import HoldState
from marketplace.ledger.services.commands import CaptureRequest, CaptureResult
from marketplace.ledger.services.draft import hash_request
from marketplace.ledger.services.rows import HoldRow
from marketplace.ledger.sql import Row, Statement, run

_FIND_CAPTURES = Statement(
    """
    SELECT t.hold_id, t.request_hash, t.id, t.public_id,
      SUM(CASE WHEN d.kind = 'promotion' AND c.kind <> 'suspense'
          THEN e.amount_millitokens ELSE 0 END),
      SUM(CASE WHEN c.kind = 'suspense' THEN e.amount_millitokens ELSE 0 END),
      SUM(CASE WHEN c.kind = 'payable' THEN e.amount_millitokens ELSE 0 END)
    FROM {rows} JOIN ledger_transaction t ON t.hold_id = v.hold_id AND t.kind = 'capture'
      JOIN ledger_entry e ON e.transaction_id = t.id
      JOIN ledger_account d ON d.id = e.debit_account_id
      JOIN ledger_account c ON c.id = e.credit_account_id
    GROUP BY t.hold_id, t.request_hash, t.id, t.public_id
    """,
    columns="hold_id bigint",
)
_NO_CAPTURE: Row = ("", None, "", 0, 0, 0)


def hash_capture(request: CaptureRequest) -> str:
    """Tells whether it is the same capture again."""
    return hash_request(
        request.hold_id,
        request.amount_millitokens,
        request.reference,
        request.payee,
        request.share_basis_points,
    )


def find_past_captures(
    holds: Sequence[HoldRow], requests: Mapping[str, CaptureRequest]
) -> dict[str, CaptureResult]:
    """By hold id, for locked holds that can't be captured any more."""
    if not holds:
        return {}
    captures = {row[0]: row[1:] for row in run(_FIND_CAPTURES, [(hold.id,) for hold in holds])}
    results = {}
    for hold in holds:
        request = requests[hold.public_id]
        request_hash, pk, transaction_id, *sums = captures.get(hold.id, _NO_CAPTURE)
        same = request_hash == hash_capture(request)
        if hold.state == HoldState.RELEASED:
            same = not request.amount_millitokens
        uncovered, in_suspense, payable = map(int, sums)
        results[hold.public_id] = CaptureResult(
            "replayed" if same else "already_resolved",
            pk,
            transaction_id,
            hold.captured,
            uncovered,
            in_suspense,
            payable,
        )
    return results
