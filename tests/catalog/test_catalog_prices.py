"""Prices: new versions only, rises announced, the past untouched."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction

from marketplace.catalog import selectors
from marketplace.catalog import services as catalog
from marketplace.catalog.models import IMMUTABLE_TABLES, PriceVersion
from portal.kernel.immutability import missing_guards
from tests.catalog.shelf import NOW, add_price, make_draft, make_live, make_model, make_provider

pytestmark = pytest.mark.django_db
WEEK = timedelta(days=7)


def live(**terms):
    return make_live(make_provider(), make_model(), **terms)


def test_a_fall_takes_effect_at_once():
    service = live()
    version = add_price(service, input_millitokens=100)
    assert version.number == 2
    assert selectors.get_price_in_force(service, now=NOW) == version


@pytest.mark.parametrize(
    "rise",
    [
        {"input_millitokens": 201},
        {"cached_input_millitokens": 51},
        {"output_millitokens": 801},
        {"request_millitokens": 1},
        {"input_millitokens": 100, "output_millitokens": 900},
    ],
)
def test_a_rise_is_announced_a_week_before(rise):
    service = live()
    with pytest.raises(catalog.PriceRiseNeedsNotice) as refusal:
        add_price(service, **rise, effective_at=NOW + WEEK - timedelta(seconds=1))
    assert refusal.value.data["earliest_at"] == (NOW + WEEK).isoformat()
    assert service.price_versions.count() == 1
    add_price(service, **rise, effective_at=NOW + WEEK)
    first, second = service.price_versions.order_by("number")
    assert selectors.get_price_in_force(service, now=NOW + WEEK) == second
    assert selectors.get_price_in_force(service, now=NOW) == first


def test_a_short_fall_does_not_hide_a_rise():
    service = live()
    add_price(service, input_millitokens=100)
    with pytest.raises(catalog.PriceRiseNeedsNotice):
        add_price(service, input_millitokens=200, effective_at=NOW + timedelta(days=1))


def test_no_price_waits_behind_a_draft_that_staff_approve():
    service = make_draft(make_provider(), make_model())
    before = service.price_versions.count()
    with pytest.raises(catalog.PriceRejected):
        add_price(service, input_millitokens=1_000_000, effective_at=NOW + timedelta(minutes=5))
    assert service.price_versions.count() == before


def test_a_drafts_price_is_free():
    service = make_draft(make_provider(), make_model())
    version = add_price(service, input_millitokens=9000)
    assert selectors.get_price_in_force(service, now=NOW) == version


@pytest.mark.parametrize(
    "wrong",
    [
        {"input_millitokens": -1},
        {"output_millitokens": 1_000_001},
        {"cached_input_millitokens": 201},
        {"effective_at": NOW - timedelta(seconds=1)},
    ],
)
def test_prices_that_cannot_be_are_refused_by_field(wrong):
    service = live()
    with pytest.raises(catalog.PriceRejected) as refusal:
        add_price(service, **wrong)
    assert set(refusal.value.data["fields"]) == set(wrong)
    assert service.price_versions.count() == 1


def test_a_retired_service_has_no_new_price():
    service = live()
    catalog.retire_service(service=service, now=NOW)
    with pytest.raises(catalog.ServiceRetired):
        add_price(service, input_millitokens=1, cached_input_millitokens=0)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE catalog_priceversion SET input_millitokens = 1",
        "UPDATE catalog_priceversion SET effective_at = created_at",
        "DELETE FROM catalog_priceversion",
    ],
)
def test_the_database_refuses_to_change_a_price(statement):
    service = live()
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert service.price_versions.get().input_millitokens == 200


def test_the_database_refuses_cached_input_dearer_than_input():
    service = live()
    with pytest.raises(DatabaseError), transaction.atomic():
        PriceVersion.objects.create(
            service=service,
            number=2,
            effective_at=NOW,
            input_millitokens=1,
            cached_input_millitokens=2,
        )


def test_guards_are_in_place():
    assert IMMUTABLE_TABLES == ("catalog_priceversion",)
    assert [name for name in missing_guards(connection) if "priceversion" in name] == []
