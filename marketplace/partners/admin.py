"""Direct mode in the stock admin, to look at only; a private key is never shown."""

from django.contrib import admin

from marketplace.partners.models import CappedReport, DirectGrant, SigningKey
from portal.kernel.view_only_admin import ViewOnlyAdmin


@admin.register(SigningKey)
class SigningKeyAdmin(ViewOnlyAdmin):
    list_display = ("key_id", "created_at", "retired_at")
    exclude = ("private_pem",)


@admin.register(DirectGrant)
class DirectGrantAdmin(ViewOnlyAdmin):
    list_display = ("public_id", "organisation", "service", "ceiling_millitokens", "expires_at")
    list_select_related = ("organisation", "service")
    search_fields = ("public_id",)


@admin.register(CappedReport)
class CappedReportAdmin(ViewOnlyAdmin):
    list_display = ("call", "reported_millitokens", "held_millitokens", "received_at")
    list_select_related = ("call",)
    search_fields = ("call__public_id",)
