"""The page of automatic top-up: from no card to off again, and everything that is refused."""

from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from accounts.models import AuditEvent, Organisation, User
from marketplace.billing import services, top_up_state
from marketplace.billing.models import Pack, PackPrice, SandboxCard, SavedCard, TopUpRule
from portal.kernel.clock import utc_now
from tests.billing.processors import SandboxProcessor
from tests.billing.shop import balance_of
from tests.billing.top_ups import agree, run, save_card
from tests.cast import make_organisation, signed_in
from tests.databases import CommittedDatabase

PAGE = "/o/acme/top-up/"
TERMS = {"pack": "team:USD", "quantity": "1", "threshold": "50000000", "cap": "200"}


def read_digest(page: str) -> str:
    return page.split('name="digest" value="')[1].split('"')[0]


def text_of(answer: Any) -> str:
    return str(answer.content.decode())


@pytest.fixture
def card(acme: Organisation, team_pack: Pack) -> SavedCard:
    return save_card(acme, SandboxProcessor())


def test_from_no_card_to_tokens_and_off_again(ada: User, bill: User, team_pack: Pack) -> None:
    browser, acme = signed_in(bill), Organisation.objects.get(slug="acme")
    page = text_of(browser.get(PAGE))
    assert "Nothing is charged by itself." in page
    assert "Read what you agree to" not in page
    hosted = browser.post("/o/acme/cards/")
    assert hosted.status_code == 302
    visit = SandboxCard.objects.get()
    assert hosted["Location"].endswith(f"/sandbox/card/{visit.visit_id}/")
    back = Client().post(f"/sandbox/card/{visit.visit_id}/", {"card": "good"})
    assert back["Location"].endswith(PAGE)
    page = text_of(browser.get(PAGE))
    assert "Visa •••• 4242" in page
    consent = text_of(browser.get(f"{PAGE}?{urlencode(TERMS)}"))
    assert "may charge $95.00, tax included, to the card Visa •••• 4242" in consent
    assert not TopUpRule.objects.exists()
    said = {**TERMS, "digest": read_digest(consent)}
    for _click in range(2):
        assert browser.post(PAGE, said)["Location"] == PAGE
    rule = TopUpRule.objects.get()
    assert rule.agreed_by == bill
    assert rule.consent_text in consent.replace("&quot;", '"')
    assert "the next are bought within a minute" in text_of(browser.get(PAGE))
    assert run() == 1
    page = text_of(browser.get(PAGE))
    assert "There are enough tokens" in page
    assert "$95.00 of at most $200.00" in page
    assert "automatic top-up" in text_of(browser.get("/o/acme/wallet/"))
    assert "automatic top-up" in text_of(browser.get("/o/acme/orders/"))
    for _click in range(2):
        assert browser.post(f"{PAGE}off/")["Location"] == PAGE
    assert "switched off" in text_of(browser.get(PAGE))
    assert balance_of(acme) == 105_000_000_000
    log = text_of(signed_in(ada).get("/o/acme/audit/"))
    for said_there in ("Automatic top-up agreed to", "Automatic top-up ended", "$200.00"):
        assert said_there in log


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"pack": "team:ZZZ"}, "Select a valid choice"),
        ({"pack": ""}, "required"),
        ({"quantity": "0"}, "greater than or equal to 1"),
        ({"quantity": "101"}, "less than or equal to 100"),
        ({"threshold": "0"}, "greater than or equal to 1"),
        ({"threshold": "all"}, "whole number"),
        ({"threshold": "105000001"}, "several would follow one another"),
        ({"cap": "94.99"}, "less than one top-up costs"),
        ({"cap": "1e30"}, "Ensure that there are no more"),
        ({"cap": "NaN"}, "Enter a number"),
        ({"pack": "team:JPY", "cap": "14500.5"}, "no decimals"),
    ],
)
def test_wrong_terms_are_said_and_kept(
    ada: User, card: SavedCard, changes: dict[str, str], sentence: str
) -> None:
    terms = {**TERMS, **changes}
    browser = signed_in(ada)
    for answer in (
        browser.get(f"{PAGE}?{urlencode(terms)}"),
        browser.post(PAGE, {**terms, "digest": "x"}),
    ):
        assert answer.status_code == 400
        assert sentence in text_of(answer)
        assert "<title>Error:" in text_of(answer).replace("\n", "")
        if changes.get("cap"):
            assert f'value="{changes["cap"]}"' in text_of(answer)
    assert not TopUpRule.objects.exists()


def test_what_changed_since_it_was_read_is_read_again(ada: User, card: SavedCard) -> None:
    browser = signed_in(ada)
    digest = read_digest(text_of(browser.get(f"{PAGE}?{urlencode(TERMS)}")))
    PackPrice.objects.filter(currency="USD").update(amount_minor=9900)
    answer = browser.post(PAGE, {**TERMS, "digest": digest})
    assert answer.status_code == 409
    assert "may charge $99.00" in text_of(answer)
    assert not TopUpRule.objects.exists()
    assert browser.post(PAGE, {**TERMS, "digest": read_digest(text_of(answer))}).status_code == 302
    assert TopUpRule.objects.get().amount_minor == 9900


