"""API keys at the door of REST: who calls (401) and whether the key has the right (403)."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts import services
from portal.kernel.clock import utc_now

_REFUSALS = {
    "revoked": _("This API key is revoked. Create a new one in the portal."),
    "expired": _("This API key has expired. Create a new one in the portal."),
    "suspended": _("This API key is suspended. Resume it in the portal."),
}


class ApiKeyAuthentication(BaseAuthentication):
    """``Authorization: Bearer tw_…``. ``request.auth`` is an AuthenticatedKey, the user None."""

    def authenticate(self, request: Request) -> tuple[None, services.AuthenticatedKey] | None:
        scheme, _space, credential = get_authorization_header(request).partition(b" ")
        if not scheme:
            return None
        if scheme.lower() != b"bearer":
            raise AuthenticationFailed(
                _("Send the API key as “Authorization: Bearer …”."), code="key_malformed"
            )
        now = utc_now()
        # ISO 8859-1 reads any bytes; what is not ASCII is no key of ours.
        key = services.authenticate_api_key(text=credential.strip().decode("iso-8859-1"), now=now)
        if key is None:
            raise AuthenticationFailed(_("This API key is not known."), code="key_unknown")
        if key.status != "ok":
            raise AuthenticationFailed(_REFUSALS[key.status], code=f"key_{key.status}")
        _refuse_elsewhere(request, key)
        if key.touch_due:
            services.touch_api_key(key_pk=key.key_id, now=now)
        return None, key

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="tokenworks"'


class HasScope(BasePermission):
    """``permission_classes = [HasScope("read")]``: the key must have the right.

    An instance is its own factory, as REST framework calls what stands in the list.
    """

    def __init__(self, scope: str) -> None:
        self.scope = scope

    def __call__(self) -> "HasScope":
        return self

    def has_permission(self, request: Request, view: APIView) -> bool:
        key: Any = request.auth
        if not isinstance(key, services.AuthenticatedKey):
            raise NotAuthenticated
        if self.scope not in key.scopes:
            raise PermissionDenied(
                _("This API key lacks the right “%(scope)s”.") % {"scope": self.scope},
                code="scope_missing",
            )
        return True


def _refuse_elsewhere(request: Request, key: services.AuthenticatedKey) -> None:
    if not key.allowed_networks:
        return
    address = services.find_client_address(
        peer=request.META.get("REMOTE_ADDR", ""),
        forwarded_for=request.headers.get("X-Forwarded-For", ""),
    )
    if not key.admits(address):
        raise PermissionDenied(
            _("This API key may not be used from your address, %(address)s.")
            % {"address": address or _("unknown")},
            code="address_not_allowed",
        )


def actor_of(request: Request) -> services.Actor:
    """The calling key, for audit rows."""
    key: services.AuthenticatedKey = request.auth  # type: ignore[assignment]
    return services.actor_from_key(key.key_public_id, key.key_public_id, request._request)
