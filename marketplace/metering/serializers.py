"""Calls, usage and budgets in REST. Tokens of the wallet are decimal strings, counts integers."""

from datetime import timedelta
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.models import CapPeriod
from marketplace.ledger.models import Unit
from marketplace.metering import selectors
from marketplace.metering.models import (
    Call,
    CallStatus,
    Recount,
    RecountReason,
    Surface,
    UsageSource,
    Verdict,
)
from portal.kernel.rest import CountField, DayField, StrictSerializer, TextField, TokensField

GROUPS = ("service", "provider", "key", "member", "status")
MAX_DAYS = 366


class CallSerializer(serializers.Serializer):
    """One call as the tenant sees it; never a prompt or an answer."""

    id = serializers.CharField(source="public_id", help_text="`call_…`")
    started_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    status = serializers.ChoiceField(choices=CallStatus.values)
    error_code = serializers.CharField(help_text="Empty unless the call failed or was refused.")
    unit = serializers.ChoiceField(choices=Unit.values)
    surface = serializers.ChoiceField(choices=Surface.values)
    operation = serializers.CharField()
    streamed = serializers.BooleanField()
    service = serializers.CharField(source="service.public_id", help_text="`svc_…`")
    service_handle = serializers.CharField(source="service.handle")
    model = serializers.CharField(source="service.model.handle")
    provider = serializers.CharField(source="service.provider.public_id", help_text="`prv_…`")
    key = serializers.CharField(source="api_key.public_id", help_text="`key_…`")
    member = serializers.CharField(source="member.public_id", help_text="`usr_…`")
    region = serializers.CharField(help_text="Where the service declared to run at the time.")
    prompt_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField(help_text="Part of the prompt tokens.")
    completion_tokens = serializers.IntegerField()
    usage_source = serializers.ChoiceField(choices=UsageSource.values)
    cost_tokens = TokensField(source="cost_millitokens", help_text="What left your wallet.")
    finish_reason = serializers.CharField()
    first_token_ms = serializers.IntegerField(allow_null=True)
    duration_ms = serializers.IntegerField(allow_null=True)
    request_id = serializers.CharField(help_text="The `x-request-id` of the answer.")


class CostLineSerializer(serializers.Serializer):
    """Quantity × price = cost."""

    kind = serializers.ChoiceField(choices=["input", "cached", "output", "request"])
    quantity = serializers.IntegerField()
    price_tokens = TokensField(source="price_millitokens")
    cost_tokens = TokensField(source="cost_millitokens")


class AttemptSerializer(serializers.Serializer):
    """One try of a request, a call of its own."""

    id = serializers.CharField(source="public_id", help_text="`call_…`")
    attempt = serializers.IntegerField(help_text="From 1, in the order of trying.")
    service_handle = serializers.CharField(source="service.handle")
    status = serializers.ChoiceField(choices=CallStatus.values)
    error_code = serializers.CharField()
    reason = serializers.CharField(
        source="error_reason", help_text="The error in words, in the reader's language."
    )
    duration_ms = serializers.IntegerField(allow_null=True)
    cost_tokens = TokensField(source="cost_millitokens")


class RecountSerializer(serializers.Serializer):
    """Both counts of one call, in model tokens, and what followed. Nobody ever pays more by it."""

    verdict = serializers.ChoiceField(
        choices=Verdict.values,
        help_text=(
            "`agrees`: within max(4, 0.5 %). `review`: within max(16, 2 %), or the provider "
            "counted less. `disputed`: more than that. `uncountable`: see `reason`."
        ),
    )
    reason = serializers.ChoiceField(
        choices=["", *RecountReason.values],
        help_text="Why a part was not counted, or why a difference decides nothing.",
    )
    tokenizer = serializers.CharField()
    prompt_reported = serializers.IntegerField()
    prompt_counted = serializers.IntegerField(allow_null=True)
    prompt_offset = serializers.IntegerField(
        help_text="What this service's prompts usually have beyond the texts."
    )
    completion_reported = serializers.IntegerField()
    completion_counted = serializers.IntegerField(allow_null=True)
    returned_tokens = TokensField(
        source="returned_millitokens", help_text="What came back into your wallet."
    )
    counted_at = serializers.DateTimeField()


class CallDetailSerializer(CallSerializer):
    """A call with the arithmetic of its cost, and the other tries of its request."""

    price_version = serializers.CharField(source="price_version.public_id", help_text="`prc_…`")
    cost_lines = serializers.SerializerMethodField()
    uncovered_tokens = TokensField(
        source="uncovered_millitokens",
        help_text=(
            "What the cost lines come to beyond `cost_tokens`: it did not leave your wallet, and "
            "you do not owe it."
        ),
    )

    attempts = serializers.SerializerMethodField()

    @extend_schema_field(AttemptSerializer(many=True))
    def get_attempts(self, call: Call) -> list[Any]:
        return list(AttemptSerializer(selectors.list_attempts(call), many=True).data)

    recount = serializers.SerializerMethodField(
        help_text="Null unless the market counted this call again."
    )

    @extend_schema_field(RecountSerializer(allow_null=True))
    def get_recount(self, call: Call) -> dict[str, Any] | None:
        recount: Recount | None = getattr(call, "recount", None)
        return None if recount is None else dict(RecountSerializer(recount).data)

    @extend_schema_field(CostLineSerializer(many=True))
    def get_cost_lines(self, call: Call) -> list[Any]:
        return list(CostLineSerializer(selectors.list_cost_lines(call), many=True).data)


