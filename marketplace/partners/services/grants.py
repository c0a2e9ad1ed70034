"""Grants: a tenant's leave for one service to hold tokens of its wallet, for some minutes.

The grant holds nothing itself. Its ceiling is a limit of the ledger, counted under
``grant:{id}`` in the same commit as each hold that is placed on it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import jwt
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from accounts.services import AuthenticatedKey
from marketplace.catalog import selectors as catalog
from marketplace.catalog.models import Provider
from marketplace.catalog.selectors import CallableService
from marketplace.ledger import services as ledger
from marketplace.partners.models import DirectGrant, SigningKey
from marketplace.partners.pseudonyms import pseudonym_of
from marketplace.partners.services.policies import refuse_forbidden
from marketplace.partners.services.signing_keys import get_signing_key
from marketplace.partners.tokens import GrantClaims, key_id_of, sign, verify
from portal.kernel.errors import Forbidden, NotFound, Rejected
from portal.kernel.rest.fields import format_decimal_tokens

MIN_LIFETIME = timedelta(seconds=30)


class GrantServiceNotFound(NotFound):
    """There is no such service for this key."""

    code = "service_not_found"


class ServiceNotAllowed(Forbidden):
    """This key may not call the service."""

    code = "service_not_allowed"


class GrantRejected(Rejected):
    """The grant cannot be made like this."""

    code = "grant_rejected"


class GrantUnreadable(Rejected):
    """This is no grant of this market."""

    code = "grant_unreadable"


class GrantExpired(Rejected):
    """The grant has run out; the tenant can get a new one."""

    code = "grant_expired"


@dataclass(frozen=True)
class IssuedGrant:
    """A grant and its token, which is not kept."""

    grant: DirectGrant
    service: CallableService
    token: str


def issue_grant(
    *,
    key: AuthenticatedKey,
    service: str,
    ceiling_millitokens: int,
    lifetime: timedelta | None = None,
    now: datetime,
) -> IssuedGrant:
    """A grant for ``service`` (handle or public id), signed for its provider.

    Raises GrantServiceNotFound (unknown, or of the other unit), ServiceNotAllowed (the key's
    list), GrantRejected (ceiling not positive, lifetime out of bounds), LedgerUnguarded.
    """
    ledger.refuse_when_unguarded()
    longest = timedelta(seconds=settings.DIRECT_GRANT_SECONDS)
    lifetime = longest if lifetime is None else lifetime
    if not MIN_LIFETIME <= lifetime <= longest:
        raise GrantRejected(
            _("A grant lives from %(least)d to %(most)d seconds.")
            % {"least": MIN_LIFETIME.total_seconds(), "most": longest.total_seconds()},
            data={"field": "lifetime_seconds"},
        )
    if ceiling_millitokens <= 0:
        raise GrantRejected(
            _("The ceiling must be more than zero tokens."), data={"field": "ceiling"}
        )
    target = _find_service(service, key, now)
    signing_key = get_signing_key(now=now)
    grant = DirectGrant.objects.create(
        organisation_id=key.organisation_pk,
        api_key_id=key.key_id,
        service_id=target.service_pk,
        ceiling_millitokens=ceiling_millitokens,
        created_at=now,
        expires_at=now + lifetime,
    )
    claims = GrantClaims(
        grant_id=grant.public_id,
        service_id=target.public_id,
        subject=pseudonym_of(
            organisation_public_id=key.organisation_public_id,
            provider_public_id=target.provider_public_id,
        ),
        ceiling=format_decimal_tokens(ceiling_millitokens),
        unit=target.unit,
        issued_at=now,
        expires_at=grant.expires_at,
    )
    token = sign(claims, key_id=signing_key.key_id, private_pem=signing_key.private_pem)
    return IssuedGrant(grant, target, token)


def read_grant(*, token: str, provider: Provider, now: datetime) -> DirectGrant:
    """The living grant that ``token`` proves, with organisation, key and service.

    Raises GrantUnreadable (no token of ours, or tampered with), NotFound (another provider's
    service), GrantExpired.
    """
    signing_key = SigningKey.objects.filter(key_id=key_id_of(token)).first()
    if signing_key is None:
        raise _unreadable()
    try:
        claims = verify(token, public_jwk=signing_key.public_jwk)
    except (jwt.PyJWTError, ValueError) as error:
        raise _unreadable() from error
    grant = (
        DirectGrant.objects.select_related("organisation", "api_key", "service__provider")
        .filter(public_id=str(claims["jti"]), service__public_id=str(claims["aud"]))
        .first()
    )
    if grant is None or grant.service.provider_id != provider.pk:
        raise GrantServiceNotFound(_("This grant is for no service of yours."))
    if grant.expires_at <= now:
        raise GrantExpired(_("This grant has run out. Ask the caller for a new one."))
    return grant


def _find_service(name: str, key: AuthenticatedKey, now: datetime) -> CallableService:
    unit = "test" if key.kind == "test" else "live"
    known = catalog.list_callable_services(unit=unit, now=now)
    target = next((s for s in known if name in (s.handle, s.public_id)), None)
    if target is None or target.is_sample:
        raise GrantServiceNotFound(
            _("There is no live service of this name."), data={"field": "service"}
        )
    if key.allowed_services and target.public_id not in key.allowed_services:
        raise ServiceNotAllowed(_("This key may not call that service."))
    refuse_forbidden(target, key.policies)
    return target


def _unreadable() -> GrantUnreadable:
    return GrantUnreadable(_("This is no grant of this market."), data={"field": "grant"})
