"""Runs and findings in the stock admin, to look at only; findings are resolved under /ops/."""

from django.contrib import admin

from marketplace.reconciliation.models import Finding, Run
from portal.kernel.view_only_admin import ViewOnlyAdmin


@admin.register(Run)
class RunAdmin(ViewOnlyAdmin):
    list_display = ("public_id", "trigger", "started_at", "finished_at", "error")
    list_filter = ("trigger",)


@admin.register(Finding)
class FindingAdmin(ViewOnlyAdmin):
    list_display = ("public_id", "check_number", "subject", "state", "at_stake_millitokens")
    list_filter = ("state", "check_number")
    search_fields = ("public_id", "subject")
