"""Refunds and disputes many at once, and killed at every moment: real processes and commits."""

import os
import traceback
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connections

from accounts.models import AuditEvent, Organisation, User
from marketplace.billing import services
from marketplace.billing.models import Dispute, InboxEvent, Order, Pack, Refund, RefundRequest
from marketplace.billing.providers import get_payment_provider
from marketplace.billing.services.inbox import LEASE
from marketplace.billing.services.refunds import SEND_AGAIN_AFTER
from portal.kernel.clock import utc_now
from tests.billing.money_back import approve, ask, buy, decline, send, withdraw
from tests.billing.processors import Processor, SandboxProcessor, post_event
from tests.billing.shop import balance_of, make_pack
from tests.billing.test_billing_concurrency import at_once, survives_in_child
from tests.cast import make_organisation, make_person
from tests.databases import CommittedDatabase
from tests.ledger.auditor import audit

BEHIND = {"refund": Refund, "dispute": Dispute}


def in_processes(count: int, act: Callable[[], object]) -> list[int]:
    """``act`` in so many processes that start together; the exit status of each, 0 for good."""
    connections.close_all()
    waiting, starting = os.pipe()
    children = []
    for _ in range(count):
        child = os.fork()
        if child == 0:
            os.close(starting)
            os.read(waiting, 1)
            try:
                act()
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        children.append(child)
    os.close(waiting)
    os.close(starting)
    return [os.waitpid(child, 0)[1] for child in children]


@pytest.fixture
def acme(committed_db: CommittedDatabase) -> Organisation:
    """Committed, for other processes to see."""
    return make_organisation("Acme Ltd", slug="acme")


@pytest.fixture
def pack(committed_db: CommittedDatabase) -> Pack:
    return make_pack()


@pytest.fixture
def staff(committed_db: CommittedDatabase) -> list[User]:
    return [make_person(f"staff{number}@market.example", is_staff=True) for number in range(8)]


def happen(processor: Processor, kind: str, order: Order) -> Any:
    """All of the payment goes back, at the provider; the first event of it."""
    session = order.provider_session_id or ""
    return (processor.refund(session, 9500) if kind == "refund" else processor.dispute(session))[0]


def gone_once(order: Order, kind: str) -> bool:
    """Every trace of exactly one way back of the whole payment."""
    order.refresh_from_db()
    notes = order.documents.filter(kind="credit_note")
    return (
        (order.status, order.reversed_minor) == ("reversed", 9500)
        and BEHIND[kind]._default_manager.filter(order=order).count() == 1
        and [note.amount_minor for note in notes] == ([9500] if kind == "refund" else [])
        and AuditEvent.objects.filter(action="order.reversed", target_id=order.public_id).count()
        == 1
    )


@pytest.mark.parametrize("kind", ["refund", "dispute"])
def test_one_event_in_twenty_processes_at_once(
    acme: Organisation, pack: Pack, processor: Processor, kind: str
) -> None:
    order = buy(acme, pack, processor)
    event = happen(processor, kind, order)

    def act() -> None:
        assert post_event(processor, event) == 200
        services.drive_inbox(now=utc_now())

    assert in_processes(20, act) == [0] * 20
    assert set(InboxEvent.objects.values_list("state", flat=True)) == {"done"}
    assert gone_once(order, kind)
    assert balance_of(acme) == 0
    audit()


def test_everybody_sends_and_settles_one_refund_at_once(
    acme: Organisation, pack: Pack, processor: Processor, staff: list[User]
) -> None:
    order = buy(acme, pack, processor)
    request = ask(order, expected=9500)
    approve(request, staff[0])

    def act(number: int) -> None:
        if number % 2:
            services.sweep_orders(now=utc_now())
        else:
            services.send_refund(request_public_id=request.public_id, now=utc_now())

    assert at_once(12, act) == [None] * 12
    # A look that began before the money was sent may have been the last one to be written.
    services.send_due_refunds(now=utc_now() + SEND_AGAIN_AFTER)
    request.refresh_from_db()
    assert request.state == "done"
    assert gone_once(order, "refund")
    assert balance_of(acme) == 0
    audit()


def test_asking_twenty_times_at_once_sets_aside_once(acme: Organisation, pack: Pack) -> None:
    order = buy(acme, pack, SandboxProcessor())

    answers = at_once(20, lambda _number: ask(order, expected=9500))

    assert sum(isinstance(answer, RefundRequest) for answer in answers) == 1
    assert sum(isinstance(answer, services.RefundNotPossible) for answer in answers) == 19
    assert RefundRequest.objects.count() == 1
    assert balance_of(acme) == 0
    audit()


def test_one_person_approving_many_times_at_once_approves_once(
    acme: Organisation, pack: Pack, staff: list[User]
) -> None:
    request = ask(buy(acme, pack, SandboxProcessor()), expected=9500)

    answers = at_once(8, lambda _number: approve(request, staff[0]))

    assert answers.count(True) == 1
    assert sum(isinstance(answer, services.RefundDecided) for answer in answers) == 7
    assert AuditEvent.objects.filter(action="refund.approved").count() == 1


