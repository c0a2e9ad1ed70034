"""Fapiao: what cannot be asked for, and what cannot be recorded."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from accounts.models import Organisation, User
from accounts.services import SYSTEM_ACTOR
from marketplace.billing import services
from marketplace.billing.models import Order, Pack
from portal.kernel.clock import utc_now
from tests.billing.fapiao import (
    DETAILS,
    PRICE,
    PROCESSOR,
    SPECIAL,
    ask_for,
    give_back,
    issue,
    make_red,
    number,
    withdraw,
)
from tests.billing.money_back import ask, buy
from tests.billing.shop import make_pack
from tests.flows.world import read_everything

pytestmark = pytest.mark.django_db


@pytest.fixture
def pack(db: None) -> Pack:
    return make_pack(prices={"USD": 9500, "CNY": PRICE})


@pytest.fixture
def order(acme: Organisation, pack: Pack) -> Order:
    return buy(acme, pack, PROCESSOR, currency="CNY")


def test_only_what_was_paid_in_yuan_and_kept_can_have_one(
    acme: Organisation, globex: Organisation, pack: Pack, order: Order
) -> None:
    dollars = buy(acme, pack, PROCESSOR, key="usd")
    theirs = buy(globex, pack, PROCESSOR, currency="CNY", key="theirs")
    gone = buy(acme, pack, PROCESSOR, currency="CNY", key="gone")
    give_back(gone, PRICE)
    going = buy(acme, pack, PROCESSOR, currency="CNY", key="going")
    ask(going, expected=PRICE)
    real = buy(acme, pack, PROCESSOR, currency="CNY", key="real")
    Order.objects.filter(pk=real.pk).update(livemode=True)
    before = read_everything()
    for others in ([dollars], [theirs], [gone], [going], [real]):
        with pytest.raises(services.FapiaoNotPossible):
            ask_for(order, *others)
    with pytest.raises(services.FapiaoRejected):
        services.request_fapiao(
            organisation=acme, user=order.ordered_by, orders=[], details=DETAILS,
            actor=SYSTEM_ACTOR, now=utc_now(),
        )  # fmt: skip
    assert read_everything() == before
    ask_for(order)
    before = read_everything()
    with pytest.raises(services.FapiaoNotPossible):
        ask_for(order)
    assert read_everything() == before


@pytest.mark.parametrize(
    ("details", "field"),
    [
        (replace(DETAILS, title=" "), "title"),
        (replace(DETAILS, title="x" * 101), "title"),
        (replace(DETAILS, tax_id=""), "tax_id"),
        (replace(DETAILS, tax_id="911100006000373411"), "tax_id"),
        (replace(DETAILS, email="nobody"), "email"),
        (replace(SPECIAL, address=""), "address"),
        (replace(SPECIAL, phone=""), "phone"),
        (replace(SPECIAL, bank=""), "bank"),
        (replace(SPECIAL, bank_account=" "), "bank_account"),
        (replace(SPECIAL, bank_account="1" * 41), "bank_account"),
    ],
)
def test_what_a_fapiao_names_is_checked(
    order: Order, details: services.FapiaoDetails, field: str
) -> None:
    before = read_everything()
    with pytest.raises(services.FapiaoRejected) as refusal:
        ask_for(order, details=details)
    assert refusal.value.data["field"] == field
    assert read_everything() == before


def test_what_staff_record_is_checked(acme: Organisation, pack: Pack, sam: User) -> None:
    """Number, day, amount and state; a number is used once, in blue or in red."""
    done, fapiao = (
        ask_for(buy(acme, pack, PROCESSOR, currency="CNY", key=key)) for key in ("done", "next")
    )
    issue(done, sam)
    said: dict[str, Any] = {
        "fapiao": fapiao, "user": sam, "number": number(2), "issued_on": date(2026, 1, 5),
        "expected_minor": PRICE, "actor": SYSTEM_ACTOR, "now": utc_now(),
    }  # fmt: skip
    before = read_everything()
    wrong: list[dict[str, Any]] = [
        {"number": number(1)},
        {"number": "1" * 19},
        {"number": "１" * 20},
        {"issued_on": utc_now().date() + timedelta(days=2)},
        {"expected_minor": PRICE - 1},
        {"fapiao": done},
    ]
    for change in wrong:
        with pytest.raises((services.FapiaoRejected, services.FapiaoChanged,
                            services.FapiaoDecided)):  # fmt: skip
            services.issue_fapiao(**(said | change))
        assert read_everything() == before, change
    for late in (
        lambda: services.record_red_letter(**said),
        lambda: withdraw(done),
        lambda: services.decline_fapiao(
            fapiao=fapiao, user=sam, note=" ", actor=SYSTEM_ACTOR, now=utc_now()
        ),
    ):
        with pytest.raises((services.FapiaoRejected, services.FapiaoDecided)):
            late()
    assert read_everything() == before


def test_a_number_in_blue_is_no_number_in_red_nor_the_other_way_round(
    acme: Organisation, pack: Pack, sam: User
) -> None:
    orders = [buy(acme, pack, PROCESSOR, currency="CNY", key=key) for key in "abc"]
    done, red, fapiao = (ask_for(order) for order in orders)
    issue(done, sam, serial=1)
    issue(red, sam, serial=2)
    give_back(orders[1], 8000)
    give_back(orders[0], 8000)
    make_red(done, sam, serial=3, amount=8000)
    before = read_everything()
    for again in (
        lambda: make_red(red, sam, serial=1, amount=8000),
        lambda: make_red(red, sam, serial=2, amount=8000),
        lambda: make_red(red, sam, serial=3, amount=8000),
        lambda: issue(fapiao, sam, serial=3),
    ):
        with pytest.raises(services.FapiaoRejected) as refusal:
            again()
        assert refusal.value.data == {"field": "number"}
        assert read_everything() == before
