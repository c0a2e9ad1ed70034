"""Rows that were taken away, with what they belong to: what stays elsewhere tells of them."""

from pathlib import Path
from typing import Any

import pytest
from django.db.models import F

from accounts.models import Organisation, User
from accounts.services import SYSTEM_ACTOR
from marketplace.billing.models import Order
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Freeze, Wallet
from marketplace.partners.models import Intake
from marketplace.reconciliation import services
from marketplace.reconciliation.models import Finding, FindingState, RunKind
from portal.kernel.clock import utc_now
from tests.reconciliation.book import give, inject_all, run_once, run_twice

pytest_plugins = ["tests.partners.fixtures", "tests.reconciliation.fixtures"]
pytestmark = pytest.mark.usefixtures("committed_db")

Seen = set[tuple[int, str]]


def look(**options: Any) -> Seen:
    """(number, subject) of what waits after one run, but for constraints that were passed."""
    assert run_once(**options).error == ""
    found = Finding.objects.exclude(state=FindingState.RESOLVED).exclude(check_number=21)
    return set(found.values_list("check_number", "subject"))


def lose(*statements: str, **names: object) -> None:
    assert inject_all(statement.format(**names) for statement in statements) > 0


# Seals


@pytest.fixture
def sealed(busy: Wallet) -> Wallet:
    """Two checkpoints, and a light run that has seen both."""
    acme = Organisation.objects.get(public_id=busy.owner_key)
    run_once()
    for _turn in range(2):
        give(acme, 5000)
        ledger.seal_entries(now=utc_now())
    run_once(kind=RunKind.LIGHT)
    return busy


LAST_CHECKPOINT = (
    "DELETE FROM ledger_walletcheckpoint"
    " WHERE checkpoint_number = (SELECT MAX(number) FROM ledger_checkpoint)",
    "DELETE FROM ledger_checkpoint WHERE number = (SELECT MAX(number) FROM ledger_checkpoint)",
)
ALL_CHECKPOINTS = (
    "DELETE FROM ledger_sealedentry",
    "DELETE FROM ledger_walletcheckpoint",
    "DELETE FROM ledger_checkpoint",
)


@pytest.mark.parametrize("statements", [LAST_CHECKPOINT, ALL_CHECKPOINTS], ids=["last", "all"])
@pytest.mark.parametrize("kind", RunKind.values)
def test_checkpoints_that_are_gone_are_missed(
    sealed: Wallet, statements: tuple[str, ...], kind: str
) -> None:
    before = look(kind=kind)
    lose(*statements)
    assert look(kind=kind) - before == {(2, "heads:runs")}
    ledger.seal_entries(now=utc_now())  # as the schedule does at once
    run_twice(kind=kind)
    finding = Finding.objects.get(check_number=2, subject="heads:runs")
    assert (finding.state, finding.wallet, finding.froze_wallet) == (FindingState.OPEN, None, False)


def test_a_loss_of_checkpoints_that_staff_explained_is_not_told_again(
    sealed: Wallet, sam: User
) -> None:
    lose(*LAST_CHECKPOINT)
    run_twice()
    finding = Finding.objects.get(subject="heads:runs")
    services.resolve_finding(
        finding=finding, note="Restored.", user=sam, actor=SYSTEM_ACTOR, now=utc_now()
    )
    ledger.seal_entries(now=utc_now())
    assert (2, "heads:runs") not in look()
    lose(*LAST_CHECKPOINT)
    assert (2, "heads:runs") in look()


def test_a_file_of_heads_that_disagrees_is_a_finding(
    sealed: Wallet, settings: Any, tmp_path: Path
) -> None:
    path = tmp_path / "heads"
    settings.LEDGER_HEADS_FILE = str(path)
    before = look()  # nothing was exported yet
    ledger.append_heads(path)
    assert look() == before
    kept = path.read_text()
    path.write_text("what is this\n")
    assert look() - before == {(2, "heads:file")}
    path.write_text(kept)
    assert look() == before
    lose(*LAST_CHECKPOINT)
    assert (2, "heads:file") in look()
    assert kept.splitlines()[-1] in Finding.objects.get(subject="heads:file").detail["reason"]


