"""What every provider's view stands on: a provider key, and the profile behind it."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from accounts.api_auth import HasScope
from accounts.api_base import KeyView
from accounts.models import Role
from marketplace.catalog import selectors as catalog
from marketplace.catalog.models import Provider
from portal.kernel.rest import ApiListView


class ProviderView(KeyView):
    """A view under /api/provider/v1/: shows and changes the key's own provider only.

    Provider keys are made by owners; a maker who is no longer one takes the key's rights along.
    """

    permission_classes: list[Any] = [HasScope("provider")]
    provider: Provider

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """After key, scope and person: the provider profile of the organisation."""
        super().initial(request, *args, **kwargs)
        if not self.membership.includes(Role.OWNER):
            raise PermissionDenied(
                _("The maker of this key needs the role “%(role)s” for this.")
                % {"role": Role.OWNER.label},
                code="role_missing",
            )
        provider = catalog.get_provider_for(self.organisation)
        if provider is None:
            raise PermissionDenied(
                _("This organisation is not a provider. Apply in the portal first."),
                code="not_a_provider",
            )
        self.provider = provider


class ProviderListView(ProviderView, ApiListView):
    """A list under /api/provider/v1/."""
