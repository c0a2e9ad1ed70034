"""Full and light runs: what each looks at, what it may forget, and the equation that it stores."""

from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection
from django.db.backends.utils import CursorWrapper

from accounts.models import Organisation, User
from accounts.services import SYSTEM_ACTOR
from marketplace.catalog.models import Service
from marketplace.ledger.models import Wallet
from marketplace.reconciliation import services, tasks
from marketplace.reconciliation.checks import BY_NUMBER, base
from marketplace.reconciliation.models import Finding, FindingState, Run, RunKind, WalletProof
from portal.kernel import immutability
from portal.kernel.clock import utc_now
from tests.market import give_tokens, make_call
from tests.reconciliation.book import (
    change_first_charge,
    drop_triggers,
    grant,
    inject,
    raise_posted,
    run_once,
    run_twice,
)

pytest_plugins = ["tests.partners.fixtures", "tests.reconciliation.fixtures"]
pytestmark = pytest.mark.usefixtures("committed_db")

OLD = timedelta(days=3)


def make_old() -> None:
    """As if everything had been recorded days ago."""
    then = utc_now() - OLD
    inject("UPDATE ledger_transaction SET effective_at = %s, recorded_at = %s", then, then)
    inject("UPDATE ledger_hold SET placed_at = %s", then)
    inject("UPDATE ledger_hold SET resolved_at = %s WHERE state <> 'pending'", then)
    inject("UPDATE ledger_lot SET granted_at = %s", then)
    inject("UPDATE metering_call SET started_at = %s", then)
    inject("UPDATE metering_usageevent SET occurred_at = %s, received_at = %s", then, then)
    inject("UPDATE accounts_trialclaim SET claimed_at = %s", then)
    inject("UPDATE accounts_auditevent SET recorded_at = %s", then)


def test_the_equation_opens_where_the_last_full_run_closed(
    book: Wallet, acme: Organisation, key: str, rhine_service: Service
) -> None:
    first = run_once().equation["live"]
    book.refresh_from_db()
    assert (first["opening"], first["gap"]) == ("0", "0")
    assert int(first["grant"]) + int(first["capture"]) == int(first["closing"])
    assert int(first["closing"]) == book.posted_millitokens
    assert int(first["held"]) == book.held_millitokens > 0

    light = run_once(kind=RunKind.LIGHT)
    assert light.equation["live"] == first | {
        "opening": first["closing"], "grant": "0", "capture": "0", "movements": "0",
    }  # fmt: skip
    make_call(key, rhine_service)
    give_tokens(acme, 5000, reference="more")
    for kind in (RunKind.LIGHT, RunKind.FULL):
        terms = run_once(kind=kind).equation["live"]
        assert (terms["opening"], terms["grant"]) == (first["closing"], "5000")
        assert int(terms["opening"]) + 5000 + int(terms["capture"]) == int(terms["closing"])
        assert terms["gap"] == "0"


def test_each_wallet_has_its_equation_in_full_runs(
    book: Wallet, acme: Organisation, globex: Organisation
) -> None:
    give_tokens(globex, 700)
    first = run_once()
    proofs = {proof.wallet_id: proof for proof in WalletProof.objects.filter(run=first)}
    book.refresh_from_db()
    proof = proofs[book.pk]
    assert (proof.opening_seq, proof.closing_seq) == (0, book.seq)
    assert (proof.opening_millitokens, proof.gap_millitokens) == (0, 0)
    assert sum(map(int, proof.terms.values())) == proof.closing_millitokens
    assert proof.closing_millitokens == book.posted_millitokens

    give_tokens(acme, 5000, reference="more")
    assert not WalletProof.objects.filter(run=run_once(kind=RunKind.LIGHT)).exists()
    [moved] = WalletProof.objects.filter(run=run_once())
    assert (moved.wallet_id, moved.terms) == (book.pk, {"grant": "5000"})
    assert (moved.opening_millitokens, moved.opening_seq) == (proof.closing_millitokens, book.seq)
    assert moved.closing_seq == book.seq + 1
    give_tokens(acme, 700, reference="again")
    [last] = WalletProof.objects.filter(run=run_once())
    assert (last.opening_millitokens, last.opening_seq) == (moved.closing_millitokens, book.seq + 1)
    assert last.terms == {"grant": "700"}


def test_a_gap_stays_in_the_equation_until_it_is_mended(book: Wallet) -> None:
    run_once()
    raise_posted(book)
    for _turn in range(3):
        run = run_once()
        assert run.equation["live"]["gap"] == "5"
        assert WalletProof.objects.get(run=run).gap_millitokens == 5
    assert Finding.objects.filter(check_number=5, subject="equation:live").exists()
    raise_posted(book, by=-5)
    assert run_once().equation["live"]["gap"] == "0"


