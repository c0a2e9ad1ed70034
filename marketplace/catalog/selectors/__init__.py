"""Reads of the catalogue, by topic."""

from marketplace.catalog.selectors.callable_services import (
    CallableService,
    find_callable_services,
    forget_callable_services,
    list_callable_services,
)
from marketplace.catalog.selectors.facets import Facet, Option
from marketplace.catalog.selectors.listings import (
    Listing,
    ServiceCard,
    list_cards,
    list_landing_services,
    list_model_services,
    list_provider_listings,
    list_services,
)
from marketplace.catalog.selectors.lookups import (
    ServiceNotFound,
    find_priced_services,
    get_model,
    get_price_in_force,
    get_provider,
    get_provider_for,
    get_provider_service,
    get_review,
    get_review_diff,
    get_service,
    list_open_reviews,
    list_price_versions,
    list_provider_services,
)
from marketplace.catalog.selectors.model_facts import ModelFacts, get_model_facts
from marketplace.catalog.selectors.policies import (
    BrokenRule,
    find_broken_rule,
    get_declared,
    keep_permitted,
)

__all__ = [
    "BrokenRule",
    "CallableService",
    "Facet",
    "Listing",
    "ModelFacts",
    "Option",
    "ServiceCard",
    "ServiceNotFound",
    "find_broken_rule",
    "find_callable_services",
    "find_priced_services",
    "forget_callable_services",
    "get_declared",
    "get_model",
    "get_model_facts",
    "get_price_in_force",
    "get_provider",
    "get_provider_for",
    "get_provider_service",
    "get_review",
    "get_review_diff",
    "get_service",
    "keep_permitted",
    "list_callable_services",
    "list_cards",
    "list_landing_services",
    "list_model_services",
    "list_open_reviews",
    "list_price_versions",
    "list_provider_listings",
    "list_provider_services",
    "list_services",
]
