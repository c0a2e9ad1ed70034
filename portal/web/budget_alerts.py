"""How budgets and keys' caps stand against the percentages at which somebody is told.

One matter for each budget and period, so each percentage is told once in it, and of several that
are passed at once only the highest. It stays told while the period runs, whatever is changed.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from accounts import selectors as accounts
from accounts.models import Membership, Organisation, Role
from accounts.services import Standing
from marketplace.metering import selectors as metering
from marketplace.metering.models import Budget
from marketplace.metering.selectors import BudgetState

# Longer than the pause between two looks, and than a missed one or two.
REFUSALS_LOOKED_AT = timedelta(hours=1)


def judge_budgets(organisation: Organisation, now: datetime) -> list[Standing]:
    """All budgets, for those who look after money."""
    return list(_judge(list(metering.list_budgets(organisation)), now))


def judge_own_budgets(organisation: Organisation, now: datetime) -> list[Standing]:
    """Members' budgets, each for its member, unless they are told of all."""
    budgets = [budget for budget in metering.list_budgets(organisation) if budget.member]
    if not budgets:
        return []
    roles = {
        member.user_id: member.role
        for member in accounts.list_members(organisation).exclude(role__in=_told_of_all())
    }
    own = [budget for budget in budgets if budget.member_id in roles]
    return list(_judge(own, now, only_member=True))


def list_nearly_used(membership: Membership, *, now: datetime) -> list[tuple[Budget, BudgetState]]:
    """What pages warn this member of: the budgets that are nearly or wholly used, as they stand."""
    own_only = metering.sees_own_budgets_only(membership)
    budgets = list(
        metering.list_budgets(membership.organisation, member=membership.user if own_only else None)
    )
    states = metering.get_budget_states(budgets, now=now)
    return [(budget, states[budget.pk]) for budget in budgets if states[budget.pk].level != "ok"]


def _judge(
    budgets: list[Budget], now: datetime, *, only_member: bool = False
) -> Iterator[Standing]:
    states = metering.get_budget_states(budgets, now=now)
    for budget in budgets:
        state = states[budget.pk]
        percent = _percent_of(budget, state, now)
        reached = [alert for alert in budget.alert_percentages if alert <= percent]
        yield Standing(
            subject=f"{budget.public_id}:{state.starts_at:%Y-%m-%dT%H%M}",
            stage=100 - max(reached) if reached else None,
            params={
                "percent": max(reached) if reached else 0,
                "period": budget.period,
                "person": str(budget.member) if budget.member and not only_member else "",
                "spent_millitokens": state.spent_millitokens,
                "max_millitokens": budget.max_millitokens,
                "ends_at": state.ends_at.isoformat() if state.ends_at else None,
            },
            person=budget.member if only_member else None,
        )


def _percent_of(budget: Budget, state: BudgetState, now: datetime) -> int:
    """What refuses calls counts as used up: some tokens may be left that no call fits into."""
    if 100 in budget.alert_percentages and state.percent < 100:
        since = max(state.starts_at, now - REFUSALS_LOOKED_AT)
        if metering.was_refused_by(budget, since=since):
            return 100
    return min(state.percent, 100)


def _told_of_all() -> list[Role]:
    return [role for role in Role if role.rank >= Role.BILLING.rank]
