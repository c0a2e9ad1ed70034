"""Providers and the models that they serve."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _

from accounts.models import Organisation
from accounts.services import SYSTEM_ACTOR, Actor, record_audit
from marketplace.catalog import vocabulary
from marketplace.catalog.models import AIModel, Provider, Service
from marketplace.catalog.services.checks import announce_change, rejected, require_fields
from marketplace.catalog.services.search_index import refresh_search_text
from portal.kernel.errors import Conflict

PROVIDER_FIELDS = frozenset({"name", "summary_en", "summary_zh", "website", "country"})
MODEL_FIELDS = frozenset(
    {
        "name", "family", "author", "modality", "input_modalities", "output_modalities",
        "context_length", "parameters_millions", "licence_spdx", "licence_url", "languages",
        "tasks", "industries", "tokenizer", "summary_en", "summary_zh", "released_on",
    }
)  # fmt: skip


class AlreadyProvider(Conflict):
    """This organisation is a provider already."""

    code = "already_provider"


def create_provider(
    *,
    organisation: Organisation,
    name: str,
    slug: str = "",
    summary_en: str = "",
    summary_zh: str = "",
    website: str = "",
    country: str = "",
    commission_basis_points: int | None = None,
    is_sample: bool = False,
    now: datetime,
    actor: Actor = SYSTEM_ACTOR,
) -> Provider:
    """Give an organisation a provider's profile; its commission is the market's, unless agreed.

    Raises ``AlreadyProvider``, or ``ListingRejected`` for fields that cannot be.
    """
    if commission_basis_points is None:
        commission_basis_points = settings.COMMISSION_BASIS_POINTS
    with transaction.atomic():
        if Provider.objects.filter(organisation=organisation).exists():
            raise AlreadyProvider(_("This organisation is a provider already."))
        provider = Provider(
            organisation=organisation,
            slug=_free_provider_slug(slug or name),
            name=name,
            summary_en=summary_en,
            summary_zh=summary_zh,
            website=website,
            country=country,
            commission_basis_points=commission_basis_points,
            is_sample=is_sample,
            created_at=now,
        )
        _require_country(country)
        require_fields(provider)
        provider.save()
        _audit(provider, "provider.created", {"slug": provider.slug}, actor, now)
    return provider


def update_provider(
    *,
    provider: Provider,
    changes: dict[str, Any],
    now: datetime,
    actor: Actor = SYSTEM_ACTOR,
) -> Provider:
    """Change what the public page says of a provider; its slug and commission stay."""
    _require_known(changes, PROVIDER_FIELDS)
    with transaction.atomic():
        for field, value in changes.items():
            setattr(provider, field, value)
        _require_country(provider.country)
        require_fields(provider)
        provider.save(update_fields=sorted(changes))
        refresh_search_text(Service.objects.filter(provider=provider))
        _audit(provider, "provider.updated", changes, actor, now)
        announce_change()
    return provider


def save_model(*, handle: str, **fields: Any) -> AIModel:
    """Register a model, or correct what is known of it. The handle never changes.

    ``fields`` are ``MODEL_FIELDS``; a new model needs name, family, author, modality, context
    length and licence. Raises ``ListingRejected``.
    """
    _require_known(fields, MODEL_FIELDS)
    with transaction.atomic():
        model = AIModel.objects.filter(handle=handle).first() or AIModel(
            handle=handle, slug=slugify(handle.replace("/", "-").replace(".", "-"))
        )
        for field, value in fields.items():
            setattr(model, field, value)
        for field, known in (("tasks", vocabulary.TASKS), ("industries", vocabulary.INDUSTRIES)):
            unknown = sorted(set(getattr(model, field)) - set(known))
            if unknown:
                reason = _("Not in the list: %(codes)s.") % {"codes": ", ".join(unknown)}
                raise rejected({field: [reason]})
        require_fields(
            model,
            # Lists may be empty; Django would call that blank.
            exclude=("input_modalities", "output_modalities", "languages", "tasks", "industries"),
        )
        model.save()
        refresh_search_text(Service.objects.filter(model=model))
        announce_change()
    return model


def _audit(
    provider: Provider, action: str, after: dict[str, Any], actor: Actor, now: datetime
) -> None:
    record_audit(
        organisation=provider.organisation,
        actor=actor,
        action=action,
        target_id=provider.public_id,
        target_label=provider.name,
        after=after,
        now=now,
    )


def _require_known(changes: dict[str, Any], known: frozenset[str]) -> None:
    unknown = set(changes) - known
    if unknown:
        raise rejected({name: [_("This cannot be changed.")] for name in sorted(unknown)})


def _require_country(code: str) -> None:
    if code and not vocabulary.is_country(code):
        raise rejected({"country": [_("Enter a country's two-letter code, such as DE or CN.")]})


def _free_provider_slug(wish: str) -> str:
    base = slugify(wish)[:50].strip("-") or "provider"
    taken = set(Provider.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    return next(
        slug
        for slug in (base, *(f"{base}-{number}" for number in range(2, len(taken) + 3)))
        if slug not in taken
    )
