"""What an organisation agrees to before anything is charged by itself."""

from dataclasses import replace
from typing import Any

import pytest

from accounts.models import Organisation, User
from accounts.services import SYSTEM_ACTOR
from marketplace.billing import services
from marketplace.billing.models import Pack, PackPrice, TopUpRule
from portal.kernel.clock import utc_now
from tests.billing.processors import Processor, SandboxProcessor
from tests.billing.shop import MILLION
from tests.billing.top_ups import (
    actions,
    agree,
    make_terms,
    outcomes,
    owner_of,
    run,
    save_card,
    top_ups_of,
)


def test_the_consent_is_kept_word_by_word(
    acme: Organisation, ada: User, team_pack: Pack, processor: Processor
) -> None:
    rule = agree(acme, team_pack, processor)
    for said in ("$95.00", "$200.00", "50,000,000", "105,000,000", "Visa •••• 4242", "Team × 1"):
        assert said in rule.consent_text
    assert rule.agreed_by == ada
    again = agree(acme, team_pack, processor)
    assert again == rule
    other = agree(acme, team_pack, processor, cap_minor=30_000)
    rule.refresh_from_db()
    assert (rule.end_reason, other.ended_at) == ("replaced", None)
    assert actions(acme)[-2:] == ["top_up.ended", "top_up.agreed"]


def test_what_was_not_shown_is_not_agreed_to(
    acme: Organisation, team_pack: Pack, processor: Processor
) -> None:
    card = save_card(acme, processor)
    shown = make_terms(card, team_pack)
    PackPrice.objects.filter(currency="USD").update(amount_minor=9900)
    team_pack = Pack.objects.get()
    with pytest.raises(services.ConsentChanged):
        services.agree_to_top_up(
            terms=make_terms(card, team_pack),
            digest=shown.digest,
            user=owner_of(acme),
            actor=SYSTEM_ACTOR,
            now=utc_now(),
        )
    assert not TopUpRule.objects.exists()
    assert actions(acme) == ["card.saved"]


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("threshold", {"threshold_millitokens": 0}),
        ("threshold", {"threshold_millitokens": 106 * MILLION}),
        ("cap", {"cap_minor": 9_499}),
        ("pack", {"scope": "modality:chat"}),
    ],
)
def test_terms_that_no_rule_can_have(
    acme: Organisation, team_pack: Pack, field: str, changes: dict[str, Any]
) -> None:
    if scope := changes.pop("scope", ""):
        team_pack.scope = scope
    with pytest.raises(services.TopUpTermsRejected) as refusal:
        agree(acme, team_pack, SandboxProcessor(), **changes)
    assert refusal.value.data == {"field": field}
    assert not TopUpRule.objects.exists()


@pytest.mark.parametrize("change", ["price", "off_sale", "tax"])
def test_another_offer_than_was_agreed_to_is_never_charged(
    acme: Organisation, team_pack: Pack, processor: Processor, settings: Any, change: str
) -> None:
    rule = agree(acme, team_pack, processor)
    if change == "price":
        PackPrice.objects.filter(currency="USD").update(amount_minor=9501)
    elif change == "off_sale":
        Pack.objects.update(on_sale=False)
    else:
        settings.TAX_BASIS_POINTS, settings.TAX_NAME = 1900, "VAT"
    assert run() == 0
    rule.refresh_from_db()
    assert rule.end_reason == "offer_changed"
    assert top_ups_of(acme) == []
    assert processor.count_charged() == 0
    assert outcomes(acme) == ["offer_changed"]


def test_nobody_agrees_to_charge_the_card_of_another(
    acme: Organisation, globex: Organisation, team_pack: Pack
) -> None:
    theirs = replace(
        make_terms(save_card(acme, SandboxProcessor()), team_pack), organisation=globex
    )
    with pytest.raises(services.NoSavedCard):
        services.agree_to_top_up(
            terms=theirs,
            digest=theirs.digest,
            user=owner_of(globex),
            actor=SYSTEM_ACTOR,
            now=utc_now(),
        )
    assert not TopUpRule.objects.exists()
    assert actions(globex) == []
