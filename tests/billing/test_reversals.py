"""settle_reversals: refunds and disputes in every order, twice or never told, end in one state."""

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from accounts.models import AuditEvent, Organisation
from marketplace.billing import services
from marketplace.billing.models import Dispute, InboxEvent, Order, Pack, Refund
from marketplace.ledger import selectors as ledger
from marketplace.ledger.models import Transaction
from portal.kernel.clock import utc_now
from portal.kernel.errors import NotFound
from tests.billing.money_back import buy, everything, settle, spend
from tests.billing.processors import Processor, StripeProcessor, deliver, stand_before_pay_page
from tests.billing.shop import MILLION, balance_of, start_order
from tests.fakes.stripe_server import FakeStripe
from tests.ledger.auditor import audit, read_books

pytestmark = pytest.mark.django_db


def debt_of(organisation: Organisation) -> int:
    return ledger.get_debt(owner_key=organisation.public_id, unit="live")


def is_frozen(organisation: Organisation) -> bool:
    return ledger.is_frozen(owner_key=organisation.public_id, unit="live")


def drive_until_quiet() -> None:
    """As beat would over the next hours."""
    for hours in range(1, 4):
        services.drive_inbox(now=utc_now() + timedelta(hours=hours))


def test_a_refund_by_hand_takes_the_tokens(
    acme: Organisation, team_pack: Pack, processor: Processor
) -> None:
    order = buy(acme, team_pack, processor)

    deliver(processor, *processor.refund(order.provider_session_id or "", 950))

    order.refresh_from_db()
    assert (order.status, order.reversed_minor) == ("partially_reversed", 950)
    assert balance_of(acme) == 90 * MILLION
    assert Refund.objects.get().request is None
    audit()


def test_a_dispute_after_all_was_spent(
    acme: Organisation, team_pack: Pack, processor: Processor
) -> None:
    order = buy(acme, team_pack, processor)
    spend(acme, 105 * MILLION)

    deliver(processor, *processor.dispute(order.provider_session_id or ""))

    order.refresh_from_db()
    assert (order.status, order.reversed_minor) == ("reversed", 9500)
    assert debt_of(acme) == 95 * MILLION
    assert is_frozen(acme)
    audit()


def test_who_owes_buys_nothing(acme: Organisation, team_pack: Pack, processor: Processor) -> None:
    order = buy(acme, team_pack, processor)
    waiting = start_order(acme, team_pack, key="form-2")
    spend(acme, 105 * MILLION)
    deliver(processor, *processor.dispute(order.provider_session_id or ""))
    before = everything()

    with pytest.raises(services.DebtOutstanding):
        start_order(acme, team_pack, key="form-3")
    with pytest.raises(services.DebtOutstanding):
        services.open_payment(order=waiting, now=utc_now())

    assert everything() == before


@pytest.mark.parametrize("won", [True, False])
def test_how_a_dispute_ends(
    acme: Organisation, team_pack: Pack, processor: Processor, won: bool
) -> None:
    order = buy(acme, team_pack, processor)
    spend(acme, 45 * MILLION)
    session = order.provider_session_id or ""
    deliver(processor, *processor.dispute(session))
    assert balance_of(acme) == 0

    deliver(processor, *processor.end_dispute(session, won=won))

    order.refresh_from_db()
    assert order.status == ("paid" if won else "reversed")
    assert balance_of(acme) == (60 * MILLION if won else 0)
    assert debt_of(acme) == (0 if won else 38 * MILLION)
    assert is_frozen(acme) is not won
    assert order.documents.filter(kind="credit_note").exists() is not won
    audit()


def test_an_inquiry_takes_nothing(
    acme: Organisation, team_pack: Pack, fake_stripe: FakeStripe
) -> None:
    processor = StripeProcessor(fake_stripe)
    order = buy(acme, team_pack, processor)
    before = read_books()
    money_back = fake_stripe.account.money_back

    deliver(processor, *money_back.dispute(order.provider_session_id or "", "warning_under_review"))

    order.refresh_from_db()
    assert (order.status, order.reversed_minor) == ("paid", 0)
    assert Dispute.objects.get().state == "inquiry"
    deliver(processor, *money_back.end_dispute(order.provider_session_id or "", "warning_closed"))
    assert Dispute.objects.get().state == "won"
    assert read_books() == before


def _happen(processor: Processor, session: str) -> list[list[Any]]:
    """Paid, $9.50 refunded, the rest disputed and won, a last dollar refunded."""
    return [
        processor.pay(session),
        processor.refund(session, 950),
        processor.dispute(session),
        processor.end_dispute(session, won=True),
        processor.refund(session, 100),
    ]


@pytest.mark.parametrize("number", range(24))
def test_told_in_any_order_twice_it_ends_alike(
    acme: Organisation, team_pack: Pack, fake_stripe: FakeStripe, number: int
) -> None:
    """All has happened before the first message arrives: completed, succeeded, refunded, and a
    dispute that is lost."""
    processor = StripeProcessor(fake_stripe)
    _order, session = stand_before_pay_page(acme, team_pack)
    succeeded, completed = processor.pay(session)
    refunded = processor.refund(session, 950)
    disputed = [*processor.dispute(session), *processor.end_dispute(session, won=False)]
    told = list(permutations([[succeeded], [completed], refunded, disputed]))[number]
    messages = [event for events in told for event in events]

    deliver(processor, *messages, *messages[::-1])
    drive_until_quiet()

    order = Order.objects.get()
    assert (order.status, order.reversed_minor) == ("reversed", 9500)
    assert (balance_of(acme), debt_of(acme)) == (0, 0)
    assert Transaction.objects.filter(kind="purchase").count() == 2
    assert set(InboxEvent.objects.values_list("state", flat=True)) == {"done"}
    assert AuditEvent.objects.filter(action="refund.paid").count() == 1
    audit()


