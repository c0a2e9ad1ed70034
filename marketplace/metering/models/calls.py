"""Calls, the usage they were charged for, and totals per quarter of an hour.

Never a prompt or an answer. A call's row is written with its hold, before a byte goes upstream,
and completed with its capture; so a process that dies leaves an open call that the sweep closes.
"""

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiKey, Organisation, User
from marketplace.catalog.models import PriceVersion, Service
from marketplace.ledger.models import Hold, Transaction, Unit
from marketplace.metering.reasons import explain_error
from portal.kernel.public_ids import PublicIdField


class CallStatus(models.TextChoices):
    """How a call ended. Only succeeded and client_disconnected may cost anything."""

    OPEN = "open", _("Running")
    SUCCEEDED = "succeeded", _("Succeeded")
    FAILED = "failed", _("Failed")
    CLIENT_DISCONNECTED = "client_disconnected", _("Client disconnected")
    REFUSED = "refused", _("Refused")
    LOST = "lost", _("Lost")  # the process died; its hold was released by the sweep


class Surface(models.TextChoices):
    """Which door a call came through."""

    GATEWAY = "gateway", _("Gateway")
    DIRECT = "direct", _("Direct")


class UsageSource(models.TextChoices):
    """Who counted the tokens."""

    PROVIDER = "provider", _("Counted by the provider")
    RECOUNT = "recount", _("Counted by the market")
    ESTIMATE = "estimate", _("Estimated from what was delivered")
    NONE = "none", _("Not counted")


class UsageDoubt(models.TextChoices):
    """Why a call's count deserves a look; reconciliation makes findings of these."""

    MISSING = "missing", _("The provider reported no usage")
    MALFORMED = "malformed", _("The provider's numbers were no counts")
    MORE_THAN_POSSIBLE = (
        "more_than_possible",
        _("The provider reported more than the request allows"),
    )
    ESTIMATED = "estimated", _("The stream was cut and the provider reported no usage")
    DISPUTED = "disputed", _("The market counted fewer tokens than the provider")


COSTING_STATUSES = (CallStatus.SUCCEEDED, CallStatus.CLIENT_DISCONNECTED)
# What somebody who looks for trouble filters by: rare, so these have indexes of their own.
TROUBLED_STATUSES = (
    CallStatus.FAILED,
    CallStatus.CLIENT_DISCONNECTED,
    CallStatus.REFUSED,
    CallStatus.LOST,
)


class CallQuerySet(models.QuerySet["Call"]):
    """The vocabulary of calls."""

    def of(self, organisation: Organisation) -> Self:
        return self.filter(organisation=organisation)

    def started_between(self, start: datetime, end: datetime) -> Self:
        """From ``start`` (included) to ``end`` (excluded)."""
        return self.filter(started_at__gte=start, started_at__lt=end)


