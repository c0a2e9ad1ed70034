"""Records of accounts for staff: to see; people can be barred and made staff, all else goes
through the services. Digests of secrets are not shown."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from accounts import services
from accounts.models import (
    ApiKey,
    AuditEvent,
    Invitation,
    Membership,
    Notice,
    NoticeCause,
    NoticePreference,
    Organisation,
    RememberedAnswer,
    TrialClaim,
    User,
    WebhookDelivery,
    WebhookEndpoint,
)
from portal.kernel.clock import utc_now
from portal.kernel.view_only_admin import ViewOnlyAdmin


@admin.register(User)
class UserAdmin(admin.ModelAdmin):
    """People; whether they may come in, and whether they are staff."""

    list_display = ("email", "name", "is_active", "is_staff", "date_joined", "last_login")
    list_filter = ("is_active", "is_staff")
    search_fields = ("email", "name", "public_id")
    fields = (
        "public_id", "email", "name", "language", "is_active", "is_staff", "is_superuser",
        "date_joined", "last_login",
    )  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Only superusers make staff, and nobody changes their own standing."""
        changeable: set[str] = set()
        if obj and obj.pk != request.user.pk:
            changeable.add("is_active")
            if getattr(request.user, "is_superuser", False):
                changeable |= {"is_staff", "is_superuser"}
        return [field for field in self.fields if field not in changeable]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """With a row in the audit log."""
        super().save_model(request, obj, form, change)
        services.record_audit(
            organisation=None,
            actor=services.actor_from_request(request),
            action="person.standing_changed",
            target_id=obj.public_id,
            target_label=obj.email,
            before={name: form.initial.get(name) for name in form.changed_data},
            after={name: form.cleaned_data[name] for name in form.changed_data},
            now=utc_now(),
        )


class MembershipInline(admin.TabularInline):
    """Who belongs to an organisation."""

    model = Membership
    extra = 0
    fields = readonly_fields = ("user", "role", "joined_at")
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Organisation)
class OrganisationAdmin(ViewOnlyAdmin):
    list_display = ("name", "slug", "country", "verified_at", "created_at")
    search_fields = ("name", "legal_name", "slug", "public_id", "tax_id")
    inlines = [MembershipInline]


@admin.register(Invitation)
class InvitationAdmin(ViewOnlyAdmin):
    list_display = ("email", "organisation", "role", "created_at", "expires_at", "accepted_at")
    list_select_related = ("organisation",)
    search_fields = ("email", "organisation__name")
    exclude = ("token_digest",)


@admin.register(ApiKey)
class ApiKeyAdmin(ViewOnlyAdmin):
    list_display = ("prefix", "name", "organisation", "kind", "created_by", "last_used_at")
    list_select_related = ("organisation", "created_by")
    list_filter = ("kind",)
    search_fields = ("prefix", "public_id", "name", "organisation__name")
    exclude = ("digest",)


@admin.register(TrialClaim)
class TrialClaimAdmin(ViewOnlyAdmin):
    list_display = ("organisation", "email_domain", "claimed_at")
    list_select_related = ("organisation",)
    search_fields = ("organisation__name", "email_domain")
    exclude = ("address_digest",)


@admin.register(Notice)
class NoticeAdmin(ViewOnlyAdmin):
    list_display = ("created_at", "organisation", "person", "kind", "read_at", "mail_due")
    list_select_related = ("organisation", "person")
    list_filter = ("kind", "mail_due")
    search_fields = ("organisation__name", "person__email", "public_id")


@admin.register(NoticeCause)
class NoticeCauseAdmin(ViewOnlyAdmin):
    list_display = ("began_at", "organisation", "kind", "subject", "stage", "ended_at")
    list_select_related = ("organisation",)
    list_filter = ("kind",)
    search_fields = ("organisation__name", "subject")


@admin.register(NoticePreference)
class NoticePreferenceAdmin(ViewOnlyAdmin):
    list_display = ("organisation", "person", "kind", "in_portal", "by_mail")
    list_select_related = ("organisation", "person")
    search_fields = ("organisation__name", "person__email")


@admin.register(AuditEvent)
class AuditEventAdmin(ViewOnlyAdmin):
    list_display = ("recorded_at", "organisation", "actor_label", "action", "target_label")
    list_select_related = ("organisation",)
    list_filter = ("action",)
    search_fields = ("actor_label", "target_label", "target_id", "organisation__name")
    date_hierarchy = "recorded_at"


@admin.register(RememberedAnswer)
class RememberedAnswerAdmin(ViewOnlyAdmin):
    list_display = ("idempotency_key", "api_key", "status", "created_at")
    list_select_related = ("api_key",)
    exclude = ("body",)


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ViewOnlyAdmin):
    list_display = ("url", "organisation", "created_at", "failing_since", "stopped_at")
    list_select_related = ("organisation",)
    search_fields = ("url", "public_id", "organisation__name")
    exclude = ("secret", "old_secret")


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ViewOnlyAdmin):
    list_display = ("created_at", "endpoint", "event_type", "attempts", "delivered_at", "due_at")
    list_select_related = ("endpoint",)
    list_filter = ("event_type",)
    search_fields = ("event_id", "public_id", "endpoint__url")