class UsageQuerySerializer(serializers.Serializer):
    """Which days, in groups of what."""

    start_on = DayField(help_text="First day, in the organisation's time zone.")
    end_on = DayField(help_text="Last day, included; at most 366 days.")
    group_by = serializers.ChoiceField(choices=GROUPS, default="service")
    unit = serializers.ChoiceField(choices=Unit.values, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        days = attrs["end_on"] - attrs["start_on"]
        if not timedelta(0) <= days < timedelta(days=MAX_DAYS):
            raise serializers.ValidationError(
                {"end_on": [_("Choose 1 to 366 days, the last not before the first.")]},
                code="out_of_range",
            )
        return attrs


class UsageDaySerializer(serializers.Serializer):
    """One group's sums on one day; days without calls have no rows."""

    day = serializers.DateField()
    group = serializers.CharField(help_text="Public id of the group, or the status.")
    calls = serializers.IntegerField(source="sums.calls")
    failed_calls = serializers.IntegerField(
        source="sums.failed_calls", help_text="Ended with nothing to pay for."
    )
    prompt_tokens = serializers.IntegerField(source="sums.prompt_tokens")
    cached_tokens = serializers.IntegerField(source="sums.cached_tokens")
    completion_tokens = serializers.IntegerField(source="sums.completion_tokens")
    cost_tokens = TokensField(source="sums.cost_millitokens")


class DailyUsageSerializer(serializers.Serializer):
    """Usage by day and group."""

    timezone = serializers.CharField()
    unit = serializers.ChoiceField(choices=Unit.values)
    group_by = serializers.ChoiceField(choices=GROUPS)
    as_of = serializers.DateTimeField(help_text="When the totals were last brought up to date.")
    data = UsageDaySerializer(many=True)  # type: ignore[assignment]


class BudgetSerializer(serializers.Serializer):
    """A budget and how its running period stands."""

    id = serializers.CharField(source="budget.public_id", help_text="`bdg_…`")
    subject = serializers.SerializerMethodField(help_text="Whose calls count.")
    member = serializers.CharField(
        source="budget.member.public_id", default=None, allow_null=True, help_text="`usr_…`"
    )
    unit = serializers.ChoiceField(source="budget.unit", choices=Unit.values)
    period = serializers.ChoiceField(source="budget.period", choices=CapPeriod.values)
    max_tokens = TokensField(source="budget.max_millitokens")
    alert_percentages = serializers.ListField(
        source="budget.alert_percentages", child=serializers.IntegerField()
    )
    spent_tokens = TokensField(source="state.spent_millitokens")
    held_tokens = TokensField(source="state.held_millitokens", help_text="By running calls.")
    starts_at = serializers.DateTimeField(source="state.starts_at")
    ends_at = serializers.DateTimeField(
        source="state.ends_at", allow_null=True, help_text="When it starts anew; null: never."
    )
    created_at = serializers.DateTimeField(source="budget.created_at")
    archived_at = serializers.DateTimeField(source="budget.archived_at", allow_null=True)

    @extend_schema_field(serializers.ChoiceField(choices=["organisation", "member"]))
    def get_subject(self, row: dict[str, Any]) -> str:
        return "member" if row["budget"].member_id else "organisation"


class BudgetListSerializer(serializers.Serializer):
    """All budgets in force."""

    data = BudgetSerializer(many=True)  # type: ignore[assignment]


class BudgetChangeSerializer(StrictSerializer):
    """What can be changed of a budget."""

    max_tokens = TokensField(source="max_millitokens", help_text="More than zero.")
    alert_percentages = serializers.ListField(
        child=CountField(min_value=1, max_value=100),
        max_length=10,
        required=False,
        default=list,
        help_text="At which owners, billing and the budget's member are told, once a period each.",
    )

    def validate_max_tokens(self, value: int) -> int:
        if value <= 0:
            raise serializers.ValidationError(_("The maximum must be more than zero tokens."))
        return value


class NewBudgetSerializer(BudgetChangeSerializer):
    """A new budget; without a member it is the whole organisation's."""

    member = TextField(required=False, allow_null=True, default=None, max_length=40)
    unit = serializers.ChoiceField(choices=Unit.values, default=Unit.LIVE.value)
    period = serializers.ChoiceField(choices=CapPeriod.values)
