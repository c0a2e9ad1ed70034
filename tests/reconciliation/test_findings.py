"""How a finding is told, looked after and ended; and runs that meet or die."""

import base64
import hashlib
import hmac
import json
import signal
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection

from accounts.models import AuditEvent, User
from accounts.services import SYSTEM_ACTOR
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Freeze, Wallet
from marketplace.reconciliation import services
from marketplace.reconciliation.models import Finding, FindingState, Run, WalletProof
from marketplace.reconciliation.services import notices
from portal.kernel.clock import utc_now
from tests.cast import make_person
from tests.databases import CommittedDatabase
from tests.kernel.receiver import SECRET, Receiver
from tests.reconciliation.book import (
    change_first_charge,
    inject,
    raise_held,
    raise_posted,
    run_once,
    run_twice,
)

pytest_plugins = [
    "tests.kernel.fixtures",
    "tests.partners.fixtures",
    "tests.reconciliation.fixtures",
]
pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture
def staff(sam: User, settings: Any) -> User:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    mail.outbox.clear()
    return sam


@pytest.fixture
def hook(receiver: Receiver, settings: Any) -> Receiver:
    settings.STAFF_WEBHOOK_URL = f"http://{receiver.address}/findings"
    settings.STAFF_WEBHOOK_SECRET = SECRET
    return receiver


def announce(**later: int) -> int:
    return services.announce_findings(now=utc_now() + timedelta(**later))


def test_staff_are_told_once_when_a_finding_opens(
    book: Wallet, staff: User, hook: Receiver
) -> None:
    wei = make_person("wei@market.example", is_staff=True, language="zh-hans")
    everybody = sorted(User.objects.filter(is_staff=True).values_list("email", flat=True))
    raise_posted(book)
    run_once()
    assert announce() == 0  # seen once only
    run_once()
    opened = Finding.objects.filter(state=FindingState.OPEN).count()
    assert announce() == opened > 0
    assert sorted(message.to[0] for message in mail.outbox) == everybody
    finding = Finding.objects.filter(check_number=1).get()
    written = {message.to[0]: message for message in mail.outbox}
    english, chinese = written[staff.email], written[wei.email]
    assert f"/ops/reconciliation/findings/{finding.public_id}/" in english.body
    assert english.subject != chinese.subject
    assert len(hook.taken) == opened
    said = {json.loads(body)["data"]["id"]: json.loads(body) for _headers, body in hook.taken}
    assert said[finding.public_id]["type"] == "finding.opened"
    assert said[finding.public_id]["data"]["at_stake_millitokens"] == "5"
    headers, body = hook.taken[0]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{digest}"

    run_once()
    assert announce(hours=1) == 0
    assert (len(mail.outbox), len(hook.taken)) == (len(everybody), opened)


