"""Fapiao when several people ask, decide and record at once."""

import pytest

from marketplace.billing import services
from marketplace.billing.models import Fapiao, FapiaoLine
from tests.billing.fapiao import PRICE, PROCESSOR, ask_for, issue, stands, withdraw
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
