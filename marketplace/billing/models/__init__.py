"""Packs, orders, attempts to pay, the inbox of payment events, strays, refunds, disputes,
documents, fapiao, vouchers, purchase requests, bank transfers, automatic top-up, the sandbox.

Money is an integer in the currency's minor unit. Tokens are millitokens.
"""

from marketplace.billing.models.attempts import Attempt, AttemptState
from marketplace.billing.models.disputes import (
    UNDECIDED_STATES,
    WITHDRAWN_STATES,
    Dispute,
    DisputeState,
)
from marketplace.billing.models.documents import Document, DocumentCounter, DocumentKind
from marketplace.billing.models.events import EventCursor, InboxEvent, InboxState
from marketplace.billing.models.fapiao import (
    FAPIAO_CURRENCY,
    ISSUED_STATES,
    KEPT_MINOR,
    WAITING_STATES,
    Fapiao,
    FapiaoKind,
    FapiaoLine,
    FapiaoState,
    RedLetter,
    kept_minor,
)
from marketplace.billing.models.movements import MoneyMovement, MovementCursor, MovementKind
from marketplace.billing.models.orders import (
    CREDITED_ORDER_STATUSES,
    OPEN_ORDER_STATUSES,
    Order,
    OrderStatus,
)
from marketplace.billing.models.packs import Pack, PackPrice
from marketplace.billing.models.purchase_requests import PurchaseRequest, PurchaseState
from marketplace.billing.models.refunds import (
    OPEN_REQUEST_STATES,
    Refund,
    RefundRequest,
    RefundState,
    RequestState,
)
from marketplace.billing.models.sandbox import (
    SandboxCard,
    SandboxDispute,
    SandboxEvent,
    SandboxMovement,
    SandboxRefund,
    SandboxSession,
    SandboxState,
)
from marketplace.billing.models.strays import StrayKind, StrayPayment
from marketplace.billing.models.top_ups import RuleEnd, SavedCard, TopUpRule
from marketplace.billing.models.transfers import (
    BankPayback,
    BankTransfer,
    PaybackState,
    TransferSlip,
)
from marketplace.billing.models.vouchers import Voucher, VoucherBatch, VoucherRedemption

__all__ = [
    "CREDITED_ORDER_STATUSES",
    "FAPIAO_CURRENCY",
    "ISSUED_STATES",
    "KEPT_MINOR",
    "OPEN_ORDER_STATUSES",
    "OPEN_REQUEST_STATES",
    "UNDECIDED_STATES",
    "WAITING_STATES",
    "WITHDRAWN_STATES",
    "Attempt",
    "AttemptState",
    "BankPayback",
    "BankTransfer",
    "Dispute",
    "DisputeState",
    "Document",
    "DocumentCounter",
    "DocumentKind",
    "EventCursor",
    "Fapiao",
    "FapiaoKind",
    "FapiaoLine",
    "FapiaoState",
    "InboxEvent",
    "InboxState",
    "MoneyMovement",
    "MovementCursor",
    "MovementKind",
    "Order",
    "OrderStatus",
    "Pack",
    "PackPrice",
    "PaybackState",
    "PurchaseRequest",
    "PurchaseState",
    "RedLetter",
    "Refund",
    "RefundRequest",
    "RefundState",
    "RequestState",
    "RuleEnd",
    "SandboxCard",
    "SandboxDispute",
    "SandboxEvent",
    "SandboxMovement",
    "SandboxRefund",
    "SandboxSession",
    "SandboxState",
    "SavedCard",
    "StrayKind",
    "StrayPayment",
    "TopUpRule",
    "TransferSlip",
    "Voucher",
    "VoucherBatch",
    "VoucherRedemption",
    "kept_minor",
]