def test_one_person_alone_never_is_two(
    acme: Organisation, pack: Pack, staff: list[User], settings: Any
) -> None:
    settings.REFUND_SECOND_PERSON_ABOVE = 10
    request = ask(buy(acme, pack, SandboxProcessor()), expected=9500)

    answers = at_once(8, lambda _number: approve(request, staff[0]))

    assert answers.count(False) == 1
    assert sum(isinstance(answer, services.AnotherPersonNeeded) for answer in answers) == 7
    request.refresh_from_db()
    assert (request.state, request.seconded_by, request.decided_by) == (
        "requested",
        staff[0],
        None,
    )


def test_many_people_above_the_limit_are_one_agreement_and_one_approval(
    acme: Organisation, pack: Pack, staff: list[User], settings: Any
) -> None:
    settings.REFUND_SECOND_PERSON_ABOVE = 10
    request = ask(buy(acme, pack, SandboxProcessor()), expected=9500)

    answers = at_once(8, lambda number: approve(request, staff[number]))

    assert (answers.count(False), answers.count(True)) == (1, 1)
    assert sum(isinstance(answer, services.RefundDecided) for answer in answers) == 6
    request.refresh_from_db()
    assert request.state == "approved"
    assert request.seconded_by == staff[answers.index(False)]
    assert request.decided_by == staff[answers.index(True)]


@pytest.mark.parametrize("stop", ["declined", "withdrawn"])
def test_declining_and_withdrawing_against_approving_end_one_way(
    acme: Organisation, pack: Pack, staff: list[User], stop: str
) -> None:
    for round_ in range(4):
        order = buy(acme, pack, SandboxProcessor(), key=f"k{round_}")
        request = ask(order, expected=9500)
        before = balance_of(acme)

        def act(number: int, request: RefundRequest = request) -> object:
            if number:
                return approve(request, staff[1])
            if stop == "declined":
                decline(request, staff[0])
            else:
                withdraw(request)
            return None

        stopped, approved = at_once(2, act)

        request.refresh_from_db()
        if approved is True:
            assert isinstance(stopped, services.RefundDecided)
            assert (request.state, request.decided_by) == ("approved", staff[1])
            assert balance_of(acme) == before
            assert send(request).state == "done"
        else:
            assert isinstance(approved, services.RefundDecided)
            decided_by = staff[0] if stop == "declined" else None
            assert (request.state, request.decided_by) == (stop, decided_by)
            assert balance_of(acme) == before + order.total_millitokens
            assert send(request).state == stop
        audit()


@pytest.mark.parametrize(
    ("processor", "kind"), [("sandbox", "dispute"), ("stripe", "refund")], indirect=["processor"]
)
def test_a_worker_killed_while_it_follows_an_event(
    acme: Organisation, pack: Pack, processor: Processor, kind: str
) -> None:
    """Before its n-th statement, for every n; the next worker finishes after the lease."""
    killed_with_books = 0
    for statement in range(200):
        order = buy(acme, pack, processor, key=f"k{statement}")
        post_event(processor, happen(processor, kind, order))
        survived = survives_in_child(lambda: services.drive_inbox(now=utc_now()), statement)
        order.refresh_from_db()
        killed_with_books += order.status == "reversed" and not survived
        assert balance_of(acme) == (0 if order.status == "reversed" else order.total_millitokens)
        if survived:
            break
        services.drive_inbox(now=utc_now())
        services.drive_inbox(now=utc_now() + LEASE)
        assert gone_once(order, kind), statement
        assert InboxEvent.objects.latest("id").state == "done"
        assert balance_of(acme) == 0
    assert survived
    assert statement > 20
    # Between the ledger's commit and the event's "done" lies the moment this test is named for.
    assert killed_with_books >= 1
    assert gone_once(order, kind)
    audit()


@pytest.mark.parametrize("processor", ["stripe"], indirect=True)
def test_a_worker_killed_while_it_sends_money_back(
    acme: Organisation, pack: Pack, processor: Processor, staff: list[User]
) -> None:
    """Before its n-th statement, for every n; the sweep makes the very same call again."""
    killed_after_yes = 0
    for statement in range(200):
        order = buy(acme, pack, processor, key=f"k{statement}")
        request = ask(order, expected=9500)
        approve(request, staff[0])
        act = partial(services.send_refund, request_public_id=request.public_id, now=utc_now())
        survived = survives_in_child(act, statement)
        request.refresh_from_db()
        assert request.state == ("done" if survived else "approved")
        assert balance_of(acme) == 0
        if survived:
            break
        killed_after_yes += count_refunds(processor, order)
        services.send_due_refunds(now=utc_now() + SEND_AGAIN_AFTER + timedelta(seconds=1))
        request.refresh_from_db()
        assert request.state == "done", statement
        assert count_refunds(processor, order) == 1
        assert gone_once(order, "refund"), statement
        assert balance_of(acme) == 0
    assert survived
    # Between the provider's yes and our note.
    assert killed_after_yes > 10
    assert gone_once(order, "refund")
    audit()


def count_refunds(processor: Processor, order: Order) -> int:
    """At the provider."""
    known = get_payment_provider(processor.name).retrieve_money_back(order.payment_reference)
    return len(known.refunds)
