"""Which order a bank transfer is for: who may say so, what names it, and undoing it."""

from datetime import date
from typing import Any

import pytest

from accounts.models import AuditEvent, Membership, Organisation, Role, User
from marketplace.billing import services
from marketplace.billing.bank.references import find_references, make_reference, print_reference
from marketplace.billing.models import BankTransfer, Order, Pack, StrayPayment, TransferSlip
from marketplace.billing.services import transfers
from portal.kernel.clock import utc_now
from tests.billing.shop import MILLION, credited_once, untouched
from tests.billing.transfers import (
    LIST,
    actor_of,
    in_suspense,
    match,
    open_transfer,
    page_of,
    receive,
    strays,
    unmatch,
)
from tests.cast import make_member, make_person, signed_in
from tests.flows.world import read_everything


@pytest.fixture
def order(acme: Organisation, team_pack: Pack) -> Order:
    return open_transfer(acme, team_pack)


def test_another_currency_and_an_unknown_reference_match_nothing(order: Order, sam: User) -> None:
    euros = receive(sam, currency="EUR", amount_minor=9500)
    dollars = receive(sam, bank_id="B-2")
    before = read_everything()
    with pytest.raises(services.TransferNotMatched):
        match(euros, order, sam)
    reference = order.provider_session_id or ""
    wrong = reference[:-1] + ("2" if reference[-1] != "2" else "3")
    for name in (wrong, "ord_none", make_reference(), ""):
        with pytest.raises(services.TransferNotMatched):
            services.match_transfer(
                transfer=dollars, reference=name, user=sam, actor=actor_of(sam), now=utc_now()
            )
    assert read_everything() == before
    assert strays() == [("unmatched", 9500, 0), ("unmatched", 9500, 95 * MILLION)]


def test_a_wrong_match_is_undone_until_the_money_is_whole(
    acme: Organisation, team_pack: Pack, order: Order, sam: User
) -> None:
    other = open_transfer(acme, team_pack, key="form-2")
    transfer = receive(sam, amount_minor=4000)
    match(transfer, order, sam)
    with pytest.raises(services.TransferSettled):
        match(transfer, other, sam)
    for _click in range(2):
        unmatch(transfer, sam)
    assert (strays(), in_suspense()) == ([("unmatched", 4000, 40 * MILLION)], 40 * MILLION)
    assert not match(transfer, other, sam)
    assert match(receive(sam, bank_id="B-2", amount_minor=5500), other, sam)
    before = read_everything()
    with pytest.raises(services.TransferSettled):
        unmatch(transfer, sam)
    assert read_everything() == before
    assert credited_once(other)
    assert untouched(order)
    undone = AuditEvent.objects.filter(action="transfer.unmatched")
    assert undone.count() == 1


def test_undoing_leaves_a_match_that_was_made_meanwhile(
    acme: Organisation, team_pack: Pack, order: Order, sam: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = open_transfer(acme, team_pack, key="form-2")
    slip = TransferSlip.objects.get(reference=other.provider_session_id)
    transfer = receive(sam, amount_minor=4000)
    match(transfer, order, sam)
    lock = transfers._lock_order_of

    def match_and_lock(of: TransferSlip) -> Order:
        BankTransfer.objects.update(slip=slip)
        StrayPayment.objects.update(order=other)
        return lock(of)

    monkeypatch.setattr(transfers, "_lock_order_of", match_and_lock)
    with pytest.raises(services.TransferSettled):
        unmatch(transfer, sam)
    assert strays() == [("part", 4000, 40 * MILLION)]
    assert not AuditEvent.objects.filter(action="transfer.unmatched").exists()


def test_nobody_matches_for_a_company_of_theirs(
    acme: Organisation, order: Order, sam: User
) -> None:
    insider = make_member(acme, "in@acme.example", Role.MEMBER)
    theirs, ours = receive(insider), receive(sam, bank_id="B-2")
    before = read_everything()
    for transfer, matcher in ((theirs, sam), (ours, insider)):
        with pytest.raises(services.TransferNeedsAnother):
            match(transfer, order, matcher)
    assert read_everything() == before
    Membership.objects.filter(user=insider).delete()
    assert match(theirs, order, sam)


def test_large_orders_take_two_people(order: Order, sam: User, settings: Any) -> None:
    settings.REFUND_SECOND_PERSON_ABOVE = 94
    transfer = receive(sam, amount_minor=1000)
    before = read_everything()
    with pytest.raises(services.TransferNeedsAnother):
        match(transfer, order, sam)
    assert read_everything() == before
    other = make_person("olga@market.example", is_staff=True)
    assert not match(transfer, order, other)
    settings.REFUND_SECOND_PERSON_ABOVE = 95
    assert match(receive(sam, bank_id="B-2", amount_minor=8500), order, sam)


def test_references_find_every_typing_error() -> None:
    for _time in range(20):
        reference = make_reference()
        assert find_references(f"pay:{print_reference(reference).lower()}, ok") == [reference]
        for place in range(2, 16):
            for digit in set("0123456789O") - {reference[place]}:
                wrong = reference[:place] + digit + reference[place + 1 :]
                assert find_references(wrong) == []
        if reference[6] != reference[7]:
            swapped = reference[:6] + reference[7] + reference[6] + reference[8:]
            assert find_references(swapped) == []
    two = [make_reference(), make_reference()]
    assert find_references(" and ".join(two)) == two


def test_two_references_in_one_text_match_none(
    acme: Organisation, team_pack: Pack, order: Order, sam: User
) -> None:
    other = open_transfer(acme, team_pack, key="form-2")
    text = f"{order.provider_session_id} {other.provider_session_id}"
    transfer = receive(sam, text=text, value_date=date(2026, 5, 4))
    assert "names no order" in page_of(signed_in(sam), f"{LIST}{transfer.public_id}/")
    with pytest.raises(services.TransferNotMatched):
        services.match_transfer(
            transfer=transfer, reference=text, user=sam, actor=actor_of(sam), now=utc_now()
        )
    assert untouched(order)
    assert untouched(other)
    assert strays() == [("unmatched", 9500, 95 * MILLION)]