def test_a_proof_opens_where_the_entries_ended_not_the_balance(book: Wallet) -> None:
    raise_posted(book)
    run_twice()
    assert Finding.objects.filter(subject="equation:live").exists()
    assert not Finding.objects.filter(subject__startswith="proof:").exists()


@pytest.mark.parametrize("column", ["opening_millitokens", "opening_seq"])
def test_a_stored_proof_that_was_changed_is_seen(
    book: Wallet, key: str, rhine_service: Service, column: str
) -> None:
    run_once()
    make_call(key, rhine_service)
    run_once()
    inject(
        f"UPDATE reconciliation_walletproof SET {column} = {column} + 1"  # noqa: S608 (our own names)
        " WHERE id = (SELECT MAX(id) FROM reconciliation_walletproof)"
    )
    run_once()
    [finding] = Finding.objects.all()
    assert (finding.check_number, finding.subject[:6]) == (5, "proof:")


def test_a_light_run_reads_from_the_last_full_run_on(
    book: Wallet, key: str, rhine_service: Service
) -> None:
    make_old()
    full = run_once()
    unfinished = utc_now() + timedelta(minutes=5)
    Run.objects.create(kind=RunKind.FULL, trigger="beat", started_at=unfinished)
    light = run_once(kind=RunKind.LIGHT)
    assert light.since == full.started_at - timedelta(hours=1)
    examined = {row["number"]: row["examined"] for row in light.checks}
    assert (examined[5], examined[9]) == (0, 0)
    make_call(key, rhine_service)
    # And once more what was recorded in the last hour before the full run.
    for _turn in range(2):
        again = run_once(kind=RunKind.LIGHT)
        examined = {row["number"]: row["examined"] for row in again.checks}
        assert (examined[3], examined[5], examined[9]) == (1, 1, 1)
        run_once()


def test_without_a_full_run_a_light_one_looks_at_everything(book: Wallet) -> None:
    light = run_once(kind=RunKind.LIGHT)
    assert light.since is None
    assert {row["number"]: row["examined"] for row in light.checks}[5] == 3


def test_a_light_run_forgets_nothing_that_it_could_not_see(book: Wallet) -> None:
    make_old()
    run_once()
    change_first_charge(by=-1)  # which a light run does not look at again
    run_once(kind=RunKind.LIGHT)
    assert not Finding.objects.exists()
    first = run_once()
    assert set(Finding.objects.values_list("state", flat=True)) == {FindingState.SUSPECTED}
    assert services.has_suspicions(first)
    seen = Finding.objects.count()
    assert not services.has_suspicions(run_once(kind=RunKind.LIGHT))
    assert Finding.objects.count() == seen
    run_once()
    assert not services.has_suspicions(first)
    assert set(Finding.objects.values_list("state", flat=True)) == {FindingState.OPEN}


def test_a_light_run_forgets_what_it_could_have_seen(book: Wallet) -> None:
    run_once()
    change_first_charge(by=-1)
    run_once(kind=RunKind.LIGHT)
    assert Finding.objects.filter(state=FindingState.SUSPECTED).exists()
    change_first_charge(by=1)
    run_once(kind=RunKind.LIGHT)
    assert not Finding.objects.exists()


