"""Calls and totals in the admin: to see, never to change."""

from django.contrib import admin

from marketplace.metering.models import (
    Budget,
    Calibration,
    Call,
    Recount,
    RecountTally,
    RollUp,
    StoredAnswer,
    UsageCharge,
    UsageEvent,
    UsageTotal,
)
from portal.kernel.view_only_admin import ViewOnlyAdmin


@admin.register(Call)
class CallAdmin(ViewOnlyAdmin):
    list_display = (
        "public_id",
        "organisation",
        "service",
        "status",
        "cost_millitokens",
        "started_at",
    )
    list_filter = ("status", "unit", "surface", "usage_source", "usage_doubt")
    list_select_related = ("organisation", "service")
    search_fields = ("=public_id", "=request_id")
    ordering = ("-pk",)
    show_full_result_count = False


@admin.register(Budget)
class BudgetAdmin(ViewOnlyAdmin):
    list_display = (
        "public_id",
        "organisation",
        "member",
        "unit",
        "period",
        "max_millitokens",
        "archived_at",
    )
    list_filter = ("unit", "period")
    list_select_related = ("organisation", "member")
    search_fields = ("=public_id", "organisation__name")
    ordering = ("-pk",)


@admin.register(UsageEvent)
class UsageEventAdmin(ViewOnlyAdmin):
    list_display = (
        "source",
        "event_id",
        "call",
        "prompt_tokens",
        "completion_tokens",
        "received_at",
    )
    list_select_related = ("call",)
    search_fields = ("=event_id", "=call__public_id")
    ordering = ("-pk",)
    show_full_result_count = False


@admin.register(UsageCharge)
class UsageChargeAdmin(ViewOnlyAdmin):
    list_display = ("event", "amount_millitokens", "price_version", "transaction")
    list_select_related = ("event", "price_version__service", "transaction")
    search_fields = ("=event__event_id",)
    ordering = ("-pk",)
    show_full_result_count = False


@admin.register(UsageTotal)
class UsageTotalAdmin(ViewOnlyAdmin):
    list_display = (
        "bucket_start",
        "organisation",
        "service",
        "status",
        "calls",
        "cost_millitokens",
    )
    list_filter = ("status", "unit")
    list_select_related = ("organisation", "service")
    ordering = ("-bucket_start",)
    show_full_result_count = False


@admin.register(RollUp)
class RollUpAdmin(ViewOnlyAdmin):
    list_display = ("finished_at",)


@admin.register(Recount)
class RecountAdmin(ViewOnlyAdmin):
    list_display = (
        "call",
        "service",
        "verdict",
        "prompt_reported",
        "prompt_counted",
        "completion_reported",
        "completion_counted",
        "returned_millitokens",
        "counted_at",
    )
    list_filter = ("verdict", "reason", "tokenizer")
    list_select_related = ("call", "service")
    search_fields = ("=call__public_id",)
    ordering = ("-pk",)
    show_full_result_count = False


@admin.register(Calibration)
class CalibrationAdmin(ViewOnlyAdmin):
    list_display = ("service", "version", "tokenizer", "prompt_offset", "learned_at")
    list_select_related = ("service",)
    ordering = ("-pk",)


@admin.register(RecountTally)
class RecountTallyAdmin(ViewOnlyAdmin):
    list_display = ("day", "service", "agrees", "review", "disputed", "uncountable")
    list_select_related = ("service",)
    ordering = ("-day",)


@admin.register(StoredAnswer)
class StoredAnswerAdmin(ViewOnlyAdmin):
    list_display = ("call", "api_key", "claimed_at", "answered_at")
    exclude = ("sealed",)
    list_select_related = ("api_key",)
    ordering = ("-pk",)
    show_full_result_count = False
