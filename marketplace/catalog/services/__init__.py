"""Writes of the catalogue, by topic; called through the module: ``catalog.create_service(…)``."""

from marketplace.catalog.services.checks import (
    EndpointNeedsCredential,
    ListingRejected,
    ServiceRetired,
)
from marketplace.catalog.services.lifecycle import (
    WrongStatus,
    pause_service,
    resume_service,
    retire_service,
)
from marketplace.catalog.services.listings import (
    FREE_FIELDS,
    REVIEWED_FIELDS,
    UnderReview,
    create_service,
    update_service,
)
from marketplace.catalog.services.operator import connect_service, set_commission
from marketplace.catalog.services.prices import (
    PriceRejected,
    PriceRiseNeedsNotice,
    add_price_version,
)
from marketplace.catalog.services.providers import (
    MODEL_FIELDS,
    PROVIDER_FIELDS,
    AlreadyProvider,
    create_provider,
    save_model,
    update_provider,
)
from marketplace.catalog.services.reviews import (
    MayNotReview,
    NotADraft,
    ReviewClosed,
    decide_review,
    submit_for_review,
    withdraw_review,
)
from marketplace.catalog.services.search_index import refresh_search_text

__all__ = [
    "FREE_FIELDS",
    "MODEL_FIELDS",
    "PROVIDER_FIELDS",
    "REVIEWED_FIELDS",
    "AlreadyProvider",
    "EndpointNeedsCredential",
    "ListingRejected",
    "MayNotReview",
    "NotADraft",
    "PriceRejected",
    "PriceRiseNeedsNotice",
    "ReviewClosed",
    "ServiceRetired",
    "UnderReview",
    "WrongStatus",
    "add_price_version",
    "connect_service",
    "create_provider",
    "create_service",
    "decide_review",
    "pause_service",
    "refresh_search_text",
    "resume_service",
    "retire_service",
    "save_model",
    "set_commission",
    "submit_for_review",
    "update_provider",
    "update_service",
    "withdraw_review",
]
