"""Runs as a whole: the cap on repairs, the end of a finding, the command, the snapshot."""

from datetime import datetime
from typing import Any

import pytest
from django.core.management import call_command
from django.db.backends.utils import CursorWrapper

from accounts.models import AuditEvent, User
from accounts.services import SYSTEM_ACTOR
from marketplace.catalog.models import Service
from marketplace.ledger.models import Wallet
from marketplace.metering import services as metering
from marketplace.metering.models import Call
from marketplace.reconciliation import selectors, services
from marketplace.reconciliation.checks import BY_NUMBER
from marketplace.reconciliation.models import Finding, FindingState, Run
from marketplace.reconciliation.services import runs
from marketplace.reconciliation.snapshot import fetch_rows, open_snapshot
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError
from tests.market import make_call
from tests.reconciliation.book import inject_all, raise_held, raise_posted, run_once, run_twice

pytest_plugins = ["tests.partners.fixtures", "tests.reconciliation.fixtures"]
pytestmark = pytest.mark.usefixtures("committed_db")


def test_repairs_stop_at_the_cap(book: Wallet, settings: Any) -> None:
    settings.RECONCILE_MAX_REPAIRS = 0
    raise_held(book)
    held = Wallet.objects.get(pk=book.pk).held_millitokens
    run_twice()
    assert Wallet.objects.get(pk=book.pk).held_millitokens == held
    assert list(selectors.list_findings()) == list(Finding.objects.filter(check_number=3))


def test_resolving_lifts_the_freeze_and_needs_a_note(book: Wallet, sam: User) -> None:
    raise_posted(book)
    run_twice()
    finding = Finding.objects.get(check_number=1)
    with pytest.raises(DomainError):
        services.resolve_finding(
            finding=finding, note=" ", user=sam, actor=SYSTEM_ACTOR, now=utc_now()
        )
    assert Wallet.objects.get(pk=book.pk).frozen
    for open_finding in Finding.objects.exclude(state=FindingState.RESOLVED):
        services.resolve_finding(
            finding=open_finding,
            note="Set back by hand.",
            user=sam,
            actor=SYSTEM_ACTOR,
            now=utc_now(),
        )
    assert not Wallet.objects.get(pk=book.pk).frozen
    with pytest.raises(DomainError):
        services.resolve_finding(
            finding=finding, note="Again.", user=sam, actor=SYSTEM_ACTOR, now=utc_now()
        )
    told = AuditEvent.objects.filter(action="finding.resolved", target_id=finding.public_id).get()
    assert (told.before, told.after) == ({"state": "open"}, {"note": "Set back by hand."})
    raise_posted(book, by=-5)
    run_once()
    assert not Finding.objects.exclude(state=FindingState.RESOLVED).exists()


def test_the_command_tells_by_its_exit_code(book: Wallet, capsys: Any) -> None:
    call_command("reconcile_balances")
    assert "The books balance" in capsys.readouterr().out
    raise_posted(book)
    with pytest.raises(SystemExit) as stopped:
        call_command("reconcile_balances")
    assert stopped.value.code == 1
    assert "FINDING" in capsys.readouterr().out


def test_the_snapshot_blocks_no_writer(book: Wallet, key: str, rhine_service: Service) -> None:
    count = "SELECT COUNT(*) AS n FROM metering_call"
    with open_snapshot() as cursor:
        before = fetch_rows(cursor, count, [])[0]["n"]
        make_call(key, rhine_service)
        assert fetch_rows(cursor, count, [])[0]["n"] == before
    assert Call.objects.count() == before + 1


def test_lost_roll_ups_do_not_matter_to_the_books(book: Wallet) -> None:
    metering.roll_up_usage(now=utc_now())
    run_twice()
    assert not Finding.objects.exists()


def test_a_run_that_cannot_go_on_says_why(book: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_cursor: CursorWrapper) -> None:
        raise OverflowError("bigint out of range")

    monkeypatch.setattr(runs, "prove", fail)
    with pytest.raises(OverflowError):
        run_once()
    run = Run.objects.get()
    assert run.error == "OverflowError: bigint out of range"
    assert run.finished_at is not None


def test_an_outsider_who_does_not_answer_stops_no_run(
    book: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_now: datetime) -> None:
        raise TimeoutError("no answer")

    monkeypatch.setitem(BY_NUMBER[14].__dict__, "ask", fail)
    raise_posted(book)
    run = run_once()
    assert run.error == "check 14: TimeoutError: no answer"
    assert Finding.objects.filter(check_number=1).exists()


def test_a_wallet_that_is_gone_cannot_be_frozen_and_stops_no_run(book: Wallet) -> None:
    inject_all(["DELETE FROM ledger_wallet"])
    assert run_twice().error == ""
    assert Finding.objects.filter(state=FindingState.OPEN, froze_wallet=False).exists()
