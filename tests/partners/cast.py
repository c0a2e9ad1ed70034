"""The providers of the suite: rhine (with rosa) and rival (with ron), and what they offer."""

from typing import Any

from accounts.models import Organisation, User
from marketplace.catalog import services as catalog
from marketplace.catalog.models import AIModel, Provider, Service
from portal.kernel.clock import utc_now
from tests.cast import make_organisation, make_person

PRICES: dict[str, Any] = {
    "input_millitokens": 200,
    "cached_input_millitokens": 50,
    "output_millitokens": 800,
    "request_millitokens": 0,
}


def make_model(handle: str = "qwen/qwen3-8b", **fields: Any) -> AIModel:
    known = {
        "name": "Qwen3 8B",
        "family": "qwen3",
        "author": "Qwen",
        "modality": "chat",
        "context_length": 32768,
        "licence_spdx": "Apache-2.0",
    }
    return catalog.save_model(handle=handle, **(known | fields))


def make_provider(name: str) -> Provider:
    """A provider with its own organisation; the owner is owner@<name>.example."""
    organisation = make_organisation(name, owner=make_person(f"owner@{name.lower()}.example"))
    return catalog.create_provider(
        organisation=organisation, name=name, country="DE", now=utc_now()
    )


def owner_of(organisation: Organisation) -> User:
    return organisation.memberships.get(role="owner").user


def make_live_service(provider: Provider, model: AIModel, **terms: Any) -> Service:
    """A priced service that staff have approved."""
    now = utc_now()
    reviewer = User.objects.filter(is_staff=True).first() or make_person(
        "reviewer@market.example", is_staff=True
    )
    prices = {**PRICES, **terms.pop("prices", {})}
    service = catalog.create_service(
        provider=provider,
        model=model,
        now=now,
        **{
            "region": "eu-central",
            "country": "DE",
            "endpoint_url": "https://inference.example.com/v1",
            "credential": "sk-upstream",
            **terms,
        },
    )
    catalog.add_price_version(service=service, effective_at=now, created_by=None, now=now, **prices)
    review = catalog.submit_for_review(service=service, submitted_by_label="provider", now=now)
    catalog.decide_review(review=review, decision="approved", decided_by=reviewer, now=now)
    service.refresh_from_db()
    return service
