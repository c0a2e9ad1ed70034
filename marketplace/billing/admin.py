"""The stock admin: packs are edited here, everything that concerns money is only looked at."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest

from accounts import services as accounts
from marketplace.billing.models import (
    Attempt,
    BankPayback,
    BankTransfer,
    Dispute,
    Document,
    DocumentCounter,
    EventCursor,
    Fapiao,
    FapiaoLine,
    InboxEvent,
    MoneyMovement,
    MovementCursor,
    Order,
    Pack,
    PackPrice,
    PurchaseRequest,
    RedLetter,
    Refund,
    RefundRequest,
    SandboxCard,
    SandboxDispute,
    SandboxEvent,
    SandboxMovement,
    SandboxRefund,
    SandboxSession,
    SavedCard,
    StrayPayment,
    TopUpRule,
    TransferSlip,
    Voucher,
    VoucherBatch,
    VoucherRedemption,
)
from marketplace.billing.services import find_pack_warnings
from portal.kernel.clock import utc_now
from portal.kernel.view_only_admin import ViewOnlyAdmin


class PackPriceInline(admin.TabularInline):
    model = PackPrice
    extra = 1


@admin.register(Pack)
class PackAdmin(admin.ModelAdmin):
    """Sold packs keep their terms in the order, so editing one changes future orders only."""

    list_display = ("name_en", "slug", "paid_millitokens", "bonus_millitokens", "on_sale")
    list_filter = ("on_sale",)
    search_fields = ("name_en", "name_zh", "slug")
    inlines = (PackPriceInline,)

    def has_delete_permission(self, request: HttpRequest, obj: Pack | None = None) -> bool:
        """Take a pack off sale instead: orders refer to it."""
        return False

    def save_related(
        self, request: HttpRequest, form: forms.ModelForm, formsets: Any, change: bool
    ) -> None:
        """After the prices are saved too: tell staff what is odd, and keep who changed what."""
        super().save_related(request, form, formsets, change)
        pack = form.instance
        for warning in find_pack_warnings(pack=pack):
            self.message_user(request, warning, messages.WARNING)
        accounts.record_audit(
            organisation=None,
            actor=accounts.actor_from_request(request),
            action="pack.changed" if change else "pack.created",
            target_id=pack.public_id,
            target_label=pack.name_en,
            before={name: _plain(form.initial.get(name)) for name in form.changed_data},
            after={
                **{name: _plain(form.cleaned_data.get(name)) for name in form.changed_data},
                "prices": {price.currency: price.amount_minor for price in pack.prices.all()},
            },
            now=utc_now(),
        )


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, bool | int | str) else str(value)


@admin.register(Order)
class OrderAdmin(ViewOnlyAdmin):
    list_display = (
        "public_id", "organisation", "pack_name", "amount_minor", "currency", "status",
        "failure_code", "livemode", "created_at",
    )  # fmt: skip
    list_filter = ("status", "failure_code", "provider", "livemode", "currency")
    list_select_related = ("organisation",)
    search_fields = ("public_id", "organisation__name", "provider_session_id", "purchase_reference")
    date_hierarchy = "created_at"


@admin.register(Attempt)
class AttemptAdmin(ViewOnlyAdmin):
    list_display = ("idempotency_key", "order", "number", "state", "session_id", "created_at")
    list_filter = ("state",)
    list_select_related = ("order",)
    search_fields = ("idempotency_key", "session_id")


@admin.register(StrayPayment)
class StrayPaymentAdmin(ViewOnlyAdmin):
    list_display = (
        "payment_id", "provider", "kind", "order", "amount_minor", "currency", "found_at",
    )  # fmt: skip
    list_filter = ("kind", "provider", "currency")
    list_select_related = ("order",)
    search_fields = ("payment_id", "session_id", "order__public_id")


@admin.register(InboxEvent)
class InboxEventAdmin(ViewOnlyAdmin):
    list_display = (
        "event_id", "provider", "event_type", "object_id", "state", "attempts", "last_error",
        "received_at", "done_at",
    )  # fmt: skip
    list_filter = ("state", "provider", "event_type")
    search_fields = ("event_id", "object_id")


@admin.register(EventCursor)
class EventCursorAdmin(ViewOnlyAdmin):
    list_display = ("provider", "read_until")


@admin.register(MoneyMovement)
class MoneyMovementAdmin(ViewOnlyAdmin):
    list_display = (
        "movement_id", "provider", "kind", "payment_id", "amount_minor", "currency",
        "gross_minor", "fee_minor", "account_currency", "created_at",
    )  # fmt: skip
    list_filter = ("kind", "provider", "currency")
    search_fields = ("movement_id", "payment_id", "source_id")
    date_hierarchy = "created_at"


@admin.register(MovementCursor)
class MovementCursorAdmin(ViewOnlyAdmin):
    list_display = ("provider", "read_from", "read_until")


@admin.register(Document)
class DocumentAdmin(ViewOnlyAdmin):
    list_display = ("label", "kind", "order", "amount_minor", "currency", "issued_at", "mailed_at")
    list_filter = ("kind", "series", "year")
    list_select_related = ("order",)
    search_fields = ("public_id", "order__public_id", "order__organisation__name")


@admin.register(PurchaseRequest)
class PurchaseRequestAdmin(ViewOnlyAdmin):
    list_display = ("public_id", "organisation", "pack", "quantity", "state", "requested_at")
    list_filter = ("state",)
    list_select_related = ("organisation", "pack")
    search_fields = ("public_id", "organisation__name")


@admin.register(Fapiao)
class FapiaoAdmin(ViewOnlyAdmin):
    list_display = ("public_id", "organisation", "kind", "state", "number", "requested_at")
    list_filter = ("state", "kind")
    search_fields = ("public_id", "number", "title", "tax_id", "lines__order__public_id")


@admin.register(FapiaoLine)
class FapiaoLineAdmin(ViewOnlyAdmin):
    list_display = ("fapiao", "order", "amount_minor", "is_live")
    list_select_related = ("fapiao", "order")
    search_fields = ("fapiao__public_id", "fapiao__number", "order__public_id")


@admin.register(RedLetter)
class RedLetterAdmin(ViewOnlyAdmin):
    list_display = ("number", "fapiao", "amount_minor", "issued_on", "recorded_by")
    list_select_related = ("fapiao", "recorded_by")
    search_fields = ("number", "fapiao__number")


@admin.register(TransferSlip)
class TransferSlipAdmin(ViewOnlyAdmin):
    list_display = ("reference", "amount_minor", "currency", "is_open", "created_at")
    search_fields = ("reference",)


@admin.register(BankTransfer)
class BankTransferAdmin(ViewOnlyAdmin):
    list_display = ("bank_id", "amount_minor", "currency", "payer", "slip", "recorded_by")
    list_filter = ("currency",)
    list_select_related = ("slip", "recorded_by")
    search_fields = ("public_id", "bank_id", "payer", "slip__reference")


@admin.register(BankPayback)
class BankPaybackAdmin(ViewOnlyAdmin):
    list_display = ("public_id", "slip", "amount_minor", "state", "bank_id", "changed_at")
    list_filter = ("state",)
    list_select_related = ("slip",)
    search_fields = ("public_id", "bank_id", "slip__reference")


@admin.register(RefundRequest)
class RefundRequestAdmin(ViewOnlyAdmin):
    list_display = ("public_id", "order", "amount_minor", "state", "requested_at", "decided_at")
    list_filter = ("state",)
    list_select_related = ("order",)
    search_fields = ("public_id", "order__public_id", "order__organisation__name")


@admin.register(Refund)
class RefundAdmin(ViewOnlyAdmin):
    list_display = ("refund_id", "order", "request", "amount_minor", "state", "first_seen_at")
    list_filter = ("state",)
    list_select_related = ("order", "request")
    search_fields = ("refund_id", "order__public_id")


@admin.register(Dispute)
class DisputeAdmin(ViewOnlyAdmin):
    list_display = ("dispute_id", "order", "amount_minor", "state", "first_seen_at", "changed_at")
    list_filter = ("state",)
    list_select_related = ("order",)
    search_fields = ("dispute_id", "order__public_id")


@admin.register(SandboxSession)
class SandboxSessionAdmin(ViewOnlyAdmin):
    list_display = ("session_id", "state", "payment_state", "amount_minor", "currency")
    list_filter = ("state", "payment_state")
    search_fields = ("session_id", "payment_id")


@admin.register(SandboxEvent)
class SandboxEventAdmin(ViewOnlyAdmin):
    list_display = ("event_id", "event_type", "session", "attempts", "delivered_at")
    list_filter = ("event_type",)
    list_select_related = ("session",)
    search_fields = ("event_id",)


@admin.register(SandboxRefund)
class SandboxRefundAdmin(ViewOnlyAdmin):
    list_display = ("refund_id", "session", "amount_minor", "state", "created_at")
    list_filter = ("state",)
    list_select_related = ("session",)


@admin.register(SandboxDispute)
class SandboxDisputeAdmin(ViewOnlyAdmin):
    list_display = ("dispute_id", "session", "amount_minor", "state", "created_at")
    list_filter = ("state",)
    list_select_related = ("session",)


@admin.register(SandboxMovement)
class SandboxMovementAdmin(ViewOnlyAdmin):
    list_display = ("movement_id", "session", "kind", "amount_minor", "created_at")
    list_filter = ("kind",)
    list_select_related = ("session",)


@admin.register(SandboxCard)
class SandboxCardAdmin(ViewOnlyAdmin):
    list_display = ("card_id", "visit_id", "state", "created_at")
    list_filter = ("state",)


@admin.register(SavedCard)
class SavedCardAdmin(ViewOnlyAdmin):
    list_display = ("public_id", "organisation", "provider", "label", "saved_at", "removed_at")
    list_filter = ("provider",)
    list_select_related = ("organisation",)
    search_fields = ("public_id", "organisation__name")


@admin.register(TopUpRule)
class TopUpRuleAdmin(ViewOnlyAdmin):
    list_display = (
        "public_id", "organisation", "pack", "amount_minor", "cap_minor", "currency", "agreed_at",
        "ended_at", "end_reason",
    )  # fmt: skip
    list_filter = ("end_reason",)
    list_select_related = ("organisation", "pack")
    search_fields = ("public_id", "organisation__name")


@admin.register(DocumentCounter)
class DocumentCounterAdmin(ViewOnlyAdmin):
    list_display = ("series", "year", "last_number")


@admin.register(VoucherBatch)
class VoucherBatchAdmin(ViewOnlyAdmin):
    list_display = ("name", "millitokens", "uses_per_code", "redeemable_until", "withdrawn_at")
    search_fields = ("public_id", "name")


@admin.register(Voucher)
class VoucherAdmin(ViewOnlyAdmin):
    list_display = ("public_id", "batch", "uses", "most_uses")
    list_select_related = ("batch",)
    search_fields = ("public_id", "batch__name")


@admin.register(VoucherRedemption)
class VoucherRedemptionAdmin(ViewOnlyAdmin):
    list_display = ("voucher", "organisation", "redeemed_by", "redeemed_at")
    list_select_related = ("voucher", "organisation", "redeemed_by")
    search_fields = ("voucher__public_id", "organisation__name")