def test_who_could_not_be_told_is_told_later(
    book: Wallet, staff: User, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    raise_posted(book)
    run_twice()
    hook.status = 500

    def refuse(*_arguments: object) -> None:
        raise ConnectionRefusedError

    with monkeypatch.context() as broken:
        broken.setattr(notices, "_compose", refuse)
        assert announce() > 0
    assert not Finding.objects.exclude(mailed_at=None, webhook_sent_at=None).exists()
    assert announce() == 0  # somebody's lease still runs
    hook.status = 204
    hook.taken.clear()
    opened = announce(minutes=6)
    staff_count = User.objects.filter(is_staff=True).count()
    assert (len(mail.outbox), len(hook.taken)) == (staff_count, opened)
    assert not Finding.objects.filter(webhook_sent_at=None).exists()


def test_what_was_resolved_before_anybody_heard_of_it_is_not_told(
    book: Wallet, staff: User
) -> None:
    raise_posted(book)
    run_twice()
    for finding in Finding.objects.all():
        services.resolve_finding(
            finding=finding, note="Seen in passing.", user=staff, actor=SYSTEM_ACTOR, now=utc_now()
        )
    assert announce() == 0
    assert mail.outbox == []


def test_a_finding_shows_the_figures_as_they_were_seen_last(book: Wallet) -> None:
    raise_posted(book)
    run_once()
    before = Finding.objects.get(check_number=1)
    raise_posted(book, by=2)
    run = run_once()
    after = Finding.objects.get(check_number=1)
    assert (before.at_stake_millitokens, after.at_stake_millitokens) == (5, 7)
    assert int(after.detail["posted"]) == int(before.detail["posted"]) + 2
    assert (after.last_run, after.pk) == (run, before.pk)


def test_what_a_rule_repairs_is_not_told(book: Wallet, staff: User) -> None:
    raise_held(book)
    run_twice()
    assert Finding.objects.get().state == FindingState.RESOLVED
    assert announce() == 0
    assert mail.outbox == []


def test_nothing_is_told_from_inside_a_transaction(
    book: Wallet, staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    depths = []
    original = notices._compose

    def note(*arguments: Any) -> Any:
        depths.append(connection.in_atomic_block)
        return original(*arguments)

    monkeypatch.setattr(notices, "_compose", note)
    raise_posted(book)
    run_twice()
    announce()
    assert set(depths) == {False}


def test_a_freeze_that_went_before_its_finding_is_seen(book: Wallet) -> None:
    raise_posted(book)
    run_twice()
    freezing = Finding.objects.get(check_number=1)
    inject("DELETE FROM ledger_freeze")
    inject("UPDATE ledger_wallet SET frozen = %s", False)
    run_once()
    seen = Finding.objects.get(check_number=1, subject=f"freeze:{freezing.public_id}")
    assert seen.detail["wallet"] == "its finding waits"


def test_a_freeze_that_outlived_its_finding_is_seen(book: Wallet) -> None:
    raise_posted(book)
    run_twice()
    freezing = Finding.objects.get(check_number=1)
    inject("UPDATE reconciliation_finding SET state = 'resolved', resolved_at = last_seen_at")
    run_once()
    subject = f"freeze:finding:{freezing.public_id}"
    assert Finding.objects.filter(check_number=1, subject=subject).exists()
    run_once()
    assert not Finding.objects.get(check_number=1, subject=subject).froze_wallet


def test_who_looks_after_a_finding_is_kept(book: Wallet, sam: User) -> None:
    raise_posted(book)
    run_twice()
    finding = Finding.objects.get(check_number=1)
    services.acknowledge_finding(finding=finding, user=sam, actor=SYSTEM_ACTOR, now=utc_now())
    finding.refresh_from_db()
    assert (finding.state, finding.acknowledged_by) == (FindingState.ACKNOWLEDGED, sam)
    assert AuditEvent.objects.filter(action="finding.acknowledged").exists()
    run_once()
    finding.refresh_from_db()
    assert finding.state == FindingState.ACKNOWLEDGED


def test_a_repair_that_fails_becomes_a_finding_and_stops_no_other(
    book: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_arguments: object) -> int:
        raise RuntimeError("no")

    monkeypatch.setattr(ledger, "free_stray_reservation", fail)
    raise_held(book)
    inject("DELETE FROM metering_usagecharge WHERE id = (SELECT MIN(id) FROM metering_usagecharge)")
    run_twice()
    states = dict(Finding.objects.values_list("check_number", "state"))
    assert states == {3: FindingState.OPEN, 8: FindingState.RESOLVED}


RUN = """
import django
django.setup()
from marketplace.reconciliation import services
from portal.kernel.clock import utc_now
services.reconcile_balances(trigger="command", now=utc_now())
"""


def start_run(database: CommittedDatabase, code: str = RUN) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", code], env=database.environment, stderr=subprocess.PIPE
    )


def test_runs_that_meet_double_nothing(
    book: Wallet, committed_db: CommittedDatabase, staff: User
) -> None:
    """Real processes at once, twice: one finding each, one freeze each, one repair."""
    held = Wallet.objects.get(pk=book.pk).held_millitokens
    raise_held(book)
    change_first_charge(by=-1)
    for _turn in range(2):
        crowd = [start_run(committed_db) for _number in range(4)]
        for process in crowd:
            _out, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors.decode()
    assert Run.objects.filter(finished_at__isnull=False, error="").count() == 8
    subjects = list(Finding.objects.values_list("check_number", "subject"))
    assert len(subjects) == len(set(subjects))
    assert Wallet.objects.get(pk=book.pk).held_millitokens == held
    repaired = Finding.objects.get(check_number=3)
    assert repaired.state == FindingState.RESOLVED
    assert "77" in repaired.note or "resolved itself" in repaired.note
    freezing = Finding.objects.filter(froze_wallet=True)
    assert freezing.exists()
    assert Freeze.objects.count() == freezing.count()
    run = run_once()
    assert run.equation["live"]["gap"] == "0"
    proofs = WalletProof.objects.filter(wallet=book).order_by("pk")
    assert sum(sum(map(int, proof.terms.values())) for proof in proofs[:1]) > 0


DYING = """
import django, os, signal
django.setup()
from marketplace.reconciliation.services import {module}
from marketplace.reconciliation import services
from portal.kernel.clock import utc_now
def die(*arguments, **named):
    os.kill(os.getpid(), signal.SIGKILL)
{module}.{name} = die
services.reconcile_balances(trigger="command", now=utc_now())
"""


@pytest.mark.parametrize(
    ("module", "name"),
    [("runs", "prove"), ("runs", "remember"), ("following_up", "_freeze"), ("runs", "act"),
     ("runs", "_finish")],
)  # fmt: skip
def test_a_run_that_dies_leaves_nothing_wrong(
    book: Wallet, committed_db: CommittedDatabase, module: str, name: str
) -> None:
    raise_posted(book)
    run_once()
    died = start_run(committed_db, DYING.format(module=module, name=name))
    died.communicate(timeout=60)
    assert died.returncode == -signal.SIGKILL
    unfinished = Run.objects.get(finished_at=None)
    assert not WalletProof.objects.filter(run=unfinished).exists()
    # Either all of what it saw is remembered, with its freezes, or nothing.
    states = set(Finding.objects.values_list("state", flat=True))
    assert states in ({FindingState.SUSPECTED}, {FindingState.OPEN})
    frozen = Finding.objects.filter(froze_wallet=True).exists()
    assert frozen == Wallet.objects.get(pk=book.pk).frozen == (states == {FindingState.OPEN})
    assert Freeze.objects.count() == Finding.objects.filter(froze_wallet=True).count()
    run_once()
    assert set(Finding.objects.values_list("state", flat=True)) == {FindingState.OPEN}
    assert Wallet.objects.get(pk=book.pk).frozen
    assert Freeze.objects.count() == Finding.objects.filter(froze_wallet=True).count()
