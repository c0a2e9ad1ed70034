"""Debts on the operator's page: seen, recorded as paid or forgiven, once, and never too much."""

from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEvent, Membership, Organisation, Role, User
from accounts.services import SYSTEM_ACTOR
from marketplace.billing.models import Pack
from marketplace.ledger import selectors as ledger
from marketplace.ledger.models import Freeze
from marketplace.ledger.services import Move, post_transaction
from marketplace.reconciliation import selectors, services
from marketplace.reconciliation.models import Finding
from portal.kernel.clock import utc_now
from tests.billing.money_back import buy, spend
from tests.billing.processors import SandboxProcessor, deliver
from tests.billing.shop import MILLION, make_pack
from tests.billing.test_billing_concurrency import at_once
from tests.cast import give_second_factor, make_person, signed_in
from tests.databases import CommittedDatabase
from tests.flows.world import read_everything
from tests.ledger.auditor import audit
from tests.reconciliation.book import run_twice

PROCESSOR = SandboxProcessor()
KEY = "k" * 22


@pytest.fixture
def acme(committed_db: CommittedDatabase, acme: Organisation) -> Organisation:
    """Owes $95.00: its bank took back what was used up. Not reported yet."""
    order = buy(acme, make_pack(), PROCESSOR)
    spend(acme, 105 * MILLION)
    deliver(PROCESSOR, *PROCESSOR.dispute(order.provider_session_id or ""))
    return acme


@pytest.fixture
def reported(acme: Organisation) -> Finding:
    run_twice()
    return Finding.objects.get(check_number=17, subject=f"debt:live:{acme.public_id}")


def owed_by(organisation: Organisation) -> int:
    return ledger.get_debt(owner_key=organisation.public_id, unit="live")


def is_frozen(organisation: Organisation) -> bool:
    """For what it owes; the reconciliation asks for the call that these tests leave out."""
    return Freeze.objects.filter(wallet__owner_key=organisation.public_id, reason="debt").exists()


def path_of(organisation: Organisation) -> str:
    return f"/ops/debts/{organisation.public_id}/"


def record(browser: Client, organisation: Organisation, **said: Any) -> Any:
    usual = {"key": KEY, "owed": 95 * MILLION, "end": "paid", "amount": "", "note": "3 May"}
    return browser.post(path_of(organisation), {**usual, **said})


def settle(
    organisation: Organisation, user: User, key: str = KEY, debt: selectors.Debt | None = None
) -> int:
    return services.settle_debt(
        debt=debt or selectors.get_debt(organisation_public_id=organisation.public_id),
        end=services.DebtEnd.PAID,
        amount_millitokens=95 * MILLION,
        note="3 May",
        key=key,
        user=user,
        actor=SYSTEM_ACTOR,
        now=utc_now(),
    )


def test_what_was_paid_thaws_the_wallets_and_ends_the_finding(
    acme: Organisation, reported: Finding, sam: User, bill: User
) -> None:
    staff = signed_in(sam)
    listed = staff.get("/ops/debts/").content.decode()
    for said in ("$95.00", acme.name, acme.orders.get().public_id, reported.public_id):
        assert said in listed
    finding = staff.get(f"/ops/reconciliation/findings/{reported.public_id}/").content.decode()
    assert path_of(acme) in finding
    assert record(staff, acme, amount="60.00", end="forgiven").status_code == 302
    assert (owed_by(acme), is_frozen(acme)) == (35 * MILLION, True)
    assert "$35.00 are open" in signed_in(bill).get("/o/acme/orders/").content.decode()

    # Sent again it is the same one; another key pays the rest.
    assert record(staff, acme, amount="60.00", end="forgiven").status_code == 302
    assert owed_by(acme) == 35 * MILLION
    rest = {"key": "l" * 22, "owed": 35 * MILLION}
    for _twice in range(2):
        assert record(staff, acme, **rest).status_code == 302

    assert (owed_by(acme), is_frozen(acme)) == (0, False)
    reported.refresh_from_db()
    assert (reported.state, reported.note, reported.resolved_by) == ("resolved", "3 May", sam)
    assert "Nobody owes anything" in staff.get("/ops/debts/").content.decode()
    assert "owes nothing" in staff.get(path_of(acme)).content.decode()
    events = AuditEvent.objects.filter(organisation=acme, action__startswith="debt.").order_by("pk")
    assert [event.action for event in events] == ["debt.forgiven", "debt.paid"]
    audit()
    run_twice()
    assert not selectors.list_findings().filter(check_number__in=[4, 5]).exists()
    assert not selectors.list_findings().filter(subject__startswith="debt").exists()


