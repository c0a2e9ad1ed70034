"""Writes of the billing room, by topic: packs, checkout, settlement, strays, inbox, sweeping …"""

from marketplace.billing.services.checkout import (
    DebtOutstanding,
    IdempotencyKeyReused,
    OfferChanged,
    OrderClosed,
    TooManyOpenOrders,
    cancel_order,
    open_payment,
    start_checkout,
)
from marketplace.billing.services.comparing import (
    DisputedOrder,
    UnknownPayment,
    find_disputed_orders,
    find_uncredited_orders,
    find_unknown_payments,
)
from marketplace.billing.services.comparing_reversals import ReversalApart, find_reversals_apart
from marketplace.billing.services.document_mail import mail_due_documents
from marketplace.billing.services.documents import issue_credit_note
from marketplace.billing.services.inbox import Reception, drive_event, drive_inbox, receive_event
from marketplace.billing.services.movements import AccountUnread, read_movements
from marketplace.billing.services.packs import PackRejected, create_pack, find_pack_warnings
from marketplace.billing.services.purchase_requests import (
    FormAlreadySent,
    PurchaseDecided,
    TooManyPurchaseRequests,
    decline_purchase,
    request_purchase,
    withdraw_purchase,
)
from marketplace.billing.services.refunds import (
    AnotherPersonNeeded,
    RefundChanged,
    RefundDecided,
    RefundNotPossible,
    approve_refund,
    decline_refund,
    needs_two,
    request_refund,
    send_due_refunds,
    send_refund,
    withdraw_refund,
)
from marketplace.billing.services.reversing import (
    MoneyBackMismatch,
    settle_reversals,
    sweep_reversals,
)
from marketplace.billing.services.settlement import place_payment, settle_order
from marketplace.billing.services.sweeping import SweepResult, sweep_orders
from marketplace.billing.services.vouchers import (
    VoucherBatchRejected,
    VoucherKeyReused,
    VoucherRefused,
    create_vouchers,
    list_voucher_scopes,
    make_voucher_key,
    redeem_voucher,
    withdraw_vouchers,
)

__all__ = [
    "AccountUnread",
    "AnotherPersonNeeded",
    "DebtOutstanding",
    "DisputedOrder",
    "FormAlreadySent",
    "IdempotencyKeyReused",
    "MoneyBackMismatch",
    "OfferChanged",
    "OrderClosed",
    "PackRejected",
    "PurchaseDecided",
    "Reception",
    "RefundChanged",
    "RefundDecided",
    "RefundNotPossible",
    "ReversalApart",
    "SweepResult",
    "TooManyOpenOrders",
    "TooManyPurchaseRequests",
    "UnknownPayment",
    "VoucherBatchRejected",
    "VoucherKeyReused",
    "VoucherRefused",
    "approve_refund",
    "cancel_order",
    "create_pack",
    "create_vouchers",
    "decline_purchase",
    "decline_refund",
    "drive_event",
    "drive_inbox",
    "find_disputed_orders",
    "find_pack_warnings",
    "find_reversals_apart",
    "find_uncredited_orders",
    "find_unknown_payments",
    "issue_credit_note",
    "list_voucher_scopes",
    "mail_due_documents",
    "make_voucher_key",
    "needs_two",
    "open_payment",
    "place_payment",
    "read_movements",
    "receive_event",
    "redeem_voucher",
    "request_purchase",
    "request_refund",
    "send_due_refunds",
    "send_refund",
    "settle_order",
    "settle_reversals",
    "start_checkout",
    "sweep_orders",
    "sweep_reversals",
    "withdraw_purchase",
    "withdraw_refund",
    "withdraw_vouchers",
]
