"""The tables of the ledger, the only writer of balances.

Amounts are integers in millitokens (1/1000 wallet token). The ledger knows other rooms only by
strings: ``owner_key`` is an organisation's or provider's public id, ``reference`` is like
``order:ord_…``. What can be declared is declared here, as constraints; immutability is kept by
triggers (see ``ledger.guards``).
"""

from marketplace.ledger.models.checkpoints import (
    Checkpoint,
    HeadDelivery,
    SealedEntry,
    WalletCheckpoint,
)
from marketplace.ledger.models.holds import Hold, HoldLimit, HoldPart, HoldState, Limit
from marketplace.ledger.models.transactions import Entry, LotBurn, Transaction, TransactionKind
from marketplace.ledger.models.wallets import (
    Account,
    AccountKind,
    Freeze,
    Lot,
    LotKind,
    Unit,
    Wallet,
)

__all__ = [
    "Account",
    "AccountKind",
    "Checkpoint",
    "Entry",
    "Freeze",
    "HeadDelivery",
    "Hold",
    "HoldLimit",
    "HoldPart",
    "HoldState",
    "Limit",
    "Lot",
    "LotBurn",
    "LotKind",
    "SealedEntry",
    "Transaction",
    "TransactionKind",
    "Unit",
    "Wallet",
    "WalletCheckpoint",
]
