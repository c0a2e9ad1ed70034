"""Fapiao when several people ask, decide and record at once."""

import time
from typing import Any

import pytest

from marketplace.billing import services
from marketplace.billing.models import Fapiao, FapiaoLine, RedLetter
from marketplace.billing.services import telling
from tests.billing.fapiao import (
    PRICE,
    PROCESSOR,
    ask_for,
    give_back,
    issue,
    make_red,
    number,
    stands,
    withdraw,
)
from tests.billing.money_back import buy
from tests.billing.shop import make_pack
from tests.billing.test_billing_concurrency import at_once
from tests.cast import make_organisation, make_person
from tests.databases import CommittedDatabase

pytestmark = pytest.mark.django_db


def test_withdrawing_against_issuing_and_asking_twice_end_one_way(
    committed_db: CommittedDatabase,
) -> None:
    acme = make_organisation("Acme Ltd", slug="acme")
    staff = make_person("staff@market.example", is_staff=True)
    order = buy(acme, make_pack(prices={"USD": 9500, "CNY": PRICE}), PROCESSOR, currency="CNY")
    asked = at_once(4, lambda _number: ask_for(order))
    assert sum(isinstance(answer, Fapiao) for answer in asked) == 1
    assert sum(isinstance(answer, services.FapiaoNotPossible) for answer in asked) == 3
    fapiao = Fapiao.objects.get()

    answers = at_once(4, lambda n: withdraw(fapiao) if n % 2 else issue(fapiao, staff, n + 1))

    assert sum(isinstance(answer, services.FapiaoDecided) for answer in answers) == 3
    state, _due = stands(fapiao)
    assert FapiaoLine.objects.filter(is_live=True).exists() is (state == "issued")


def test_a_number_that_two_people_record_at_once_is_recorded_once(
    committed_db: CommittedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In blue twice and in red: each of them has looked before the first one commits."""
    acme = make_organisation("Acme Ltd", slug="acme")
    staff = make_person("staff@market.example", is_staff=True)
    pack = make_pack(prices={"USD": 9500, "CNY": PRICE})
    orders = [buy(acme, pack, PROCESSOR, currency="CNY", key=key) for key in "abc"]
    first, second, red = (ask_for(order) for order in orders)
    issue(red, staff, serial=1)
    give_back(orders[2], PRICE)
    tell = telling.tell_of_fapiao

    def tell_slowly(**said: Any) -> None:
        time.sleep(0.3)
        tell(**said)

    monkeypatch.setattr(telling, "tell_of_fapiao", tell_slowly)
    record = (
        lambda: issue(first, staff, serial=2),
        lambda: issue(second, staff, serial=2),
        lambda: make_red(red, staff, serial=2, amount=PRICE),
    )

    answers = at_once(3, lambda n: record[n]())

    assert sum(isinstance(answer, Fapiao) for answer in answers) == 1, answers
    refused = [one for one in answers if isinstance(one, services.FapiaoRejected)]
    assert [one.data for one in refused] == [{"field": "number"}] * 2
    blue = Fapiao.objects.filter(number=number(2)).count()
    assert blue + RedLetter.objects.filter(number=number(2)).count() == 1