class Call(models.Model):
    """One call: everything that a receipt needs."""

    public_id = PublicIdField(prefix="call")
    # Every index costs each call twice, when it begins and when it ends: so none on columns that
    # another begins with, or that nobody looks for.
    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="calls", db_index=False
    )
    api_key = models.ForeignKey(
        ApiKey, on_delete=models.PROTECT, related_name="calls", db_index=False
    )
    member = models.ForeignKey(User, on_delete=models.PROTECT, related_name="calls")
    service = models.ForeignKey(
        Service, on_delete=models.PROTECT, related_name="calls", db_index=False
    )
    price_version = models.ForeignKey(PriceVersion, on_delete=models.PROTECT, db_index=False)
    hold = models.OneToOneField(Hold, on_delete=models.PROTECT, null=True, related_name="call")
    unit = models.CharField(max_length=4, choices=Unit)
    surface = models.CharField(max_length=7, choices=Surface, default=Surface.GATEWAY)
    operation = models.CharField(max_length=20)  # chat, completions, responses, embeddings
    streamed = models.BooleanField(default=False)
    status = models.CharField(max_length=20, choices=CallStatus, default=CallStatus.OPEN)
    error_code = models.CharField(max_length=60, blank=True)
    finish_reason = models.CharField(max_length=30, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    # Which try of its request: all before it failed, at other services.
    attempt = models.PositiveSmallIntegerField(db_default=1)
    upstream_id = models.CharField(max_length=120, blank=True)
    # Model tokens. ``cached`` is the part of the prompt served from the provider's cache.
    prompt_tokens = models.PositiveBigIntegerField(default=0)
    cached_tokens = models.PositiveBigIntegerField(default=0)
    completion_tokens = models.PositiveBigIntegerField(default=0)
    usage_source = models.CharField(max_length=10, choices=UsageSource, default=UsageSource.NONE)
    usage_doubt = models.CharField(max_length=20, choices=UsageDoubt, blank=True)
    # Wallet millitokens: the cost is what the tenant paid. The provider's share is of what it is
    # owed, which after a late charge may be more: then the commission is negative.
    cost_millitokens = models.BigIntegerField(default=0)
    # The market's part as it was when the call began, whenever its usage comes.
    commission_basis_points = models.PositiveIntegerField(db_default=0)
    share_millitokens = models.BigIntegerField(default=0)
    commission_millitokens = models.BigIntegerField(default=0)
    # The rest of the whole charge: never the tenant's. The operator pays what had been held; what
    # passes that too is owed to nobody until a person agrees (suspense).
    uncovered_millitokens = models.BigIntegerField(default=0)
    # As declared when the call was made.
    region = models.CharField(max_length=40, blank=True)
    retains_prompts_days = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField()
    first_token_ms = models.PositiveIntegerField(null=True)
    duration_ms = models.PositiveIntegerField(null=True)
    ended_at = models.DateTimeField(null=True)
    rolled_up = models.BooleanField(default=False)

    objects = CallQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    cost_millitokens=models.F("share_millitokens")
                    + models.F("commission_millitokens")
                ),
                name="call_cost_is_share_and_commission",
            ),
            models.CheckConstraint(
                condition=Q(cost_millitokens__gte=0, uncovered_millitokens__gte=0),
                name="call_cost_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["succeeded", "client_disconnected"])
                | Q(cost_millitokens=0),
                name="failed_calls_cost_nothing",
            ),
            models.CheckConstraint(
                condition=Q(cached_tokens__lte=models.F("prompt_tokens")),
                name="cached_is_part_of_prompt",
            ),
            models.CheckConstraint(
                condition=Q(status="open", ended_at__isnull=True)
                | (~Q(status="open") & Q(ended_at__isnull=False)),
                name="ended_call_has_time",
            ),
        ]
        indexes = [
            models.Index(fields=["organisation", "-started_at", "-id"], name="calls_by_tenant"),
            models.Index(fields=["service", "-started_at"], name="calls_by_service"),
            models.Index(fields=["api_key", "-started_at"], name="calls_by_key"),
            models.Index(
                fields=["id"],
                condition=Q(rolled_up=False) & ~Q(status="open"),
                name="calls_to_roll_up",
            ),
            models.Index(
                fields=["started_at"], condition=Q(status="open"), name="calls_still_open"
            ),
            # A request that one call served is not in it; of the others, each try.
            models.Index(
                fields=["organisation", "request_id"],
                condition=Q(status="failed") | Q(attempt__gt=1),
                name="calls_tried_again",
            ),
            # The words of the reconciliation's check 22.
            models.Index(
                fields=["ended_at"],
                condition=Q(status="lost") | ~Q(usage_doubt="") | Q(uncovered_millitokens__gt=0),
                name="calls_to_look_at",
            ),
            # A provider's list goes over all its services.
            models.Index(fields=["-started_at", "-id"], name="calls_by_time"),
            models.Index(
                fields=["organisation", "status", "-started_at", "-id", "service"],
                condition=Q(status__in=TROUBLED_STATUSES),
                name="troubled_calls_by_tenant",
            ),
            models.Index(
                fields=["service", "status", "-started_at", "-id"],
                condition=Q(status__in=TROUBLED_STATUSES),
                name="troubled_calls_by_service",
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def error_reason(self) -> str:
        """Why it ended without an answer, in words; empty when it did not."""
        return explain_error(self.error_code)


class UsageEvent(models.Model):
    """Usage as it was reported, once for ever under (source, event_id).

    ``source`` comes from the credential ("gateway", "provider:prv_…"), never from a payload.
    """

    source = models.CharField(max_length=60)
    event_id = models.CharField(max_length=120)
    payload_hash = models.CharField(max_length=64)
    call = models.OneToOneField(Call, on_delete=models.PROTECT, related_name="usage_event")
    prompt_tokens = models.PositiveBigIntegerField()
    cached_tokens = models.PositiveBigIntegerField()
    completion_tokens = models.PositiveBigIntegerField()
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "event_id"], name="usage_event_once"),
        ]

    def __str__(self) -> str:
        return f"{self.source}/{self.event_id}"


