"""What an organisation agrees to: the words, the consent, and its end. See models.top_ups."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils import translation
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _

from accounts import services as accounts
from accounts.models import Organisation, User
from accounts.services import SYSTEM_ACTOR, Actor
from marketplace.billing.models import RuleEnd, SavedCard, TopUpRule
from marketplace.billing.offers import Offer
from marketplace.billing.providers import tax_is_computed_on_payment
from marketplace.billing.services import telling
from portal.kernel import quantities
from portal.kernel.errors import Conflict, Rejected

_MOST_MILLITOKENS = 10**18
NO_TAX_WITHOUT_PAGE = _(
    "The tax is computed on the payment page here, so nothing can be bought automatically."
)


class NoSavedCard(Conflict):
    """Nothing could be charged."""

    code = "no_saved_card"
    sentence = _("Save a card first. Nothing was changed.")


class ConsentChanged(Conflict):
    """What would be agreed to is not what was shown."""

    code = "consent_changed"
    sentence = _("The price or the terms changed since you saw them. Please read them again.")


class TopUpTermsRejected(Rejected):
    """Terms that no rule can have; ``data`` names the field."""

    code = "top_up_terms_rejected"
    sentence = _("Automatic top-up is not possible on these terms. Nothing was changed.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUpTerms:
    """What is agreed to. Tokens are millitokens, ``cap_minor`` is in the offer's currency.

    ``text`` are the words of it in the active language, ``digest`` tells them from others.
    """

    organisation: Organisation
    card: SavedCard
    offer: Offer
    threshold_millitokens: int
    cap_minor: int

    @property
    def text(self) -> str:
        offer, language = self.offer, get_language() or settings.LANGUAGE_CODE
        words = {
            "site": settings.SITE_NAME,
            "card": self.card.label,
            "company": self.organisation.name,
            "threshold": quantities.format_tokens_exact(self.threshold_millitokens),
            "amount": quantities.format_money(offer.amount_minor, offer.currency, language),
            "pack": offer.name,
            "quantity": offer.quantity,
            "tokens": quantities.format_tokens_exact(offer.total_millitokens),
            "cap": quantities.format_money(self.cap_minor, offer.currency, language),
            "zone": self.organisation.timezone,
        }
        return (
            gettext(
                "Whenever fewer than %(threshold)s tokens that are good for everything are free in"
                " the wallet of %(company)s, %(site)s may charge %(amount)s, tax included, to the"
                " card %(card)s without asking again, for %(tokens)s tokens: %(pack)s ×"
                " %(quantity)s. It never charges more than %(cap)s in one calendar month (time zone"
                " %(zone)s). If the price or the terms of the pack change, nothing is charged until"
                " we agree anew. We can end this at any time on the page “Automatic top-up”; it"
                " ends at once."
            )
            % words
        )

    @property
    def digest(self) -> str:
        said = f"{self.text}\n{self.offer.terms}\n{self.card.public_id}"
        return hashlib.sha256(said.encode()).hexdigest()


def refuse_terms(terms: TopUpTerms) -> None:
    """Raises TopUpTermsRejected with the field and a sentence about it."""
    if tax_is_computed_on_payment():
        raise TopUpTermsRejected(NO_TAX_WITHOUT_PAGE, data={"field": "pack"})
    offer = terms.offer
    if not 0 < terms.threshold_millitokens <= _MOST_MILLITOKENS:
        raise TopUpTermsRejected(_("Choose at least 1 token."), data={"field": "threshold"})
    if offer.scope:
        raise TopUpTermsRejected(
            _("Only packs that are good for everything top up the wallet."), data={"field": "pack"}
        )
    if offer.total_millitokens < terms.threshold_millitokens:
        raise TopUpTermsRejected(
            _(
                "One top-up gives fewer tokens than this mark, so several would follow one another."
                " Choose a lower mark or a larger quantity."
            ),
            data={"field": "threshold"},
        )
    if terms.cap_minor < offer.amount_minor:
        raise TopUpTermsRejected(
            _("The most in one month is less than one top-up costs."), data={"field": "cap"}
        )


def agree_to_top_up(
    *, terms: TopUpTerms, digest: str, user: User, actor: Actor, now: datetime
) -> TopUpRule:
    """The consent to ``terms`` as they were shown; one before it ends.

    The same again is the rule there is. Raises TopUpTermsRejected, ConsentChanged, NoSavedCard.
    """
    refuse_terms(terms)
    if digest != terms.digest:
        raise ConsentChanged
    organisation, offer = terms.organisation, terms.offer
    with transaction.atomic(durable=True):
        Organisation.objects.select_for_update(no_key=True).get(pk=organisation.pk)
        usable = SavedCard.objects.filter(saved_at__isnull=False, removed_at__isnull=True)
        if not usable.filter(pk=terms.card.pk, organisation=organisation).exists():
            raise NoSavedCard
        earlier = TopUpRule.objects.filter(organisation=organisation, ended_at__isnull=True).first()
        if earlier is not None:
            if earlier.consent_text == terms.text and earlier.terms == offer.terms:
                return earlier
            end_rule(rule=earlier, reason=RuleEnd.REPLACED, actor=actor, now=now)
        rule = TopUpRule.objects.create(
            organisation=organisation,
            card=terms.card,
            threshold_millitokens=terms.threshold_millitokens,
            pack=offer.pack,
            quantity=offer.quantity,
            currency=offer.currency,
            amount_minor=offer.amount_minor,
            terms=offer.terms,
            cap_minor=terms.cap_minor,
            timezone=organisation.timezone,
            consent_text=terms.text,
            agreed_by=user,
            agreed_at=now,
        )
        _audit(rule, "top_up.agreed", actor, after=_facts(rule), now=now)
    return rule


def switch_off_top_up(*, organisation: Organisation, actor: Actor, now: datetime) -> bool:
    """At once: what was not sent yet is not sent. False when none was on."""
    with transaction.atomic(durable=True):
        rule = (
            TopUpRule.objects.select_for_update(of=("self",))
            .filter(organisation=organisation, ended_at__isnull=True)
            .first()
        )
        if rule is None:
            return False
        end_rule(rule=rule, reason=RuleEnd.SWITCHED_OFF, actor=actor, now=now)
    return True


def end_rule(
    *, rule: TopUpRule, reason: RuleEnd, actor: Actor = SYSTEM_ACTOR, now: datetime
) -> bool:
    """In the caller's transaction; twice is once. What nobody asked for is told of."""
    ended = TopUpRule.objects.filter(pk=rule.pk, ended_at__isnull=True).update(
        ended_at=now, end_reason=reason
    )
    if not ended:
        return False
    _audit(rule, "top_up.ended", actor, after={"reason": str(reason)}, now=now)
    if reason in (RuleEnd.FAILURES, RuleEnd.OFFER_CHANGED):
        telling.tell_of_top_up_end(rule=rule, reason=reason, now=now)
    return True


def _audit(
    rule: TopUpRule, action: str, actor: Actor, *, after: dict[str, object], now: datetime
) -> None:
    with translation.override(rule.agreed_by.language):
        name = rule.pack.name
    accounts.record_audit(
        organisation=rule.organisation,
        actor=actor,
        action=action,
        target_id=rule.public_id,
        target_label=name,
        after=after,
        now=now,
    )


def _facts(rule: TopUpRule) -> dict[str, object]:
    return {
        "amount_minor": rule.amount_minor,
        "currency": rule.currency,
        "quantity": rule.quantity,
        "threshold_millitokens": rule.threshold_millitokens,
        "cap_minor": rule.cap_minor,
    }
