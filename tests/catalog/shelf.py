"""What stands on the shelf in the catalogue's tests: models, providers, live services."""

from datetime import UTC, datetime
from typing import Any

from accounts.models import User
from marketplace.catalog import services as catalog
from marketplace.catalog.models import AIModel, Provider, Service, ServiceReview
from tests.cast import make_organisation

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
PRICE = {
    "input_millitokens": 200,
    "cached_input_millitokens": 50,
    "output_millitokens": 800,
    "request_millitokens": 0,
}


def make_model(handle: str = "qwen/qwen3-8b", **facts: Any) -> AIModel:
    return catalog.save_model(
        handle=handle,
        **{
            "name": handle.rpartition("/")[2],
            "family": handle.partition("/")[0],
            "author": handle.partition("/")[0],
            "modality": "chat",
            "context_length": 32_768,
            "licence_spdx": "Apache-2.0",
            "tasks": ["writing"],
            **facts,
        },
    )


def make_provider(name: str = "Rhine", **profile: Any) -> Provider:
    return catalog.create_provider(
        organisation=make_organisation(name), name=name, now=NOW, **profile
    )


def get_reviewer() -> User:
    known = User.objects.filter(email="reviewer@market.example").first()
    return known or User.objects.create_user("reviewer@market.example", is_staff=True)


def make_draft(
    provider: Provider, model: AIModel, *, price: dict[str, int] | None = None, **terms: Any
) -> Service:
    """A priced draft."""
    service = catalog.create_service(
        provider=provider,
        model=model,
        **{
            "region": "eu-central",
            "country": "DE",
            "endpoint_url": "https://api.example.com/v1",
            "credential": "sk-upstream",
            "now": NOW,
            **terms,
        },
    )
    add_price(service, **(price or {}), now=terms.get("now", NOW))
    return service


def make_live(
    provider: Provider, model: AIModel, *, price: dict[str, int] | None = None, **terms: Any
) -> Service:
    """A service that staff have approved."""
    service = make_draft(provider, model, price=price, **terms)
    approve(submit(service, now=terms.get("now", NOW)), now=terms.get("now", NOW))
    service.refresh_from_db()
    return service


def add_price(service: Service, *, now: datetime = NOW, **changes: Any) -> Any:
    return catalog.add_price_version(
        service=service,
        **{"effective_at": now, "created_by": None, "now": now, **PRICE, **changes},
    )


def submit(service: Service, *, now: datetime = NOW) -> ServiceReview:
    return catalog.submit_for_review(service=service, submitted_by_label="Rita", now=now)


def approve(review: ServiceReview, *, now: datetime = NOW) -> ServiceReview:
    return catalog.decide_review(
        review=review, decision="approved", decided_by=get_reviewer(), now=now
    )
