"""Packs, orders, attempts to pay, the inbox of payment events, strays, documents, the sandbox.

Money is an integer in the currency's minor unit. Tokens are millitokens.
"""

from marketplace.billing.models.documents import Document, DocumentCounter, DocumentKind
from marketplace.billing.models.events import EventCursor, InboxEvent, InboxState
from marketplace.billing.models.orders import (
    CREDITED_ORDER_STATUSES,
    OPEN_ORDER_STATUSES,
    Attempt,
    AttemptState,
    Order,
    OrderStatus,
)
from marketplace.billing.models.packs import Pack, PackPrice
from marketplace.billing.models.sandbox import SandboxEvent, SandboxSession, SandboxState
from marketplace.billing.models.strays import StrayKind, StrayPayment

__all__ = [
    "CREDITED_ORDER_STATUSES",
    "OPEN_ORDER_STATUSES",
    "Attempt",
    "AttemptState",
    "Document",
    "DocumentCounter",
    "DocumentKind",
    "EventCursor",
    "InboxEvent",
    "InboxState",
    "Order",
    "OrderStatus",
    "Pack",
    "PackPrice",
    "SandboxEvent",
    "SandboxSession",
    "SandboxState",
    "StrayKind",
    "StrayPayment",
]
