"""Several of us at one transfer: it is recorded once, matched once, and credits once."""

from typing import Any

import pytest

from accounts.models import Organisation
from marketplace.billing import services
from marketplace.billing.models import BankTransfer, StrayPayment
from tests.billing.shop import balance_of, credited_once, make_pack, untouched
from tests.billing.test_billing_concurrency import at_once
from tests.billing.transfers import match, open_transfer, receive, unmatch
from tests.cast import make_organisation, make_person
from tests.databases import CommittedDatabase
from tests.ledger.auditor import audit


@pytest.fixture
def acme(committed_db: CommittedDatabase) -> Organisation:
    return make_organisation("Acme Ltd", slug="acme")


def test_one_transfer_in_many_hands_pays_one_order(acme: Organisation) -> None:
    pack = make_pack()
    orders = [open_transfer(acme, pack, key=f"form-{number}") for number in range(2)]
    staff = [make_person(f"staff{number}@market.example") for number in range(6)]
    recorded = at_once(6, lambda number: receive(staff[number]))
    assert {transfer.pk for transfer in recorded} == {BankTransfer.objects.get().pk}
    transfer = recorded[0]

    def act(number: int) -> Any:
        return match(transfer, orders[number % 2], staff[number])

    answers = at_once(6, act)
    refused = [one for one in answers if isinstance(one, services.TransferSettled)]
    assert len(refused) == 3
    assert [one for one in answers if one not in refused] == [True] * 3
    transfer.refresh_from_db()
    paid, unpaid = sorted(orders, key=lambda one: one.provider_session_id != str(transfer.slip))
    assert credited_once(paid)
    assert untouched(unpaid)
    assert [stray.kind for stray in StrayPayment.objects.all()] == ["placed"]
    audit()


def test_matching_and_undoing_at_once_leave_it_whole(acme: Organisation) -> None:
    """Two parts that are the whole, matched while a third hand undoes the first."""
    order = open_transfer(acme, make_pack())
    staff = make_person("staff@market.example")
    first = receive(staff, amount_minor=4000)
    second = receive(staff, bank_id="B-2", amount_minor=5500)
    match(first, order, staff)
    acts = [lambda: match(second, order, staff), lambda: unmatch(first, staff)]
    answers = at_once(2, lambda number: acts[number]())
    order.refresh_from_db()
    kinds = sorted(StrayPayment.objects.values_list("kind", flat=True))
    if isinstance(answers[1], services.TransferSettled):
        assert kinds == ["placed", "placed"]
        assert credited_once(order)
    else:
        assert answers == [False, None]
        assert kinds == ["part", "unmatched"]
        assert balance_of(acme) == 0
        assert match(first, order, staff)
        assert credited_once(order)
    audit()
