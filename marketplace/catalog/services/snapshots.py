"""What a review remembers of a listing, and the lock under which listings change."""

from datetime import datetime
from typing import Any

from marketplace.catalog.models import PriceVersion, Service

SNAPSHOT_FIELDS = (
    "endpoint_url", "upstream_model", "region", "country", "quantisation", "context_length",
    "max_output_tokens", "supported_parameters", "cut_stream_billing", "retains_prompts_days",
    "trains_on_data", "summary_en", "summary_zh",
)  # fmt: skip
PRICE_FIELDS = (
    "input_millitokens",
    "cached_input_millitokens",
    "output_millitokens",
    "request_millitokens",
)


def snapshot_of(service: Service, *, now: datetime) -> dict[str, Any]:
    """The listing as JSON: its terms and the price in force, whether it has a credential, never
    the credential itself."""
    price = PriceVersion.objects.filter(service_id=service.pk).in_force(now=now).first()
    return {
        **{field: getattr(service, field) for field in SNAPSHOT_FIELDS},
        "has_credential": bool(service.credential),
        "price": {field: getattr(price, field) for field in PRICE_FIELDS} if price else None,
    }


def lock_service(service: Service) -> Service:
    """A fresh copy of the row, locked until the end of the transaction (SQLite: all of it is)."""
    return (
        Service.objects.select_for_update(of=("self",))
        .select_related("model", "provider")
        .get(pk=service.pk)
    )
