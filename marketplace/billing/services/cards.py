"""Saved cards: sent to the provider's page, looked at after it, removed.

Whether a card was saved is asked of the provider, never concluded from somebody coming back.
"""

from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts import services as accounts
from accounts.models import Organisation, User
from accounts.services import SYSTEM_ACTOR, Actor
from marketplace.billing.models import RuleEnd, SavedCard, TopUpRule
from marketplace.billing.payment_provider import SessionUnknown
from marketplace.billing.providers import get_default_provider, get_payment_provider
from marketplace.billing.saved_cards import CardRequest, CardVisit
from marketplace.billing.services import top_up_rules
from portal.kernel.errors import Conflict, DomainError

_log = structlog.get_logger(__name__)

# A visit that is older than this is over at every provider.
VISIT_LASTS = timedelta(hours=24)


class CardSavedAlready(Conflict):
    """One card is saved; it has to be removed before another is."""

    code = "card_saved_already"
    sentence = _("A card is saved already. Remove it before you save another. Nothing was changed.")


def begin_card_visit(*, organisation: Organisation, user: User, now: datetime) -> str:
    """The address of the page where a card is saved: of the open visit there is, or of a new one.

    Over the network. Raises CardSavedAlready, PaymentRefused, PaymentsUnavailable.
    """
    look_at_card_visits(organisation=organisation, now=now)
    if SavedCard.objects.filter(_usable(), organisation=organisation).exists():
        raise CardSavedAlready
    provider = get_default_provider()
    mine = SavedCard.objects.filter(organisation=organisation, provider=provider.name)
    asked = mine.filter(_visited(now)).order_by("-id").first()
    if asked is not None:
        return provider.retrieve_card_visit(asked.visit_id or "").page_url
    known = mine.order_by("-id").first()
    customer_id = (
        known.customer_id
        if known is not None
        else provider.create_customer(
            organisation_id=organisation.public_id,
            name=organisation.legal_name or organisation.name,
            email=organisation.billing_email or user.email,
        )
    )
    card = SavedCard.objects.create(
        organisation=organisation,
        provider=provider.name,
        customer_id=customer_id,
        asked_by=user,
        asked_at=now,
    )
    visit = provider.begin_card_visit(_make_request(card), idempotency_key=f"card-{card.public_id}")
    SavedCard.objects.filter(pk=card.pk).update(visit_id=visit.visit_id)
    return visit.page_url


def look_at_card_visits(*, organisation: Organisation, now: datetime) -> None:
    """Ask what came of the organisation's visits. Over the network; a provider that cannot be
    reached is asked again next time."""
    cards = SavedCard.objects.filter(_visited(now), organisation=organisation)
    for card in cards.order_by("pk"):  # of several that were saved, the first one counts
        try:
            visit = get_payment_provider(card.provider).retrieve_card_visit(card.visit_id or "")
        except SessionUnknown:
            SavedCard.objects.filter(_asked(), pk=card.pk).update(removed_at=now, forgotten_at=now)
        except DomainError as error:
            _log.warning("card_visit_not_seen", card=card.public_id, code=error.code)
        else:
            _note_visit(card, visit, now=now)


def remove_card(*, card: SavedCard, actor: Actor, now: datetime) -> None:
    """At once and for good; the rule that charges it ends. Twice is once."""
    with transaction.atomic(durable=True):
        _lock_organisation(card.organisation)
        if not SavedCard.objects.filter(_usable(), pk=card.pk).update(removed_at=now):
            return
        accounts.record_audit(
            organisation=card.organisation,
            actor=actor,
            action="card.removed",
            target_id=card.public_id,
            target_label=card.label,
            now=now,
        )
        for rule in TopUpRule.objects.filter(card=card, ended_at__isnull=True):
            top_up_rules.end_rule(rule=rule, reason=RuleEnd.CARD_REMOVED, actor=actor, now=now)
    forget_removed_cards(now=now)


def forget_removed_cards(*, now: datetime) -> None:
    """Tell the providers; whoever cannot be reached is told later."""
    removed = SavedCard.objects.filter(removed_at__isnull=False, forgotten_at__isnull=True)
    for card in removed[:50]:
        try:
            get_payment_provider(card.provider).forget_card(card.card_id)
        except DomainError as error:
            _log.warning("card_not_forgotten", card=card.public_id, code=error.code)
            continue
        SavedCard.objects.filter(pk=card.pk).update(forgotten_at=now)


def _note_visit(card: SavedCard, visit: CardVisit, *, now: datetime) -> None:
    """Saved once. Of two visits at once the first is kept, the other's card is forgotten."""
    if visit.card is None:
        if visit.is_over:
            SavedCard.objects.filter(_asked(), pk=card.pk).update(removed_at=now, forgotten_at=now)
        return
    with transaction.atomic(durable=True):
        _lock_organisation(card.organisation)
        row = SavedCard.objects.get(pk=card.pk)
        if row.saved_at is not None or row.removed_at is not None:
            return
        row.card_id, row.brand, row.last4 = visit.card.card_id, visit.card.brand, visit.card.last4
        row.expires_year = visit.card.expires_year
        row.expires_month = visit.card.expires_month
        if SavedCard.objects.filter(_usable(), organisation=row.organisation).exists():
            row.removed_at = now
            row.save()
            return
        row.saved_at = now
        row.save()
        accounts.record_audit(
            organisation=row.organisation,
            actor=SYSTEM_ACTOR,
            action="card.saved",
            target_id=row.public_id,
            target_label=row.label,
            now=now,
        )


def _make_request(card: SavedCard) -> CardRequest:
    organisation = card.organisation
    page = reverse("billing:top_up", kwargs={"organisation": organisation.slug})
    return CardRequest(
        customer_id=card.customer_id,
        currency=settings.TARIFF_CURRENCY,
        language=card.asked_by.language,
        return_url=f"{settings.SITE_URL}{page}",
        cancel_url=f"{settings.SITE_URL}{page}",
        metadata={"organisation": organisation.public_id, "card": card.public_id},
    )


def _usable() -> Q:
    return Q(saved_at__isnull=False, removed_at__isnull=True)


def _asked() -> Q:
    return Q(saved_at__isnull=True, removed_at__isnull=True)


def _visited(now: datetime) -> Q:
    return _asked() & Q(visit_id__isnull=False, asked_at__gt=now - VISIT_LASTS)


def _lock_organisation(organisation: Organisation) -> None:
    Organisation.objects.select_for_update(no_key=True).get(pk=organisation.pk)