def test_told_as_it_happens_it_ends_alike(
    acme: Organisation, team_pack: Pack, processor: Processor
) -> None:
    order, session = stand_before_pay_page(acme, team_pack)
    deliver(processor, *processor.pay(session))
    deliver(processor, *processor.refund(session, 950))
    deliver(processor, *processor.dispute(session))
    assert balance_of(acme) == 0
    deliver(processor, *processor.end_dispute(session, won=True))
    deliver(processor, *processor.refund(session, 100))

    order.refresh_from_db()
    assert (order.status, order.reversed_minor) == ("partially_reversed", 1050)
    assert balance_of(acme) == 100 * MILLION - 100 * MILLION * 1050 // 9500
    assert sum(note.amount_minor for note in order.documents.filter(kind="credit_note")) == 1050
    audit()


def test_the_purchase_is_told_again_after_all_went_back(
    acme: Organisation, team_pack: Pack, processor: Processor
) -> None:
    """And the inbox has forgotten that it ever heard of it."""
    order, session = stand_before_pay_page(acme, team_pack)
    paid = processor.pay(session)
    deliver(processor, *paid)
    deliver(processor, *processor.refund(session, 9500))
    before = read_books()
    InboxEvent.objects.all().delete()

    deliver(processor, *paid, *paid)
    services.settle_order(order_public_id=order.public_id, now=utc_now())

    order.refresh_from_db()
    assert (order.status, order.reversed_minor, balance_of(acme)) == ("reversed", 9500, 0)
    assert read_books() == before
    assert set(InboxEvent.objects.values_list("state", flat=True)) == {"done"}


def test_no_webhook_at_all(acme: Organisation, team_pack: Pack, processor: Processor) -> None:
    """The sweep reads the list of events."""
    order, session = stand_before_pay_page(acme, team_pack)
    _happen(processor, session)

    services.sweep_orders(now=utc_now())
    drive_until_quiet()

    order.refresh_from_db()
    assert (order.status, order.reversed_minor) == ("partially_reversed", 1050)
    audit()


def test_not_even_a_list_of_events(
    acme: Organisation, team_pack: Pack, processor: Processor
) -> None:
    """Somebody presses "Check again"."""
    order = buy(acme, team_pack, processor)
    processor.refund(order.provider_session_id or "", 9500)
    processor.forget_events()

    assert settle(order).status == "reversed"
    assert balance_of(acme) == 0


def test_who_asked_earlier_does_not_undo_who_asked_later(
    acme: Organisation, team_pack: Pack, processor: Processor
) -> None:
    order = buy(acme, team_pack, processor)
    processor.refund(order.provider_session_id or "", 9500)
    settle(order)
    before = everything()

    early = utc_now() - timedelta(minutes=1)
    services.settle_reversals(order_public_id=order.public_id, now=early)

    assert everything() == before


def test_a_crash_between_the_ledger_and_done_is_repeated(
    acme: Organisation, team_pack: Pack, processor: Processor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from marketplace.billing.services import documents

    order = buy(acme, team_pack, processor)
    before = read_books()

    def die(**_: object) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr(documents, "issue_credit_note", die)
    deliver(processor, *processor.refund(order.provider_session_id or "", 9500))
    assert read_books() == before
    monkeypatch.undo()
    drive_until_quiet()

    order.refresh_from_db()
    assert order.status == "reversed"
    assert set(InboxEvent.objects.values_list("state", flat=True)) <= {"done", "ignored"}


def test_nothing_is_taken_back_of_an_order_that_was_not_credited(
    acme: Organisation, team_pack: Pack
) -> None:
    order = start_order(acme, team_pack)
    before = everything()
    assert not services.settle_reversals(order_public_id=order.public_id, now=utc_now())
    with pytest.raises(NotFound):
        services.settle_reversals(order_public_id="ord_none", now=utc_now())
    assert everything() == before


def test_charges_and_refunds_lead_to_the_same_order(
    acme: Organisation, team_pack: Pack, fake_stripe: FakeStripe
) -> None:
    """Stripe names the refund in one event and its charge in the other; thin ones too."""
    processor = StripeProcessor(fake_stripe)
    order = buy(acme, team_pack, processor)
    events = processor.refund(order.provider_session_id or "", 9500)
    assert [event["data"]["object"]["object"] for event in events] == ["refund", "charge"]

    deliver(processor, fake_stripe.as_thin(events[1]))
    order.refresh_from_db()
    assert order.status == "reversed"

    deliver(processor, *events, fake_stripe.as_thin(events[0]))
    assert Refund.objects.count() == 1


def test_a_refund_of_somebody_elses_payment(
    acme: Organisation, team_pack: Pack, fake_stripe: FakeStripe
) -> None:
    """Of another shop on the same account: nothing follows, and staff see that it is stuck."""
    processor = StripeProcessor(fake_stripe)
    order = buy(acme, team_pack, processor)
    events = processor.refund(order.provider_session_id or "", 9500)
    fake_stripe.account.money_back.refunds[events[0]["data"]["object"]["id"]]["payment_intent"] = (
        "pi_elsewhere"
    )
    before = read_books()

    deliver(processor, events[0])

    assert read_books() == before
    assert InboxEvent.objects.get(event_id=events[0]["id"]).state == "failed"
