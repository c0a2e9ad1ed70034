"""Writes of the billing room, by topic: packs, checkout, settlement, strays, inbox, sweeping …"""

from marketplace.billing.services.checkout import (
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
from marketplace.billing.services.document_mail import mail_due_documents
from marketplace.billing.services.documents import issue_credit_note
from marketplace.billing.services.inbox import Reception, drive_event, drive_inbox, receive_event
from marketplace.billing.services.packs import PackRejected, create_pack, find_pack_warnings
from marketplace.billing.services.settlement import place_payment, settle_order
from marketplace.billing.services.sweeping import SweepResult, sweep_orders

__all__ = [
    "DisputedOrder",
    "IdempotencyKeyReused",
    "OfferChanged",
    "OrderClosed",
    "PackRejected",
    "Reception",
    "SweepResult",
    "TooManyOpenOrders",
    "UnknownPayment",
    "cancel_order",
    "create_pack",
    "drive_event",
    "drive_inbox",
    "find_disputed_orders",
    "find_pack_warnings",
    "find_uncredited_orders",
    "find_unknown_payments",
    "issue_credit_note",
    "mail_due_documents",
    "open_payment",
    "place_payment",
    "receive_event",
    "settle_order",
    "start_checkout",
    "sweep_orders",
]