def test_a_check_that_fails_takes_no_other_with_it(
    book: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(cursor: CursorWrapper, _scope: base.Scope) -> None:
        with suppress(DatabaseError):  # after which PostgreSQL refuses all that follows
            cursor.execute("SELECT nothing FROM nowhere")
        raise OverflowError("bigint out of range")

    change_first_charge(by=-1)
    run_once()
    before = Finding.objects.filter(check_number=9).count()
    monkeypatch.setitem(BY_NUMBER[9].__dict__, "examine", fail)
    raise_posted(book)
    run = run_once()
    assert "check 9: OverflowError" in run.error
    assert run.finished_at is not None
    assert Finding.objects.filter(check_number=1).exists()
    # What it had seen before is not forgotten, and that it failed is a difference itself.
    assert Finding.objects.filter(check_number=9).count() == before + 1
    assert Finding.objects.filter(check_number=9, subject="check:9").exists()
    # And it is no base for light runs.
    assert run_once(kind=RunKind.LIGHT).since != run.started_at - timedelta(hours=1)


def test_a_damage_in_every_row_fills_no_memory(
    book: Wallet, key: str, rhine_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "MOST_DIFFERENCES", 2)
    for _turn in range(3):
        make_call(key, rhine_service)
    inject("UPDATE ledger_hold SET price_version = 'prc_other'")
    run_once()
    run_once()
    found = Finding.objects.filter(check_number=9).order_by("subject")
    assert [finding.subject.partition(":")[0] for finding in found] == ["call", "call", "more"]
    assert list(found.values_list("state", "froze_wallet")) == [
        (FindingState.OPEN, True), (FindingState.OPEN, True), (FindingState.OPEN, False),
    ]  # fmt: skip


def test_a_run_that_began_before_is_no_second_look_and_forgets_nothing(book: Wallet) -> None:
    """Before the first one had remembered what it saw, though after it began."""
    raise_posted(book)
    services.reconcile_balances(trigger="command", now=utc_now() - timedelta(minutes=1))
    seen = Finding.objects.count()
    before = utc_now() - timedelta(seconds=30)
    services.reconcile_balances(trigger="command", now=before)
    assert set(Finding.objects.values_list("state", flat=True)) == {FindingState.SUSPECTED}
    raise_posted(book, by=-5)
    services.reconcile_balances(trigger="command", now=before)
    assert Finding.objects.count() == seen > 0


def test_a_light_run_forgets_what_it_sees_as_well_as_a_full_one(book: Wallet) -> None:
    run_once()
    drop_triggers()
    run_once()
    assert Finding.objects.filter(check_number=21).exists()
    immutability.install_guards(connection)
    run_once(kind=RunKind.LIGHT)
    assert not Finding.objects.exists()


def test_an_open_finding_waits_for_a_person_though_its_difference_is_gone(book: Wallet) -> None:
    raise_posted(book)
    run_twice()
    opened = Finding.objects.filter(state=FindingState.OPEN).count()
    raise_posted(book, by=-5)
    run_twice()
    assert Finding.objects.filter(state=FindingState.OPEN).count() == opened > 0


def test_what_was_resolved_while_a_run_was_reading_is_not_raised_by_it(
    book: Wallet, sam: User
) -> None:
    before = utc_now()
    raise_posted(book)
    run_twice()
    known = Finding.objects.count()
    for finding in Finding.objects.all():
        services.resolve_finding(
            finding=finding, note="Known.", user=sam, actor=SYSTEM_ACTOR, now=utc_now()
        )
    services.reconcile_balances(trigger="command", now=before)
    assert Finding.objects.count() == known
    run_once()
    assert Finding.objects.count() == 2 * known


def test_that_there_is_more_of_it_is_for_a_person_even_where_a_rule_repairs(
    book: Wallet, key: str, rhine_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "MOST_DIFFERENCES", 2)
    make_call(key, rhine_service)
    inject("DELETE FROM metering_usagecharge")
    run_twice()
    states = Finding.objects.filter(check_number=8).values_list("state", "subject")
    assert [state for state, subject in states if subject == "more:call"] == [FindingState.OPEN]
    assert {state for state, subject in states if subject != "more:call"} == {FindingState.RESOLVED}


def test_old_light_runs_are_deleted_unless_a_finding_names_them(book: Wallet) -> None:
    now = utc_now()
    raise_posted(book)
    named = run_once(kind=RunKind.LIGHT)
    full = run_once()
    light = run_once(kind=RunKind.LIGHT)
    unnamed = run_once(kind=RunKind.LIGHT)
    last = run_once(kind=RunKind.LIGHT)
    assert services.prune_runs(now=now) == 0
    assert services.prune_runs(now=now + timedelta(days=31)) == 2
    assert set(Run.objects.all()) == {named, full, last}
    assert light != unnamed


def test_the_nightly_run_looks_twice_by_itself(
    book: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, object]] = []
    monkeypatch.setattr(tasks.reconcile_fully, "apply_async", lambda **how: asked.append(how))
    tasks.reconcile_fully()
    assert asked == []
    raise_posted(book)
    tasks.reconcile_fully()
    assert [how["kwargs"] for how in asked] == [{"again": False}]
    tasks.reconcile_fully(again=False)
    assert len(asked) == 1
    assert Finding.objects.filter(state=FindingState.OPEN, froze_wallet=True).exists()
    assert run_twice().kind == RunKind.FULL


def test_test_tokens_have_an_equation_of_their_own(book: Wallet, acme: Organisation) -> None:
    grant(acme, 1000, unit="test", reference="test-grant")
    terms = run_once().equation
    assert (terms["test"]["grant"], terms["test"]["closing"]) == ("1000", "1000")
    assert int(terms["live"]["closing"]) == book.posted_millitokens
