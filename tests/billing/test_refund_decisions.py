"""Refund requests decided: declined, withdrawn, approved by one or by two."""

from typing import Any

import pytest

from accounts.models import Organisation, User
from marketplace.billing import services
from marketplace.billing.models import Order, Pack
from tests.billing.money_back import (
    approve,
    ask,
    buy,
    decline,
    everything,
    send,
    withdraw,
)
from tests.billing.processors import SandboxProcessor
from tests.billing.shop import lots_of
from tests.cast import make_person
from tests.ledger.auditor import audit

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(acme: Organisation, team_pack: Pack) -> Order:
    """Paid through the sandbox."""
    return buy(acme, team_pack, SandboxProcessor())


@pytest.fixture
def tom(db: None) -> User:
    """Another of staff."""
    return make_person("tom@market.example", is_staff=True)


def test_declined_tokens_come_back(acme: Organisation, order: Order, sam: User) -> None:
    before = {kind: lot.remaining_millitokens for kind, lot in lots_of(order).items()}
    request = ask(order, expected=9500)

    decline(request, sam)

    request.refresh_from_db()
    assert (request.state, request.note) == ("declined", "Not now.")
    assert {kind: lot.remaining_millitokens for kind, lot in lots_of(order).items()} == before
    audit()
    ask(order, expected=9500)  # and may be asked again


def test_withdrawn_tokens_come_back_and_nobody_decides_any_more(
    acme: Organisation, order: Order, sam: User
) -> None:
    before = {kind: lot.remaining_millitokens for kind, lot in lots_of(order).items()}
    request = ask(order, expected=9500)

    withdraw(request)

    request.refresh_from_db()
    assert (request.state, request.decided_by) == ("withdrawn", None)
    assert {kind: lot.remaining_millitokens for kind, lot in lots_of(order).items()} == before
    audit()
    gone = everything()
    for late in (withdraw, lambda request: approve(request, sam), lambda r: decline(r, sam)):
        with pytest.raises(services.RefundDecided):
            late(request)
    assert send(request).state == "withdrawn"
    assert everything() == gone
    ask(order, expected=9500)  # and may be asked again


def test_what_was_approved_is_not_withdrawn(order: Order, sam: User) -> None:
    request = ask(order, expected=9500)
    approve(request, sam)
    before = everything()
    with pytest.raises(services.RefundDecided):
        withdraw(request)
    assert everything() == before


def test_above_the_limit_a_second_person_has_to_agree(
    order: Order, sam: User, tom: User, settings: Any
) -> None:
    settings.REFUND_SECOND_PERSON_ABOVE = 94
    request = ask(order, expected=9500)

    assert not approve(request, sam)
    before = everything()
    with pytest.raises(services.AnotherPersonNeeded):
        approve(request, sam)
    assert everything() == before
    assert approve(request, tom)

    request.refresh_from_db()
    assert (request.state, request.seconded_by, request.decided_by) == ("approved", sam, tom)


def test_the_limit_itself_takes_one(order: Order, sam: User, settings: Any) -> None:
    settings.REFUND_SECOND_PERSON_ABOVE = 95

    assert approve(ask(order, expected=9500), sam)


def test_nobody_approves_their_own(order: Order) -> None:
    request = ask(order, expected=9500)
    before = everything()

    with pytest.raises(services.AnotherPersonNeeded):
        approve(request, order.ordered_by)

    assert everything() == before


def test_decided_is_decided(order: Order, sam: User, tom: User) -> None:
    request = ask(order, expected=9500)
    approve(request, sam)
    before = everything()

    for decide in (approve, decline):
        with pytest.raises(services.RefundDecided):
            decide(request, tom)

    assert everything() == before
