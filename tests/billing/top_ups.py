"""What tests of automatic top-up do: save a card, agree, run, look at every trace."""

from datetime import datetime
from typing import Any

from accounts.models import AuditEvent, Notice, Organisation, User
from accounts.services import SYSTEM_ACTOR
from marketplace.billing import services, top_up_state
from marketplace.billing.models import Order, Pack, SavedCard, TopUpRule
from marketplace.billing.offers import make_offer
from marketplace.billing.services import TopUpTerms
from portal.kernel.clock import utc_now
from tests.billing.processors import Processor
from tests.billing.shop import MILLION


def owner_of(organisation: Organisation) -> User:
    return organisation.memberships.order_by("pk")[0].user


def save_card(
    organisation: Organisation, processor: Processor, behaviour: str = "good"
) -> SavedCard:
    services.begin_card_visit(organisation=organisation, user=owner_of(organisation), now=utc_now())
    visit = SavedCard.objects.latest("id").visit_id
    assert visit
    processor.save_card(visit, behaviour)
    services.look_at_card_visits(organisation=organisation, now=utc_now())
    card = top_up_state.find_card(organisation)
    assert card is not None
    return card


def make_terms(card: SavedCard, pack: Pack, **changes: Any) -> TopUpTerms:
    """The standard pack below 50M tokens, at most two of it a month."""
    offer = make_offer(
        pack=pack, currency=changes.pop("currency", "USD"), quantity=changes.pop("quantity", 1)
    )
    said = {"threshold_millitokens": 50 * MILLION, "cap_minor": 20_000, **changes}
    return TopUpTerms(organisation=card.organisation, card=card, offer=offer, **said)


def agree(
    organisation: Organisation,
    pack: Pack,
    processor: Processor,
    behaviour: str = "good",
    **changes: Any,
) -> TopUpRule:
    """A rule that is on, of a card that was saved for it unless there is one."""
    card = top_up_state.find_card(organisation) or save_card(organisation, processor, behaviour)
    terms = make_terms(card, pack, **changes)
    return services.agree_to_top_up(
        terms=terms,
        digest=terms.digest,
        user=owner_of(organisation),
        actor=SYSTEM_ACTOR,
        now=utc_now(),
    )


def run(now: datetime | None = None) -> int:
    return services.run_due_top_ups(now=now or utc_now())


def top_ups_of(organisation: Organisation) -> list[Order]:
    """The oldest first."""
    return list(top_up_state.list_top_up_orders(organisation))[::-1]


def outcomes(organisation: Organisation) -> list[str]:
    """What its first owner was told of top-ups, in order."""
    told = Notice.objects.filter(
        organisation=organisation,
        person=owner_of(organisation),
        kind__in=["top_up_paid", "top_up_failed"],
    )
    return [one.params.get("outcome", "paid") for one in told.order_by("id")]


def actions(organisation: Organisation) -> list[str]:
    kept = AuditEvent.objects.filter(organisation=organisation).order_by("id")
    return list(kept.values_list("action", flat=True))