def test_what_cannot_be_recorded_changes_nothing(
    acme: Organisation, reported: Finding, sam: User, settings: Any
) -> None:
    """Too much, nothing, no words, another thing under a used key, or one's own company's."""
    staff = signed_in(sam)
    assert record(staff, acme, amount="1").status_code == 302
    before = read_everything()
    for said in (
        {"key": "m" * 22, "amount": "94.01"},
        {"key": "m" * 22, "amount": "0"},
        {"key": "m" * 22, "amount": "-1"},
        {"key": "m" * 22, "amount": "1.001"},
        {"key": "m" * 22, "amount": "x"},
        {"key": "m" * 22, "amount": "9" * 40},
        {"key": "m" * 22, "owed": "x"},
        {"key": "m" * 22, "note": " "},
        {"key": "m" * 22, "note": "x" * 201},
        {"key": "m" * 22, "end": "lost"},
        {"key": "short"},
        {"amount": "2"},
        {"amount": "1", "end": "forgiven"},
    ):
        answer = record(staff, acme, **said)
        assert (answer.status_code, "error-summary" in answer.content.decode()) == (400, True), said
        assert read_everything() == before, said
    settings.REFUND_SECOND_PERSON_ABOVE = 50
    for part in ("", "40"):
        refused = record(staff, acme, key="m" * 22, owed=94 * MILLION, amount=part)
        assert "two people" in refused.content.decode()
        assert owed_by(acme) == 94 * MILLION
    services.acknowledge_finding(finding=reported, user=sam, actor=SYSTEM_ACTOR, now=utc_now())
    before = read_everything()
    assert record(staff, acme, key="m" * 22, owed=94 * MILLION).status_code == 400
    tom = make_person("tom@market.example", is_staff=True)
    give_second_factor(tom)
    member = Membership.objects.create(organisation=acme, user=tom, role=Role.MEMBER)
    toms = signed_in(tom)
    before = read_everything()
    own = record(toms, acme, key="m" * 22, owed=94 * MILLION)
    assert "You belong to this company" in own.content.decode()
    assert read_everything() == before
    member.delete()
    assert record(toms, acme, key="m" * 22, owed=94 * MILLION).status_code == 302
    assert owed_by(acme) == 0


def test_a_debt_that_was_paid_and_then_not_owed_is_owed_back(
    acme: Organisation, reported: Finding, sam: User
) -> None:
    settle(acme, sam)
    session = acme.orders.get().provider_session_id or ""
    deliver(PROCESSOR, *PROCESSOR.end_dispute(session, won=True))
    run_twice()
    found = selectors.list_findings().get(check_number=17)
    assert (found.subject, found.at_stake_millitokens) == (
        f"owed_back:live:{acme.public_id}",
        95 * MILLION,
    )
    post_transaction(
        kind="adjustment",
        unit="live",
        idempotency_scope="staff",
        idempotency_key="back",
        moves=[Move(("receivable", acme.public_id), ("clearing", "bank"), 95 * MILLION)],
        reason="paid back",
        reference=f"finding:{found.public_id}",
        now=utc_now(),
    )
    services.resolve_finding(
        finding=found, note="Paid back", user=sam, actor=SYSTEM_ACTOR, now=utc_now()
    )
    audit()
    run_twice()
    assert not selectors.list_findings().filter(check_number__in=[5, 17]).exists()


def test_a_finding_that_was_resolved_meanwhile_settles_nothing(
    acme: Organisation, reported: Finding, sam: User
) -> None:
    shown = selectors.get_debt(organisation_public_id=acme.public_id)
    services.resolve_finding(
        finding=reported, note="A mistake", user=sam, actor=SYSTEM_ACTOR, now=utc_now()
    )
    before = read_everything()
    with pytest.raises(services.DebtNotFoundYet):
        settle(acme, sam, debt=shown)
    assert read_everything() == before


def test_the_key_of_a_form_is_its_companys_own(
    acme: Organisation, globex: Organisation, sam: User
) -> None:
    order = buy(globex, Pack.objects.get(), PROCESSOR, key="theirs")
    spend(globex, 105 * MILLION)
    deliver(PROCESSOR, *PROCESSOR.dispute(order.provider_session_id or ""))
    run_twice()
    assert settle(acme, sam) == settle(globex, sam) == 0
    assert (owed_by(acme), owed_by(globex)) == (0, 0)


def test_a_debt_that_was_not_reported_yet_waits(acme: Organisation, sam: User) -> None:
    staff = signed_in(sam)
    assert "has not reported this debt yet" in staff.get(path_of(acme)).content.decode()
    before = read_everything()
    assert record(staff, acme).status_code == 400
    assert read_everything() == before
    assert staff.get("/ops/debts/org_none/").status_code == 404


@pytest.mark.parametrize("same", [True, False])
def test_many_at_once_settle_once(
    acme: Organisation, reported: Finding, sam: User, same: bool
) -> None:
    answers = at_once(6, lambda number: settle(acme, sam, KEY if same else f"{KEY}{number}"))

    if same:
        assert answers == [0] * 6
    else:
        assert answers.count(0) == 1
    assert (owed_by(acme), is_frozen(acme)) == (0, False)
    assert AuditEvent.objects.filter(action="debt.paid").count() == 1
    audit()
