"""What a provider sees of calls and earnings: tenants by pseudonym, never by name."""

from datetime import timedelta
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from marketplace.ledger.models import Unit
from marketplace.metering.models import Call, CallStatus, Surface, UsageSource
from marketplace.partners.pseudonyms import pseudonym_of
from portal.kernel.rest import DayField, TokensField

MAX_DAYS = 366


class ServedCallSerializer(serializers.Serializer):
    """One call of a service of yours."""

    id = serializers.CharField(source="public_id", help_text="`call_…`")
    service = serializers.CharField(source="service.public_id", help_text="`svc_…`")
    customer = serializers.SerializerMethodField(
        help_text="The caller's pseudonym: the same for all calls of one organisation to you."
    )
    started_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    status = serializers.ChoiceField(choices=CallStatus.values)
    error_code = serializers.CharField()
    unit = serializers.ChoiceField(choices=Unit.values)
    surface = serializers.ChoiceField(choices=Surface.values)
    operation = serializers.CharField()
    streamed = serializers.BooleanField()
    upstream_id = serializers.CharField(help_text="Your own id of the call, as you gave it.")
    prompt_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField()
    completion_tokens = serializers.IntegerField()
    usage_source = serializers.ChoiceField(choices=UsageSource.values)
    earned_tokens = TokensField(
        source="share_millitokens", help_text="Your share of what the call cost."
    )
    first_token_ms = serializers.IntegerField(allow_null=True)
    duration_ms = serializers.IntegerField(allow_null=True)

    def get_customer(self, call: Call) -> str:
        return pseudonym_of(
            organisation_public_id=call.organisation.public_id,
            provider_public_id=self.context["provider"].public_id,
        )


class EarningsQuerySerializer(serializers.Serializer):
    """Which days."""

    start_on = DayField(help_text="First day, in your organisation's time zone.")
    end_on = DayField(help_text="Last day, included; at most 366 days.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not timedelta(0) <= attrs["end_on"] - attrs["start_on"] < timedelta(days=MAX_DAYS):
            raise serializers.ValidationError(
                {"end_on": [_("Choose 1 to 366 days, the last not before the first.")]},
                code="out_of_range",
            )
        return attrs


class DayEarningsSerializer(serializers.Serializer):
    """One service's earnings of one day; days without earnings have no rows."""

    day = serializers.DateField()
    earned_tokens = TokensField(source="earned_millitokens")


class ServiceEarningsSerializer(serializers.Serializer):
    """One service's sums over the days asked for."""

    service = serializers.CharField(source="key", help_text="`svc_…`")
    handle = serializers.CharField(source="label")
    calls = serializers.IntegerField(source="sums.calls")
    failed_calls = serializers.IntegerField(source="sums.failed_calls")
    prompt_tokens = serializers.IntegerField(source="sums.prompt_tokens")
    completion_tokens = serializers.IntegerField(source="sums.completion_tokens")
    earned_tokens = TokensField(source="sums.share_millitokens")
    days = DayEarningsSerializer(many=True)


class EarningsSerializer(serializers.Serializer):
    """What you are owed now, and what was earned on the days asked for."""

    payable_tokens = TokensField(help_text="Owed to you now and not yet paid out.")
    timezone = serializers.CharField()
    calls = serializers.IntegerField()
    earned_tokens = TokensField(source="share_millitokens")
    services = ServiceEarningsSerializer(many=True)
