"""The stock admin of partners: only looked at, but for starting a new signing key."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts import services as accounts
from marketplace.partners.models import (
    CappedReport,
    DirectGrant,
    Intake,
    QuarantinedReport,
    SigningKey,
)
from marketplace.partners.services import rotate_signing_key
from portal.kernel.clock import utc_now
from portal.kernel.view_only_admin import ViewOnlyAdmin


@admin.register(SigningKey)
class SigningKeyAdmin(ViewOnlyAdmin):
    """The private half is never shown."""

    list_display = ("key_id", "created_at", "retired_at")
    fields = ("key_id", "public_jwk", "created_at", "retired_at")
    actions = ("rotate",)

    @admin.action(description=_("Sign new grants with a new key"))
    def rotate(self, request: HttpRequest, queryset: QuerySet[SigningKey]) -> None:
        """Whichever rows are ticked: there is one key in use, and it is replaced."""
        if not request.user.is_staff or not request.user.is_superuser:
            self.message_user(request, _("Only superusers rotate keys."), messages.ERROR)
            return
        fresh = rotate_signing_key(now=utc_now())
        accounts.record_audit(
            organisation=None,
            actor=accounts.actor_from_request(request),
            action="signing_key.rotated",
            target_id=fresh.key_id,
            now=fresh.created_at,
        )
        self.message_user(request, _("New grants are signed with a new key from now on."))


@admin.register(DirectGrant)
class DirectGrantAdmin(ViewOnlyAdmin):
    list_display = ("public_id", "organisation", "service", "ceiling_millitokens", "expires_at")
    list_select_related = ("organisation", "service")
    search_fields = ("public_id", "organisation__public_id", "service__handle")


@admin.register(CappedReport)
class CappedReportAdmin(ViewOnlyAdmin):
    """What providers claimed beyond their holds."""

    list_display = ("call", "reported_millitokens", "held_millitokens", "received_at")
    list_select_related = ("call",)
    search_fields = ("call__public_id", "call__service__handle")


@admin.register(QuarantinedReport)
class QuarantinedReportAdmin(ViewOnlyAdmin):
    """What contradicts an earlier report of the same event."""

    list_display = ("source", "event_id", "call", "times", "last_received_at")
    list_select_related = ("call",)
    search_fields = ("call__public_id", "source", "event_id")


@admin.register(Intake)
class IntakeAdmin(ViewOnlyAdmin):
    list_display = ("source", "day", "received", "repeated", "quarantined", "rejected")
    search_fields = ("source",)
