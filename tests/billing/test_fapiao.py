"""Fapiao: asked for, issued by staff elsewhere and recorded here, taken back in red by refunds."""

import pytest

from accounts.models import Notice, Organisation, User
from accounts.services import SYSTEM_ACTOR
from marketplace.billing import fapiao as reads
from marketplace.billing import services
from marketplace.billing.models import Fapiao, FapiaoLine, Order, Pack, RedLetter
from portal.kernel.clock import utc_now
from tests.billing.fapiao import (
    PRICE,
    PROCESSOR,
    SPECIAL,
    ask_for,
    give_back,
    issue,
    make_red,
    stands,
    withdraw,
)
from tests.billing.money_back import buy
from tests.billing.processors import deliver
from tests.billing.shop import make_pack
from tests.cast import signed_in
from tests.flows.world import read_everything

pytestmark = pytest.mark.django_db


@pytest.fixture
def pack(db: None) -> Pack:
    return make_pack(prices={"USD": 9500, "CNY": PRICE})


@pytest.fixture
def order(acme: Organisation, pack: Pack) -> Order:
    return buy(acme, pack, PROCESSOR, currency="CNY")


def test_what_was_kept_is_issued_and_what_goes_back_later_is_taken_back_in_red(
    acme: Organisation, pack: Pack, sam: User
) -> None:
    first, second = (buy(acme, pack, PROCESSOR, currency="CNY", key=key) for key in "ab")
    give_back(first, 8000)
    fapiao = issue(ask_for(first, second), sam, amount=2 * PRICE - 8000)
    assert set(fapiao.lines.values_list("amount_minor", flat=True)) == {PRICE - 8000, PRICE}
    assert stands(fapiao) == ("issued", 0)

    give_back(first, 1000)
    give_back(second, 500)
    assert stands(fapiao) == ("red_letter_due", 1500)
    before = read_everything()
    with pytest.raises(services.FapiaoChanged):
        make_red(fapiao, sam, 2, 1000)  # as it was shown before the second refund
    assert read_everything() == before
    make_red(fapiao, sam, 2, 1500)
    assert stands(fapiao) == ("red_lettered", 0)
    give_back(first, PRICE - 9000)
    assert stands(fapiao) == ("red_letter_due", PRICE - 9000)
    make_red(fapiao, sam, 3, PRICE - 9000)
    assert not reads.list_fapiao_orders(organisation=acme).exists()  # the second one still has it
    give_back(second, PRICE - 500)
    make_red(fapiao, sam, 4, PRICE - 500)

    assert stands(fapiao) == ("red_lettered", 0)
    taken = RedLetter.objects.values_list("amount_minor", flat=True)
    assert sum(taken) == fapiao.amount_minor
    assert not FapiaoLine.objects.filter(is_live=True).exists()
    told = Notice.objects.filter(kind="fapiao_decided", person__email="ada@acme.example")
    assert [one.params["outcome"] for one in told.order_by("pk")] == ["issued", *["red"] * 3]


def test_what_comes_back_of_one_order_pays_for_no_other(
    acme: Organisation, pack: Pack, sam: User
) -> None:
    """A refund fails after the fapiao was issued without its amount."""
    first, second = (buy(acme, pack, PROCESSOR, currency="CNY", key=key) for key in "ab")
    give_back(first, 8000)
    fapiao = issue(ask_for(first, second), sam, amount=2 * PRICE - 8000)
    deliver(PROCESSOR, *PROCESSOR.fail_refund(first.refunds.get().refund_id))
    give_back(second, 500)
    assert stands(fapiao) == ("red_letter_due", 500)


def test_what_has_gone_back_before_is_declined(order: Order, sam: User) -> None:
    fapiao = ask_for(order)
    give_back(order, PRICE)
    before = read_everything()
    with pytest.raises(services.FapiaoRejected):
        issue(fapiao, sam, amount=0)
    assert read_everything() == before
    said = {"amount_minor": 0, "decision": "decline", "note": "It was refunded."}
    assert signed_in(sam).post(f"/ops/fapiao/{fapiao.public_id}/", said).status_code == 302
    assert stands(fapiao) == ("declined", 0)


def test_a_dispute_that_is_won_needs_no_red_letter(order: Order, sam: User) -> None:
    fapiao = issue(ask_for(order), sam)
    session = order.provider_session_id or ""
    deliver(PROCESSOR, *PROCESSOR.dispute(session))
    assert stands(fapiao) == ("red_letter_due", PRICE)
    deliver(PROCESSOR, *PROCESSOR.end_dispute(session, won=True))
    assert stands(fapiao) == ("issued", 0)


def test_a_charge_back_in_red_that_is_won_after_all_is_asked_for_anew(
    order: Order, sam: User
) -> None:
    fapiao = issue(ask_for(order), sam)
    session = order.provider_session_id or ""
    deliver(PROCESSOR, *PROCESSOR.dispute(session))
    make_red(fapiao, sam, 2, PRICE)
    deliver(PROCESSOR, *PROCESSOR.end_dispute(session, won=True))
    assert stands(fapiao) == ("red_lettered", 0)
    issue(ask_for(order), sam, 3)


def test_declined_and_withdrawn_orders_may_be_asked_for_again(order: Order, sam: User) -> None:
    fapiao = ask_for(order, details=SPECIAL)
    services.decline_fapiao(
        fapiao=fapiao, user=sam, note="Wrong title", actor=SYSTEM_ACTOR, now=utc_now()
    )
    withdraw(ask_for(order))
    issue(ask_for(order), sam)
    states = Fapiao.objects.order_by("pk").values_list("state", flat=True)
    assert list(states) == ["declined", "withdrawn", "issued"]
