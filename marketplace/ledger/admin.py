"""The books in the stock admin, to look at only."""

from django.contrib import admin

from marketplace.ledger.models import (
    Account,
    Checkpoint,
    Entry,
    Freeze,
    HeadDelivery,
    Hold,
    HoldLimit,
    HoldPart,
    Limit,
    Lot,
    LotBurn,
    SealedEntry,
    Transaction,
    Wallet,
    WalletCheckpoint,
)
from portal.kernel.view_only_admin import ViewOnlyAdmin


@admin.register(Account)
class AccountAdmin(ViewOnlyAdmin):
    list_display = ("kind", "owner_key", "unit")
    list_filter = ("kind", "unit")
    search_fields = ("owner_key",)


@admin.register(Wallet)
class WalletAdmin(ViewOnlyAdmin):
    list_display = ("owner_key", "unit", "scope", "posted_millitokens", "held_millitokens", "seq")
    list_filter = ("unit", "frozen")
    search_fields = ("owner_key", "scope")


@admin.register(Freeze)
class FreezeAdmin(ViewOnlyAdmin):
    list_display = ("wallet", "reason", "frozen_at")
    list_select_related = ("wallet",)


@admin.register(Lot)
class LotAdmin(ViewOnlyAdmin):
    list_display = (
        "public_id",
        "wallet",
        "kind",
        "reference",
        "face_millitokens",
        "remaining_millitokens",
        "expires_at",
    )
    list_filter = ("kind",)
    list_select_related = ("wallet",)
    search_fields = ("public_id", "reference", "wallet__owner_key")


@admin.register(Limit)
class LimitAdmin(ViewOnlyAdmin):
    list_display = (
        "subject",
        "period_start",
        "max_millitokens",
        "held_millitokens",
        "spent_millitokens",
    )
    search_fields = ("subject",)


@admin.register(Hold)
class HoldAdmin(ViewOnlyAdmin):
    list_display = (
        "public_id",
        "owner_key",
        "state",
        "amount_millitokens",
        "captured_millitokens",
        "reference",
        "placed_at",
        "expires_at",
    )
    list_filter = ("state", "unit")
    search_fields = ("public_id", "reference", "owner_key")


@admin.register(HoldPart)
class HoldPartAdmin(ViewOnlyAdmin):
    list_display = ("hold", "wallet", "position", "amount_millitokens")
    list_select_related = ("hold", "wallet")
    search_fields = ("hold__public_id",)


@admin.register(HoldLimit)
class HoldLimitAdmin(ViewOnlyAdmin):
    list_display = ("hold", "limit")
    list_select_related = ("hold", "limit")
    search_fields = ("hold__public_id", "limit__subject")


@admin.register(Transaction)
class TransactionAdmin(ViewOnlyAdmin):
    list_display = ("public_id", "kind", "reference", "reason", "recorded_at")
    list_filter = ("kind",)
    search_fields = ("public_id", "reference")


@admin.register(Entry)
class EntryAdmin(ViewOnlyAdmin):
    list_display = (
        "transaction",
        "line",
        "debit_account",
        "credit_account",
        "amount_millitokens",
        "wallet_seq",
        "wallet_after_millitokens",
    )
    list_select_related = ("transaction", "debit_account", "credit_account")
    search_fields = ("transaction__public_id", "transaction__reference", "wallet__owner_key")


@admin.register(LotBurn)
class LotBurnAdmin(ViewOnlyAdmin):
    list_display = ("transaction", "lot", "amount_millitokens")
    list_select_related = ("transaction", "lot")
    search_fields = ("transaction__public_id", "lot__public_id")


@admin.register(Checkpoint)
class CheckpointAdmin(ViewOnlyAdmin):
    list_display = ("number", "sealed_at", "chains", "hash")
    search_fields = ("hash",)


@admin.register(WalletCheckpoint)
class WalletCheckpointAdmin(ViewOnlyAdmin):
    list_display = ("chain", "seq", "posted_millitokens", "checkpoint_id", "head")
    search_fields = ("chain", "head")


@admin.register(SealedEntry)
class SealedEntryAdmin(ViewOnlyAdmin):
    list_display = ("chain", "position", "entry_id")
    search_fields = ("entry__transaction__public_id",)


@admin.register(HeadDelivery)
class HeadDeliveryAdmin(ViewOnlyAdmin):
    list_display = ("checkpoint_id", "delivered_at")
