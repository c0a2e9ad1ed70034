"""The only writer of balances. Every function takes keyword arguments or sequences, is one commit
(or joins the caller's), and answers instead of raising where a refusal is ordinary.

Rows are locked in the order holds, wallets, limits, each by ascending id; see docs/money.md.
"""

from marketplace.ledger.services.broken_seals import BrokenSeal, find_broken_seals
from marketplace.ledger.services.captures import UnknownHold, capture_holds
from marketplace.ledger.services.commands import (
    BASIS_POINTS,
    OPERATOR,
    Beside,
    CaptureRequest,
    CaptureResult,
    Credit,
    ExpiredHold,
    ExpiredLot,
    GrantResult,
    HoldRequest,
    HoldResult,
    LimitDemand,
    Move,
    PostResult,
    PurchaseReversal,
)
from marketplace.ledger.services.debts import (
    DEBT_FREEZE,
    MoreThanOwed,
    clear_debt,
    keep_debt_freeze,
)
from marketplace.ledger.services.extensions import extend_holds
from marketplace.ledger.services.freezes import freeze_wallet, lift_freeze
from marketplace.ledger.services.grants import GrantedDifferently, WalletFull, grant_lot
from marketplace.ledger.services.heads import (
    Head,
    HeadsDisagree,
    append_heads,
    confirm_heads_file,
    deliver_heads,
    find_missing_heads,
    find_newest_head,
    parse_head,
)
from marketplace.ledger.services.holds import place_holds
from marketplace.ledger.services.latest_states import SealsDisagree
from marketplace.ledger.services.limits import change_limit, open_limit
from marketplace.ledger.services.lot_expiry import expire_lots
from marketplace.ledger.services.postings import (
    PostedDifferently,
    post_transaction,
)
from marketplace.ledger.services.proof import stream_proof
from marketplace.ledger.services.quick_hold import can_place_at_once, place_at_once
from marketplace.ledger.services.refunds import UnknownPurchase, reverse_purchase
from marketplace.ledger.services.releases import expire_holds, release_holds
from marketplace.ledger.services.repairs import free_stray_reservation
from marketplace.ledger.services.reversals import (
    NotReversible,
    UnknownTransaction,
    reverse_transaction,
)
from marketplace.ledger.services.sealing import seal_entries
from marketplace.ledger.services.verification import Equation, Verification, verify_ledger
from marketplace.ledger.sql import Call, Row, StateChanged, Statement, run_together
from marketplace.ledger.watch import LedgerUnguarded, refuse_when_unguarded

__all__ = [
    "BASIS_POINTS",
    "DEBT_FREEZE",
    "OPERATOR",
    "Beside",
    "BrokenSeal",
    "Call",
    "CaptureRequest",
    "CaptureResult",
    "Credit",
    "Equation",
    "ExpiredHold",
    "ExpiredLot",
    "GrantResult",
    "GrantedDifferently",
    "Head",
    "HeadsDisagree",
    "HoldRequest",
    "HoldResult",
    "LedgerUnguarded",
    "LimitDemand",
    "MoreThanOwed",
    "Move",
    "NotReversible",
    "PostResult",
    "PostedDifferently",
    "PurchaseReversal",
    "Row",
    "SealsDisagree",
    "StateChanged",
    "Statement",
    "UnknownHold",
    "UnknownPurchase",
    "UnknownTransaction",
    "Verification",
    "WalletFull",
    "append_heads",
    "can_place_at_once",
    "capture_holds",
    "change_limit",
    "clear_debt",
    "confirm_heads_file",
    "deliver_heads",
    "expire_holds",
    "expire_lots",
    "extend_holds",
    "find_broken_seals",
    "find_missing_heads",
    "find_newest_head",
    "free_stray_reservation",
    "freeze_wallet",
    "grant_lot",
    "keep_debt_freeze",
    "lift_freeze",
    "open_limit",
    "parse_head",
    "place_at_once",
    "place_holds",
    "post_transaction",
    "refuse_when_unguarded",
    "release_holds",
    "reverse_purchase",
    "reverse_transaction",
    "run_together",
    "seal_entries",
    "stream_proof",
    "verify_ledger",
]
