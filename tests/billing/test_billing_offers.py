"""Packs and their prices: exact in every currency, sound before they are sold."""

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from marketplace.billing import selectors, services
from marketplace.billing.currencies import SALE_CURRENCIES, validate_sale_currency
from marketplace.billing.models import Pack, PackPrice
from marketplace.billing.offers import PackUnavailable, QuantityRejected, make_offer
from marketplace.billing.services import PackRejected
from marketplace.billing.services.packs import value_of_money
from portal.kernel.errors import NotFound
from portal.kernel.quantities import minor_digits, money_from_minor
from tests.billing.shop import MILLION, make_pack

pytestmark = pytest.mark.django_db


def test_a_yen_price_is_yen_not_a_hundredth_or_a_hundredfold(team_pack: Pack) -> None:
    offer = make_offer(pack=team_pack, currency="JPY", quantity=2)
    assert offer.amount_minor == 29_000
    assert str(money_from_minor(offer.amount_minor, "JPY")) == "29000"


def test_offer_multiplies_everything_by_the_quantity(team_pack: Pack) -> None:
    offer = make_offer(pack=team_pack, currency="EUR", quantity=3)
    assert (offer.amount_minor, offer.currency) == (3 * 8900, "EUR")
    assert offer.paid_millitokens == 300 * MILLION
    assert offer.bonus_millitokens == 15 * MILLION
    assert offer.tariff_millitokens == 3 * 95 * MILLION
    assert str(offer.price_per_million) == "0.848"


@pytest.mark.parametrize("quantity", [0, -1, 101, 10**9])
def test_quantities_out_of_range_are_refused(team_pack: Pack, quantity: int) -> None:
    with pytest.raises(QuantityRejected):
        make_offer(pack=team_pack, currency="USD", quantity=quantity)


def test_an_order_that_would_overflow_is_refused() -> None:
    huge = make_pack("huge", paid_millitokens=2**62, bonus_millitokens=0, prices={"USD": 100})
    assert make_offer(pack=huge, currency="USD").paid_millitokens == 2**62
    with pytest.raises(QuantityRejected):
        make_offer(pack=huge, currency="USD", quantity=2)


def test_no_price_in_a_currency_is_no_offer_in_it(team_pack: Pack) -> None:
    with pytest.raises(PackUnavailable):
        make_offer(pack=team_pack, currency="GBP")
    assert selectors.list_packs(currency="GBP") == []
    assert selectors.list_sale_currencies() == ["USD", "EUR", "JPY"]


def test_a_pack_off_sale_is_nowhere(team_pack: Pack) -> None:
    Pack.objects.update(on_sale=False)
    assert selectors.list_packs(currency="USD") == []
    assert selectors.list_sale_currencies() == []
    with pytest.raises(NotFound):
        selectors.get_pack(slug="team")
    team_pack.refresh_from_db()
    with pytest.raises(PackUnavailable):
        make_offer(pack=team_pack, currency="USD")


def test_a_pack_is_found_by_slug_and_public_id(team_pack: Pack) -> None:
    assert selectors.get_pack(slug="team") == team_pack
    assert selectors.get_pack(slug=team_pack.public_id) == team_pack


def test_terms_change_with_anything_the_buyer_agreed_to(team_pack: Pack) -> None:
    def terms(**changes: object) -> str:
        changed = Pack.objects.get(pk=team_pack.pk)
        for name, value in changes.items():
            setattr(changed, name, value)
        return make_offer(pack=changed, currency="USD").terms

    assert terms() == terms()
    assert terms(name_en="Other name") == terms()
    for change in (
        {"paid_millitokens": 1},
        {"bonus_millitokens": 1},
        {"expires_after_days": 30},
        {"scope": "modality:chat"},
    ):
        assert terms(**change) != terms()
    before = terms()
    PackPrice.objects.filter(currency="USD").update(amount_minor=9600)
    assert terms() != before


def test_the_tariff_price_decides_what_the_pack_is_worth_to_the_books() -> None:
    assert make_pack("exact").tariff_millitokens == 95 * MILLION
    assert value_of_money(1, "USD") == MILLION // 100
    assert value_of_money(1, "JPY") == MILLION


@pytest.mark.parametrize(
    "change",
    [
        {"prices": {"EUR": 8900}},
        {"prices": {"USD": 9500, "XYZ": 1}},
        {"prices": {"USD": 10_001}},
        {"prices": {"USD": 0}},
        {"prices": {"USD": 9500, "EUR": 0}},
        {"bonus_millitokens": -1},
    ],
)
def test_unsound_packs_are_not_made(change: dict) -> None:
    with pytest.raises(PackRejected):
        make_pack("unsound", **change)
    assert not Pack.objects.filter(slug="unsound").exists()


def test_staff_are_warned_of_packs_below_the_providers_share(settings) -> None:
    settings.COMMISSION_BASIS_POINTS = 1000
    # 105M tokens at 90 % are 94.5M owed; $95 covers that, $94 does not.
    assert services.find_pack_warnings(pack=make_pack("fair")) == []
    cheap = make_pack("cheap", prices={"USD": 9400})
    [warning] = services.find_pack_warnings(pack=cheap)
    assert "94,000,000" in warning
    assert "94,500,000" in warning


def test_staff_are_warned_when_price_and_books_differ(team_pack: Pack) -> None:
    PackPrice.objects.filter(pack=team_pack, currency="USD").update(amount_minor=9900)
    assert len(services.find_pack_warnings(pack=team_pack)) == 1
    PackPrice.objects.filter(pack=team_pack, currency="USD").delete()
    assert len(services.find_pack_warnings(pack=team_pack)) == 1


def test_only_listed_currencies_are_sold_in() -> None:
    validate_sale_currency("CNY")
    for code in ("XYZ", "usd", "", "US"):
        with pytest.raises(ValidationError):
            validate_sale_currency(code)


@given(currency=st.sampled_from(SALE_CURRENCIES), amount=st.integers(1, 10**12))
def test_minor_units_round_trip(currency: str, amount: int) -> None:
    money = money_from_minor(amount, currency)
    assert int(money.scaleb(minor_digits(currency))) == amount
