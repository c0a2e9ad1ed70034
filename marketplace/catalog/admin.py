"""The stock admin: models are edited here, services are connected, the rest is looked at.

Everything goes through the room's services, so the search, the gateway and the audit log agree.
"""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.services import actor_from_request
from marketplace.catalog import services as catalog
from marketplace.catalog import vocabulary
from marketplace.catalog.models import (
    AIModel,
    PriceVersion,
    Provider,
    Service,
    ServiceReview,
    ServiceStatus,
)
from marketplace.catalog.services.checks import require_endpoint
from portal.kernel.clock import utc_now
from portal.kernel.errors import Rejected
from portal.kernel.view_only_admin import ViewOnlyAdmin


class AIModelForm(forms.ModelForm):
    """Tasks and industries are chosen from the vocabulary."""

    tasks = forms.MultipleChoiceField(
        label=_("Tasks"),
        choices=[(term.code, term.label) for term in vocabulary.TASKS.values()],
        required=False,
    )
    industries = forms.MultipleChoiceField(
        label=_("Industries"),
        choices=[(term.code, term.label) for term in vocabulary.INDUSTRIES.values()],
        required=False,
    )

    licence_url = forms.URLField(
        label=_("Address of the licence"), required=False, assume_scheme="https"
    )

    class Meta:
        model = AIModel
        fields = ("handle", *sorted(catalog.MODEL_FIELDS))


@admin.register(AIModel)
class AIModelAdmin(admin.ModelAdmin):
    """A handle is what callers write, so it never changes."""

    form = AIModelForm
    list_display = ("handle", "name", "author", "modality", "licence_spdx", "context_length")
    list_filter = ("modality", "family", "licence_spdx")
    search_fields = ("handle", "name", "author")

    def get_readonly_fields(self, request: HttpRequest, obj: AIModel | None = None) -> list[str]:
        return ["handle"] if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: AIModel, form: Any, change: bool) -> None:
        saved = catalog.save_model(
            handle=obj.handle, **{name: getattr(obj, name) for name in catalog.MODEL_FIELDS}
        )
        obj.pk = saved.pk


@admin.register(Provider)
class ProviderAdmin(admin.ModelAdmin):
    """Profiles are the providers' own; the market's share is the operator's."""

    list_display = ("name", "slug", "country", "commission_basis_points", "is_sample")
    list_filter = ("is_sample", "country")
    search_fields = ("name", "slug", "organisation__name")
    fields = (
        "public_id", "organisation", "name", "slug", "summary_en", "summary_zh", "website",
        "country", "is_sample", "created_at", "commission_basis_points",
    )  # fmt: skip
    readonly_fields = fields[:-1]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Provider, form: Any, change: bool) -> None:
        if form.changed_data:
            catalog.set_commission(
                provider=obj,
                commission_basis_points=form.cleaned_data["commission_basis_points"],
                actor=actor_from_request(request),
                now=utc_now(),
            )


class ConnectionForm(forms.ModelForm):
    """The endpoint behind a listing. The credential is entered, never shown."""

    endpoint_url = forms.URLField(
        label=_("Endpoint"), required=False, max_length=300, assume_scheme="https"
    )
    new_credential = forms.CharField(
        label=_("Credential"),
        required=False,
        strip=True,
        max_length=500,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text=_("Leave empty to keep the present one; a new endpoint needs its own."),
    )

    class Meta:
        model = Service
        fields = ("endpoint_url", "upstream_model")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        url = cleaned.get("endpoint_url", "")
        try:
            require_endpoint(url, private_allowed=True)
        except Rejected as refusal:
            self.add_error("endpoint_url", refusal.data["fields"]["endpoint_url"])
        moved = url and url != self.initial.get("endpoint_url")
        if moved and self.instance.credential and not cleaned.get("new_credential"):
            self.add_error("new_credential", _("Enter the credential of the new endpoint."))
        return cleaned


@admin.register(Service)
class ServiceAdmin(admin.ModelAdmin):
    """Listings are the providers' own; staff connect an endpoint, a sample's for instance."""

    form = ConnectionForm
    list_display = ("handle", "provider", "status", "test", "region", "is_sample", "endpoint_url")
    list_filter = ("status", "test", "is_sample", "region", "provider")
    list_select_related = ("provider",)
    search_fields = ("handle", "public_id", "model__name", "provider__name")
    readonly_fields = (
        "public_id", "handle", "provider", "model", "status", "test", "region", "country",
        "quantisation", "context_length", "max_output_tokens", "supported_parameters",
        "cut_stream_billing", "requests_per_minute", "tokens_per_minute", "retains_prompts_days",
        "trains_on_data", "is_sample", "created_at", "went_live_at",
    )  # fmt: skip
    fields = ("endpoint_url", "upstream_model", "new_credential", *readonly_fields)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Service | None = None) -> bool:
        retired = obj is not None and obj.status == ServiceStatus.RETIRED
        return super().has_change_permission(request, obj) and not retired

    def get_fields(self, request: HttpRequest, obj: Service | None = None) -> Any:
        """Whoever may only look sees no field to enter a secret in."""
        may_change = self.has_change_permission(request, obj)
        return [name for name in self.fields if may_change or name != "new_credential"]

    def save_model(self, request: HttpRequest, obj: Service, form: Any, change: bool) -> None:
        catalog.connect_service(
            service=Service.objects.get(pk=obj.pk),
            endpoint_url=form.cleaned_data["endpoint_url"],
            upstream_model=form.cleaned_data["upstream_model"],
            credential=form.cleaned_data["new_credential"],
            actor=actor_from_request(request),
            now=utc_now(),
        )


@admin.register(PriceVersion)
class PriceVersionAdmin(ViewOnlyAdmin):
    list_display = (
        "service", "number", "effective_at", "input_millitokens", "cached_input_millitokens",
        "output_millitokens", "request_millitokens",
    )  # fmt: skip
    list_select_related = ("service",)
    search_fields = ("service__handle", "public_id")
    date_hierarchy = "effective_at"


@admin.register(ServiceReview)
class ServiceReviewAdmin(ViewOnlyAdmin):
    """Decided on the operator's own pages."""

    list_display = ("service", "submitted_by_label", "submitted_at", "decision", "decided_by")
    list_filter = ("decision",)
    list_select_related = ("service", "decided_by")
    search_fields = ("service__handle", "public_id")
    exclude = ("credential",)
