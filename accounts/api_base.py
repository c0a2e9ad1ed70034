"""What every room's REST for tenants stands on: whose key, which rights, which role.

A key never shows more than the person who made it may see: its creator's role is read at each
request, so a member's key reads that member's calls only, and a key of somebody who has left
or is barred opens nothing.
"""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from accounts.api_auth import ApiKeyAuthentication, HasScope
from accounts.models import KeyKind, Membership, Organisation, RememberedAnswer, Role
from accounts.services import AuthenticatedKey
from portal.kernel.rest import ApiListView, ApiView, IdempotentWriteMixin


class HasScopeOfMethod(BasePermission):
    """``read`` for safe methods, ``write`` for the others."""

    def has_permission(self, request: Request, view: Any) -> bool:
        scope = "read" if request.method in SAFE_METHODS else "write"
        return HasScope(scope).has_permission(request, view)


class KeyView(IdempotentWriteMixin, ApiView):
    """A view that needs a key whose maker still belongs to its organisation."""

    authentication_classes = [ApiKeyAuthentication]
    remembered_answers = RememberedAnswer

    membership: Membership

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """After key and scope: the person behind the key."""
        super().initial(request, *args, **kwargs)
        membership = (
            Membership.objects.select_related("organisation", "user")
            .filter(
                organisation_id=self.key.organisation_pk,
                user_id=self.key.member_pk,
                user__is_active=True,
            )
            .first()
        )
        if membership is None:
            raise PermissionDenied(
                _("Whoever made this key is no longer a member of the organisation."),
                code="creator_left",
            )
        self.membership = membership

    @property
    def key(self) -> AuthenticatedKey:
        """The calling key."""
        key: Any = self.request.auth
        return key

    @property
    def organisation(self) -> Organisation:
        """The key's organisation: all that the view may show is its own."""
        return self.membership.organisation


class TenantView(KeyView):
    """A view under /api/v1/; ``role`` is what the key's maker must be in the organisation."""

    permission_classes = [HasScopeOfMethod]
    role: str = Role.MEMBER

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """After key, scope and person: their role."""
        super().initial(request, *args, **kwargs)
        if not self.membership.includes(self.role):
            raise PermissionDenied(
                _("The maker of this key needs the role “%(role)s” for this.")
                % {"role": Role(self.role).label},
                code="role_missing",
            )

    @property
    def sees_own_calls_only(self) -> bool:
        """Members see their own usage; billing and owners all of it."""
        return not self.membership.includes(Role.BILLING)

    @property
    def units(self) -> list[str]:
        """The ledger units that this key may read: a test key never sees live tokens."""
        return ["test"] if self.key.kind == KeyKind.TEST else ["live", "test"]

    def refuse_test_key(self) -> None:
        """For what costs or brings real tokens."""
        if self.key.kind == KeyKind.TEST:
            raise PermissionDenied(
                _("Test keys reach test services and test tokens only."), code="test_key"
            )


class TenantListView(TenantView, ApiListView):
    """A list under /api/v1/."""


class ApiKeyScheme(OpenApiAuthenticationExtension):
    """How the OpenAPI document describes keys."""

    target_class = ApiKeyAuthentication
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "tw_live_…, tw_test_… or tw_provider_…",
            "description": (
                "An API key, made in the portal. Tenants' keys need the right `read` or `write`; "
                "provider keys open /api/provider/v1/ only."
            ),
        }
