"""Budgets: made, changed, archived, and their openings counted until all calls before are over."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.models import CapPeriod, Membership, Organisation, User
from accounts.services import Actor, record_audit
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Unit
from marketplace.metering.models import Budget
from marketplace.metering.periods import get_zone, start_of_period
from marketplace.metering.selectors import budgets as selectors
from marketplace.metering.selectors.budgets_in_force import (
    MAX_AGE_SECONDS,
    forget_budgets_in_force,
)
from portal.kernel.errors import Conflict, Rejected

MAX_MILLITOKENS = 10**18
MAX_BUDGETS = 1000
MAX_ALERTS = 10
# Longer than any process believes what it remembers, and any transaction takes to be opened.
KNOWN_AFTER = timedelta(seconds=20 * MAX_AGE_SECONDS)
# Longer than any call that began before a budget did: then its opening is final.
OPENING_SETTLES_WITHIN = timedelta(hours=1)


class BudgetRejected(Rejected):
    """The budget cannot be like this; ``data["field"]`` names the input."""

    code = "budget_rejected"


class BudgetExists(Conflict):
    """The same calls have a budget for this period; change that one."""

    code = "budget_exists"
    sentence = _("There is a budget for this period already. Change that one.")


class BudgetArchived(Conflict):
    """An archived budget does not change any more."""

    code = "budget_archived"
    sentence = _("This budget is archived. Make a new one.")


def create_budget(
    *,
    organisation: Organisation,
    member: User | None,
    unit: str,
    period: str,
    max_millitokens: int,
    alert_percentages: Iterable[int],
    created_by: User,
    actor: Actor,
    now: datetime,
) -> Budget:
    """In force within seconds, at once in this process. ``member`` None: of all calls.

    What was spent in the running period and what is held count from its beginning; a budget in
    total begins with its making. Made twice with the same settings is once. Raises
    BudgetRejected, and BudgetExists when the same calls have another one for this period.
    """
    alerts = _read_alerts(alert_percentages)
    _refuse_nonsense(organisation, member, unit, period, max_millitokens)
    with transaction.atomic():
        # One at a time for each organisation: the same one twice is seen, and they are counted.
        Organisation.objects.select_for_update(no_key=True).get(pk=organisation.pk)
        others = Budget.objects.of(organisation).in_force()
        same = others.filter(member=member, unit=unit, period=period).first()
        if same:
            if (same.max_millitokens, same.alert_percentages) == (max_millitokens, alerts):
                return same
            raise BudgetExists(data={"budget": same.public_id})
        if others.count() >= MAX_BUDGETS:
            raise BudgetRejected(_("There are too many budgets. Archive one that is not needed."))
        start = start_of_period(period, get_zone(organisation.timezone), now)
        budget = Budget(
            organisation=organisation,
            member=member,
            unit=unit,
            period=period,
            max_millitokens=max_millitokens,
            alert_percentages=alerts,
            opening_start=start,
            created_by=created_by,
            created_at=now,
            counts_all_from=now + KNOWN_AFTER,
        )
        if period != CapPeriod.TOTAL:
            budget.opening_millitokens = selectors.sum_uncounted(budget)
        budget.save(force_insert=True)
        ledger.open_limit(
            subject=budget.subject,
            period_start=start,
            max_millitokens=selectors.cap_of_budget(budget).left_at_most(start),
        )
        _conclude(budget, "budget.created", actor, now, after=_settings_of(budget))
    return budget


def change_budget(
    *,
    budget: Budget,
    max_millitokens: int,
    alert_percentages: Iterable[int],
    actor: Actor,
    now: datetime,
) -> Budget:
    """Another maximum or other alerts; what is used stays counted. Twice is once.

    Below what is used already: no new call until the next period; calls that run go on with what
    is held for them. Raises BudgetRejected, BudgetArchived.
    """
    alerts = _read_alerts(alert_percentages)
    _refuse_amount(max_millitokens)
    with transaction.atomic():
        found = _lock(budget)
        before = _settings_of(found)
        if found.archived_at:
            raise BudgetArchived()
        found.max_millitokens, found.alert_percentages = max_millitokens, alerts
        if _settings_of(found) == before:
            return found
        found.save(update_fields=["max_millitokens", "alert_percentages"])
        _tell_ledger(found, now)
        _conclude(found, "budget.changed", actor, now, before=before, after=_settings_of(found))
    return found


def archive_budget(*, budget: Budget, actor: Actor, now: datetime) -> Budget:
    """Its calls are limited by it no more; what it counted stays. Twice is once."""
    with transaction.atomic():
        found = _lock(budget)
        if found.archived_at:
            return found
        found.archived_at, found.counts_all_until = now, now - KNOWN_AFTER
        found.save(update_fields=["archived_at", "counts_all_until"])
        _tell_ledger(found, now)
        _conclude(found, "budget.archived", actor, now, before=_settings_of(found))
    return found


def settle_openings(*, now: datetime) -> int:
    """Count again what new budgets did not see: calls that ran when they were made cost less than
    was held for them, and processes learn of a budget some seconds late. How many changed.

    Safe to run at any time and twice: what the ledger counts and the opening are never the same.
    """
    young = Budget.objects.in_force().filter(
        created_at__gt=now - OPENING_SETTLES_WITHIN, created_at__lte=now
    )
    return sum(_settle(budget, now) for budget in young.exclude(period=CapPeriod.TOTAL))


def _settle(budget: Budget, now: datetime) -> bool:
    with transaction.atomic():
        found = _lock(budget)
        if _running_start(found, now) != found.opening_start:
            return False
        opening = selectors.sum_uncounted(found)
        if found.archived_at or opening == found.opening_millitokens:
            return False
        found.opening_millitokens = opening
        found.save(update_fields=["opening_millitokens"])
        _tell_ledger(found, now)
        transaction.on_commit(forget_budgets_in_force)
    return True


def _lock(budget: Budget) -> Budget:
    return (
        Budget.objects.select_for_update(of=("self",))
        .select_related("organisation", "member")
        .get(pk=budget.pk)
    )


def _running_start(budget: Budget, now: datetime) -> datetime:
    return selectors.get_budget_states([budget], now=now)[budget.pk].starts_at


def _tell_ledger(budget: Budget, now: datetime) -> None:
    """Holds of running calls grow under the new maximum; without one where it is archived."""
    start = _running_start(budget, now)
    most = None if budget.archived_at else selectors.cap_of_budget(budget).left_at_most(start)
    ledger.change_limit(subject=budget.subject, period_start=start, max_millitokens=most)


def _conclude(
    budget: Budget,
    action: str,
    actor: Actor,
    now: datetime,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    record_audit(
        organisation=budget.organisation,
        actor=actor,
        action=action,
        target_id=budget.public_id,
        target_label=str(budget),
        before=before,
        after=after,
        now=now,
    )
    transaction.on_commit(forget_budgets_in_force)


def _settings_of(budget: Budget) -> dict[str, Any]:
    return {
        "max_millitokens": budget.max_millitokens,
        "cap_period": str(budget.period),
        "kind": str(budget.unit),
        "holder": budget.member.email if budget.member else None,
        "alert_percentages": budget.alert_percentages,
    }


def _read_alerts(percentages: Iterable[int]) -> list[int]:
    alerts = sorted(set(percentages))
    if len(alerts) > MAX_ALERTS or not all(1 <= percent <= 100 for percent in alerts):
        raise BudgetRejected(
            _("Choose at most ten percentages from 1 to 100."), data={"field": "alert_percentages"}
        )
    return alerts


def _refuse_amount(max_millitokens: int) -> None:
    if not 0 < max_millitokens <= MAX_MILLITOKENS:
        raise BudgetRejected(
            _("The maximum must be more than zero tokens."), data={"field": "max_millitokens"}
        )


def _refuse_nonsense(
    organisation: Organisation, member: User | None, unit: str, period: str, max_millitokens: int
) -> None:
    _refuse_amount(max_millitokens)
    if unit not in Unit.values:
        raise BudgetRejected(_("Choose live or test."), data={"field": "unit"})
    if period not in CapPeriod.values:
        raise BudgetRejected(_("Choose a period."), data={"field": "period"})
    if (
        member is not None
        and not Membership.objects.filter(organisation=organisation, user=member).exists()
    ):
        raise BudgetRejected(_("Choose a member of the organisation."), data={"field": "member"})