# Freezes


def freeze(wallet: Wallet, reason: str) -> None:
    services.freeze_wallet(wallet=wallet, reason=reason, actor=SYSTEM_ACTOR, now=utc_now())


def test_a_freeze_by_staff_that_is_gone_is_missed(busy: Wallet) -> None:
    before = look()
    freeze(busy, "they look odd")
    assert look() == before
    lose("DELETE FROM ledger_freeze", "UPDATE ledger_wallet SET frozen = false")
    subject = f"staff:{busy.owner_key}:live:general"
    assert look() - before == {(1, subject)}
    run_once()
    busy.refresh_from_db()
    assert busy.frozen
    assert Finding.objects.get(subject=subject).detail["reason"] == "staff: they look odd"


def test_a_freeze_that_staff_lifted_or_put_again_is_not_missed(busy: Wallet) -> None:
    before = look()
    for _turn in range(2):
        freeze(busy, "they look odd")
        assert look() == before
        services.lift_freeze(
            wallet=busy,
            freeze_pk=Freeze.objects.get().pk,
            reason="they do not",
            actor=SYSTEM_ACTOR,
            now=utc_now(),
        )
        assert look() == before


def test_a_freeze_in_the_name_of_staff_that_nobody_put_is_seen(busy: Wallet) -> None:
    before = look()
    ledger.freeze_wallet(wallet_pk=busy.pk, reason="staff: for a friend", now=utc_now())
    subject = f"staff:{busy.owner_key}:live:general"
    assert look() - before == {(1, subject)}
    run_once()
    assert not Finding.objects.get(subject=subject).froze_wallet


# Orders


@pytest.mark.parametrize("status", ["draft", "pending", "processing", "expired", "failed"])
def test_an_order_that_was_paid_and_says_otherwise_is_seen(busy: Wallet, status: str) -> None:
    before = look()
    order = Order.objects.filter(status="paid").order_by("pk")[0]
    lose("UPDATE billing_order SET status = '{status}' WHERE id = {pk}", status=status, pk=order.pk)
    assert look() - before == {(14, f"order:{order.public_id}")}


# Counts of what providers reported


@pytest.fixture
def source(busy: Wallet) -> str:
    """Of a provider that reported more than what was charged."""
    Intake.objects.update(received=9, repeated=3, rejected=2)
    return Intake.objects.get().source


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE partners_intake SET received = received - 1",
        "UPDATE partners_intake SET repeated = 0",
        "UPDATE partners_intake SET rejected = 0",
        "UPDATE partners_intake SET received = 2, repeated = 0, rejected = 0",
        "DELETE FROM partners_intake",
    ],
)
def test_counts_that_fell_are_seen(source: str, statement: str) -> None:
    before = look()
    lose(statement)
    assert look() - before == {(8, f"intake:{source}")}
    run_once()
    assert Finding.objects.get(subject=f"intake:{source}").state == FindingState.OPEN


def test_more_answers_than_reports_are_seen_without_an_earlier_run(source: str) -> None:
    lose("UPDATE partners_intake SET received = 0")
    assert (8, f"intake:{source}") in look()


def test_counts_that_rise_raise_nothing(source: str) -> None:
    before = look()
    for _turn in range(2):
        Intake.objects.update(received=F("received") + 2, rejected=F("rejected") + 1)
        assert look() == before


def test_quarantined_reports_that_are_gone_are_missed(source: str) -> None:
    """They were counted; only their rows say what was claimed."""
    before = look()
    Intake.objects.update(quarantined=1)
    assert look() - before == {(11, f"quarantine:{source}")}
