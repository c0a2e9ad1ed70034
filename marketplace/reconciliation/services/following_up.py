"""What follows from the differences of a run: suspicions, findings, freezes and repairs."""

from collections.abc import Iterable
from datetime import datetime

import structlog
from django.conf import settings
from django.db import DatabaseError, connection, transaction

from marketplace.ledger import services as ledger
from marketplace.ledger.models import Wallet
from marketplace.reconciliation.checks import BY_NUMBER
from marketplace.reconciliation.checks.base import Action, Check, Difference
from marketplace.reconciliation.models import Finding, FindingState, Run, RunKind
from marketplace.reconciliation.selectors import FINDING_FREEZE
from portal.kernel.clock import utc_now

log = structlog.get_logger(__name__)

Repair = tuple[Check, Difference, Finding]

_ADVISORY_LOCK = 0x746F6B656E  # "token": one run remembers at a time


def remember(run: Run, seen: dict[Check, list[Difference]], now: datetime) -> list[Repair]:
    """Store what was seen; forget suspicions that did not return; answer what to repair.

    One commit, one run at a time. What is to be repaired by rule stays suspected until then.
    """
    repairs: list[Repair] = []
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ADVISORY_LOCK])
        unresolved = {
            (finding.check_number, finding.subject): finding
            for finding in Finding.objects.exclude(state=FindingState.RESOLVED).select_related(
                "first_run"
            )
        }
        # What was resolved while this run was reading may still be in its snapshot.
        just_resolved = set(
            Finding.objects.filter(resolved_at__gte=run.started_at).values_list(
                "check_number", "subject"
            )
        )
        unseen = dict(unresolved)
        wallets = _find_wallets(seen.values())
        fresh: list[Finding] = []
        to_freeze: list[tuple[int, Finding]] = []
        for check, differences in seen.items():
            for difference in differences:
                key = (check.number, difference.subject)
                finding = unresolved.get(key)
                unseen.pop(key, None)
                if finding is None and key not in just_resolved:
                    unresolved[key] = _suspect(run, check, difference, wallets, now)
                    fresh.append(unresolved[key])
                elif finding is not None and _is_second_look(run, finding):
                    _see_again(run, difference, finding, now)
                    action = check.action_for(difference)
                    if action is Action.REPAIR:
                        repairs.append((check, difference, finding))
                    else:
                        _open(finding, now)
                    if action is Action.FREEZE and difference.wallet_pk is not None:
                        to_freeze.append((difference.wallet_pk, finding))
        Finding.objects.bulk_create(fresh, batch_size=500)
        _drop_suspicions(run, unseen.values())
        _freeze(to_freeze, now)
        cap = settings.RECONCILE_MAX_REPAIRS
        if len(repairs) > cap:
            log.error("repairs_capped", wanted=len(repairs), cap=cap)
        for _check, _difference, finding in repairs[cap:]:
            _open(finding, now)
    return repairs[:cap]


def act(repairs: list[Repair], now: datetime) -> None:
    """Repair by rule; what a rule could not repair becomes a finding for a person."""
    for check, difference, finding in repairs:
        assert check.repair is not None
        try:
            done = check.repair(difference, now) or "had resolved itself by then"
        except Exception:
            # One thing that cannot be repaired must not keep the others from it.
            log.exception("repair_failed", finding=finding.public_id, check=check.number)
            _open(finding, now)
            continue
        Finding.objects.filter(pk=finding.pk).exclude(state=FindingState.RESOLVED).update(
            state=FindingState.RESOLVED,
            resolved_at=max(now, utc_now()),
            note=f"Repaired by rule: {done}.",
        )
        log.warning(
            "difference_repaired",
            finding=finding.public_id,
            check=check.number,
            subject=difference.subject,
            done=done,
        )


def _find_wallets(seen: Iterable[list[Difference]]) -> set[int]:
    """Those that are there: a damaged row may name one that is not."""
    named = {d.wallet_pk for differences in seen for d in differences if d.wallet_pk}
    return set(Wallet.objects.filter(pk__in=named).values_list("pk", flat=True))


def _suspect(
    run: Run, check: Check, difference: Difference, wallets: set[int], now: datetime
) -> Finding:
    # By our own clock: a run that began before this was remembered is no second look at it.
    seen_at = max(now, utc_now())
    return Finding(
        check_number=check.number,
        subject=difference.subject,
        detail=dict(difference.detail),
        at_stake_millitokens=difference.at_stake_millitokens,
        wallet_id=difference.wallet_pk if difference.wallet_pk in wallets else None,
        first_run=run,
        last_run=run,
        first_seen_at=seen_at,
        last_seen_at=seen_at,
    )


def _is_second_look(run: Run, finding: Finding) -> bool:
    """Not where two queries of one run name one subject, nor where two runs look at once."""
    return run.started_at > finding.first_seen_at


def _see_again(run: Run, difference: Difference, finding: Finding, now: datetime) -> None:
    finding.detail = dict(difference.detail)
    finding.at_stake_millitokens = difference.at_stake_millitokens
    finding.last_run, finding.last_seen_at = run, now
    finding.save(update_fields=["detail", "at_stake_millitokens", "last_run", "last_seen_at"])


def _freeze(to_freeze: list[tuple[int, Finding]], now: datetime) -> None:
    """By ascending wallet, as every writer locks them; one that cannot be frozen stays for the
    person who reads its finding."""
    for wallet_pk, finding in sorted(to_freeze, key=lambda pair: pair[0]):
        if finding.froze_wallet:
            continue
        try:
            reason = f"{FINDING_FREEZE}{finding.public_id}"
            ledger.freeze_wallet(wallet_pk=wallet_pk, reason=reason, now=now)
        except (DatabaseError, Wallet.DoesNotExist):
            log.exception("wallet_not_frozen", finding=finding.public_id, wallet=wallet_pk)
            continue
        finding.froze_wallet = True
        finding.save(update_fields=["froze_wallet"])


def _open(finding: Finding, now: datetime) -> None:
    """From now on it waits for a person; whoever is to hear of it does so after the commit."""
    opened = Finding.objects.filter(pk=finding.pk, state=FindingState.SUSPECTED).update(
        state=FindingState.OPEN, opened_at=now
    )
    if opened:
        log.error(
            "finding_opened",
            finding=finding.public_id,
            check=finding.check_number,
            subject=finding.subject,
            at_stake_millitokens=finding.at_stake_millitokens,
        )


def _drop_suspicions(run: Run, unseen: Iterable[Finding]) -> None:
    """What was seen once and not again was in flight, not wrong."""
    gone = [finding.pk for finding in unseen if _could_have_seen(run, finding)]
    Finding.objects.filter(pk__in=gone, state=FindingState.SUSPECTED).delete()


def _could_have_seen(run: Run, finding: Finding) -> bool:
    """Whether the run looked where and after the suspicion was first raised."""
    report = {row["number"]: row for row in run.checks}.get(finding.check_number, {})
    if run.started_at <= finding.first_seen_at or "error" in report:
        return False
    check = BY_NUMBER.get(finding.check_number)
    if run.kind == RunKind.FULL or check is None or not check.windowed or run.since is None:
        return True
    since = finding.first_run.since
    return since is not None and run.since <= since