def test_without_a_card_nothing_is_agreed_to(ada: User, team_pack: Pack) -> None:
    answer = signed_in(ada).post(PAGE, {**TERMS, "digest": "x"})
    assert answer.status_code == 409
    assert "Save a card first." in text_of(answer)
    assert not TopUpRule.objects.exists()


def test_leaving_the_page_for_cards_saves_none(ada: User, team_pack: Pack) -> None:
    browser = signed_in(ada)
    browser.post("/o/acme/cards/")
    path = f"/sandbox/card/{SandboxCard.objects.get().visit_id}/"
    assert browser.post(path, {"card": "gold"}).status_code == 400
    assert browser.post(path, {"card": ""})["Location"].endswith(PAGE)
    assert "Save a card" in text_of(browser.get(PAGE))
    assert SandboxCard.objects.get().state == "open"


def test_anothers_card_is_not_found(ada: User, gus: User, card: SavedCard) -> None:
    before = AuditEvent.objects.count()
    for path in (f"/o/globex/cards/{card.public_id}/remove/", f"/o/acme/cards/x{card.pk}/remove/"):
        assert signed_in(gus).post(path).status_code == 404
    assert signed_in(ada).post(f"/o/acme/cards/x{card.pk}/remove/").status_code == 404
    card.refresh_from_db()
    assert card.removed_at is None
    assert AuditEvent.objects.count() == before


def test_a_member_may_not(mia: User, card: SavedCard) -> None:
    browser = signed_in(mia)
    assert browser.get(PAGE).status_code == 403
    for path in (PAGE, f"{PAGE}off/", "/o/acme/cards/", f"/o/acme/cards/{card.public_id}/remove/"):
        assert browser.post(path, TERMS).status_code == 403
    assert top_up_state.find_card(card.organisation) == card
    assert not TopUpRule.objects.exists()


def test_the_order_says_that_the_bank_asks_and_leads_to_the_pay_page(
    acme: Organisation, ada: User, team_pack: Pack
) -> None:
    agree(acme, team_pack, SandboxProcessor(), "asks_holder")
    run()
    browser = signed_in(ada)
    order = top_up_state.find_open_order(acme)
    assert order is not None
    assert "your bank wants you to confirm it" in text_of(browser.get(PAGE))
    path = f"/o/acme/orders/{order.public_id}/"
    page = text_of(browser.get(path))
    assert "Your bank wants you to confirm this payment" in page
    assert "Pay $95.00" in page
    assert "/sandbox/pay/" in browser.post(f"{path}pay/")["Location"]
    assert f'href="{path}"' in text_of(browser.get("/o/acme/notifications/"))


def test_while_a_charge_is_under_way_nobody_pays_or_cancels(
    committed_db: CommittedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker has died between its commit and the call."""
    from marketplace.billing.sandbox.adapter import SandboxProvider
    from tests.billing.shop import make_pack

    acme = make_organisation("Acme Ltd", slug="acme")
    agree(acme, make_pack(), SandboxProcessor())
    charge = SandboxProvider.charge_card
    monkeypatch.setattr(SandboxProvider, "charge_card", _unreachable)
    assert run() == 0
    order = top_up_state.find_open_order(acme)
    assert order is not None
    browser = signed_in(order.ordered_by)
    path = f"/o/acme/orders/{order.public_id}/"
    page = text_of(browser.get(path))
    assert "Your saved card is being charged" in page
    assert "Pay $95.00" not in page
    assert browser.post(f"{path}pay/").status_code == 302
    assert browser.post(f"{path}cancel/").status_code == 409
    assert order.attempts.count() == 1
    monkeypatch.setattr(SandboxProvider, "charge_card", charge)
    assert run() == 1
    assert balance_of(acme) == 105_000_000_000


def _unreachable(*args: Any, **more: Any) -> None:
    from marketplace.billing.payment_provider import PaymentOutcomeUnknown

    raise PaymentOutcomeUnknown


def test_the_page_is_there_without_a_provider(ada: User, team_pack: Pack, settings: Any) -> None:
    settings.SANDBOX_PAYMENTS = False
    browser = signed_in(ada)
    assert browser.get(PAGE).status_code == 200
    answer = browser.post("/o/acme/cards/")
    assert answer.status_code == 503
    assert "Buying is not set up on this site." in text_of(answer)
    assert not SavedCard.objects.exists()


def test_a_visit_that_is_looked_at_twice_saves_once(acme: Organisation, card: SavedCard) -> None:
    for _look in range(2):
        services.look_at_card_visits(organisation=acme, now=utc_now())
    assert AuditEvent.objects.filter(action="card.saved").count() == 1
