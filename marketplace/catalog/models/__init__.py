"""Providers, models, services and their prices; the review of listings."""

from marketplace.catalog.models.ai_models import AIModel, Modality
from marketplace.catalog.models.prices import PriceVersion, PriceVersionQuerySet
from marketplace.catalog.models.providers import Provider
from marketplace.catalog.models.reviews import ReviewDecision, ServiceReview
from marketplace.catalog.models.services import (
    MOST_PER_MINUTE,
    CutStreamBilling,
    Service,
    ServiceQuerySet,
    ServiceStatus,
)
from marketplace.catalog.models.texts import in_reader_language

# Triggers refuse UPDATE, DELETE and TRUNCATE; see portal.kernel.immutability.
IMMUTABLE_TABLES: tuple[str, ...] = ("catalog_priceversion",)

__all__ = [
    "IMMUTABLE_TABLES",
    "MOST_PER_MINUTE",
    "AIModel",
    "CutStreamBilling",
    "Modality",
    "PriceVersion",
    "PriceVersionQuerySet",
    "Provider",
    "ReviewDecision",
    "Service",
    "ServiceQuerySet",
    "ServiceReview",
    "ServiceStatus",
    "in_reader_language",
]
