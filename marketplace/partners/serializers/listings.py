"""A provider's own listings: details, terms and prices."""

from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from marketplace.catalog.models import (
    MOST_PER_MINUTE,
    CutStreamBilling,
    PriceVersion,
    Service,
    ServiceStatus,
)
from marketplace.catalog.vocabulary import QUANTISATIONS, REGIONS
from portal.kernel.clock import utc_now
from portal.kernel.rest import (
    BooleanField,
    CountField,
    MomentField,
    StrictSerializer,
    TextField,
    TokensField,
)

PRICES_HELP = (
    "Wallet tokens per model token, which is the same figure as tariff currency per 1M tokens."
)


class PricesSerializer(StrictSerializer):
    """Prices per token kind; decimals of at most three places."""

    input = TokensField(source="input_millitokens", help_text=PRICES_HELP)
    cached_input = TokensField(source="cached_input_millitokens", help_text="Prompt from a cache.")
    output = TokensField(source="output_millitokens", required=False, help_text=PRICES_HELP)
    request = TokensField(
        source="request_millitokens", required=False, help_text="Wallet tokens per call."
    )


class PriceChangeSerializer(StrictSerializer):
    """New prices and when they begin; a rise on a live service needs notice."""

    prices = PricesSerializer()
    effective_at = MomentField(
        required=False, help_text="When the prices begin; now when left out."
    )


class PriceVersionSerializer(serializers.Serializer):
    """One immutable version of a service's prices."""

    id = serializers.CharField(source="public_id", help_text="`prc_…`")
    number = serializers.IntegerField()
    effective_at = serializers.DateTimeField()
    prices = PricesSerializer(source="*")
    created_at = serializers.DateTimeField()


class OpenReviewSerializer(serializers.Serializer):
    """What waits for the market's staff."""

    id = serializers.CharField(source="public_id", help_text="`rev_…`")
    submitted_at = serializers.DateTimeField()
    changed_fields = serializers.ListField(
        child=serializers.CharField(),
        help_text="Changes of a live service that wait; empty for a first listing.",
    )


class ListingSerializer(serializers.Serializer):
    """A service as its provider sees it; the credential never leaves."""

    id = serializers.CharField(source="public_id", help_text="`svc_…`")
    handle = serializers.CharField(help_text="What callers name in `model`.")
    model = serializers.CharField(source="model.handle")
    status = serializers.ChoiceField(choices=ServiceStatus.values)
    test = serializers.BooleanField(help_text="A test service serves test keys only.")
    region = serializers.CharField()
    country = serializers.CharField()
    quantisation = serializers.CharField()
    context_length = serializers.IntegerField()
    max_output_tokens = serializers.IntegerField()
    endpoint_url = serializers.CharField()
    upstream_model = serializers.CharField()
    has_credential = serializers.SerializerMethodField()
    supported_parameters = serializers.ListField(child=serializers.CharField())
    cut_stream_billing = serializers.ChoiceField(choices=CutStreamBilling.values)
    requests_per_minute = serializers.IntegerField(allow_null=True)
    tokens_per_minute = serializers.IntegerField(allow_null=True)
    retains_prompts_days = serializers.IntegerField()
    trains_on_data = serializers.BooleanField()
    summary_en = serializers.CharField()
    summary_zh = serializers.CharField()
    prices = serializers.SerializerMethodField()
    review = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    went_live_at = serializers.DateTimeField(allow_null=True)

    def get_has_credential(self, service: Service) -> bool:
        return bool(service.credential)

    @extend_schema_field(PriceVersionSerializer(allow_null=True))
    def get_prices(self, service: Service) -> dict[str, Any] | None:
        """The version in force; null for a listing without prices yet."""
        version = _in_force(service, self.context.get("now") or utc_now())
        return dict(PriceVersionSerializer(version).data) if version else None

    @extend_schema_field(OpenReviewSerializer(allow_null=True))
    def get_review(self, service: Service) -> dict[str, Any] | None:
        open_review = next((r for r in service.reviews.all() if not r.decision), None)
        return dict(OpenReviewSerializer(open_review).data) if open_review else None


def _in_force(service: Service, now: datetime) -> PriceVersion | None:
    """From the prefetched versions, so that a page of listings costs no query each."""
    begun = [version for version in service.price_versions.all() if version.effective_at <= now]
    return max(begun, key=lambda version: (version.effective_at, version.number), default=None)


class ListingTermsSerializer(StrictSerializer):
    """What a provider states of a service; PUT replaces all of it, PATCH what is given."""

    region = serializers.ChoiceField(choices=list(REGIONS))
    country = TextField(min_length=2, max_length=2, help_text="ISO 3166-1 alpha-2.")
    quantisation = serializers.ChoiceField(choices=list(QUANTISATIONS), default="unknown")
    context_length = CountField(
        min_value=1, required=False, help_text="The model's own when left out."
    )
    max_output_tokens = CountField(min_value=1, default=4096)
    endpoint_url = TextField(max_length=300, allow_blank=True, default="")
    credential = TextField(
        max_length=2000,
        allow_blank=True,
        required=False,
        write_only=True,
        help_text="Sent to your endpoint as a bearer token. Kept encrypted, never shown.",
    )
    upstream_model = TextField(max_length=120, allow_blank=True, default="")
    supported_parameters = serializers.ListField(
        child=TextField(max_length=60), max_length=60, default=list
    )
    cut_stream_billing = serializers.ChoiceField(
        choices=CutStreamBilling.values,
        default=CutStreamBilling.DELIVERED.value,
        help_text="What you bill when a client leaves in the middle of a stream.",
    )
    requests_per_minute = CountField(
        min_value=1,
        max_value=MOST_PER_MINUTE,
        allow_null=True,
        default=None,
        help_text="What the service takes from all callers together; null for no limit.",
    )
    tokens_per_minute = CountField(
        min_value=1, max_value=MOST_PER_MINUTE, allow_null=True, default=None
    )
    retains_prompts_days = CountField(max_value=3650, default=0)
    trains_on_data = BooleanField(default=False)
    summary_en = TextField(max_length=2000, allow_blank=True, default="")
    summary_zh = TextField(max_length=2000, allow_blank=True, default="")


class NewListingSerializer(ListingTermsSerializer):
    """A new draft; it can be submitted for review as soon as it has prices."""

    model = TextField(max_length=120, help_text="The model's handle, such as `qwen/qwen3-8b`.")
    prices = PricesSerializer(required=False)
    test = BooleanField(default=False)
