"""Runs and findings in the stock admin, to look at only; findings are resolved under /ops/."""

from django.contrib import admin

from marketplace.reconciliation.models import Finding, Run, WalletProof
from portal.kernel.view_only_admin import ViewOnlyAdmin


@admin.register(Run)
class RunAdmin(ViewOnlyAdmin):
    list_display = ("public_id", "kind", "trigger", "started_at", "finished_at", "error")
    list_filter = ("kind", "trigger")


@admin.register(WalletProof)
class WalletProofAdmin(ViewOnlyAdmin):
    list_display = (
        "wallet",
        "run",
        "opening_millitokens",
        "closing_millitokens",
        "gap_millitokens",
    )
    list_select_related = ("wallet", "run")
    search_fields = ("wallet__owner_key", "run__public_id")


@admin.register(Finding)
class FindingAdmin(ViewOnlyAdmin):
    list_display = ("public_id", "check_number", "subject", "state", "at_stake_millitokens")
    list_filter = ("state", "check_number")
    search_fields = ("public_id", "subject")