class UsageCharge(models.Model):
    """What a usage event was charged; no ledger transaction when that is nothing."""

    event = models.OneToOneField(UsageEvent, on_delete=models.PROTECT, related_name="charge")
    transaction = models.OneToOneField(Transaction, on_delete=models.PROTECT, null=True)
    price_version = models.ForeignKey(PriceVersion, on_delete=models.PROTECT, db_index=False)
    amount_millitokens = models.BigIntegerField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(amount_millitokens=0, transaction__isnull=True)
                | Q(amount_millitokens__gt=0, transaction__isnull=False),
                name="charge_has_transaction_unless_zero",
            )
        ]

    def __str__(self) -> str:
        return f"{self.event_id}: {self.amount_millitokens}"


class UsageTotal(models.Model):
    """Sums of ended calls in one quarter of an hour (UTC), rolled up outside the capture."""

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT)
    bucket_start = models.DateTimeField()
    service = models.ForeignKey(Service, on_delete=models.PROTECT)
    api_key = models.ForeignKey(ApiKey, on_delete=models.PROTECT)
    member = models.ForeignKey(User, on_delete=models.PROTECT)
    unit = models.CharField(max_length=4, choices=Unit)
    status = models.CharField(max_length=20, choices=CallStatus)
    calls = models.PositiveBigIntegerField(default=0)
    prompt_tokens = models.PositiveBigIntegerField(default=0)
    cached_tokens = models.PositiveBigIntegerField(default=0)
    completion_tokens = models.PositiveBigIntegerField(default=0)
    cost_millitokens = models.BigIntegerField(default=0)
    share_millitokens = models.BigIntegerField(default=0)
    # How many calls that succeeded took how long: the classes of metering.latency, in columns,
    # so that the database can add them up.
    took_0 = models.PositiveIntegerField(default=0)
    took_1 = models.PositiveIntegerField(default=0)
    took_2 = models.PositiveIntegerField(default=0)
    took_3 = models.PositiveIntegerField(default=0)
    took_4 = models.PositiveIntegerField(default=0)
    took_5 = models.PositiveIntegerField(default=0)
    took_6 = models.PositiveIntegerField(default=0)
    took_7 = models.PositiveIntegerField(default=0)
    took_8 = models.PositiveIntegerField(default=0)
    took_9 = models.PositiveIntegerField(default=0)
    took_10 = models.PositiveIntegerField(default=0)
    took_11 = models.PositiveIntegerField(default=0)
    took_12 = models.PositiveIntegerField(default=0)
    took_13 = models.PositiveIntegerField(default=0)
    took_14 = models.PositiveIntegerField(default=0)
    took_15 = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "bucket_start", "service", "api_key", "unit", "status"],
                name="one_total_per_bucket",
            )
        ]
        indexes = [
            models.Index(fields=["service", "bucket_start"], name="totals_by_service"),
            models.Index(fields=["organisation", "service"], name="services_used_by_tenant"),
        ]

    def __str__(self) -> str:
        return f"{self.organisation_id} {self.bucket_start:%Y-%m-%d %H:%M}"


class RollUp(models.Model):
    """The one row that says how fresh the totals are, and that lets one roll-up run at a time."""

    finished_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.finished_at:%Y-%m-%d %H:%M:%S}"
