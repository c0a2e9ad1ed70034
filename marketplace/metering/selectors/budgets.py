"""Budgets of a tenant and how each stands: what of its running period is spent and held."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiKey, Membership, Organisation, Role, User
from accounts.services import AuthenticatedKey
from marketplace.ledger import selectors as ledger
from marketplace.metering.limits import Cap
from marketplace.metering.models import Budget, BudgetQuerySet, Call, CallStatus
from marketplace.metering.periods import get_zone, next_period, running_period
from portal.kernel.errors import NotFound

# From here on pages warn.
NEARLY_USED_PERCENT = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetState:
    """Of the period that runs from ``starts_at`` until ``ends_at`` (None: it never starts anew).

    In millitokens; ``spent`` includes what was spent in the period before the budget was made.
    ``max_millitokens`` was lowered below what is used if ``left_millitokens`` is 0.
    """

    starts_at: datetime
    ends_at: datetime | None
    max_millitokens: int
    spent_millitokens: int
    held_millitokens: int

    @property
    def used_millitokens(self) -> int:
        return self.spent_millitokens + self.held_millitokens

    @property
    def left_millitokens(self) -> int:
        return max(self.max_millitokens - self.used_millitokens, 0)

    @property
    def percent(self) -> int:
        """How much of the maximum is spent, rounded down; more than 100 after it was lowered."""
        return self.spent_millitokens * 100 // self.max_millitokens

    @property
    def level(self) -> str:
        """ "bad" when nothing is left, "warn" when it is nearly used, else "ok"."""
        if not self.left_millitokens:
            return "bad"
        return "warn" if self.percent >= NEARLY_USED_PERCENT else "ok"


def list_budgets(organisation: Organisation, *, member: User | None = None) -> BudgetQuerySet:
    """In force, the organisation's before members'; with ``member`` those that concern them."""
    budgets = (
        Budget.objects.of(organisation)
        .in_force()
        .select_related("member", "organisation")
        .order_by("unit", "member__email", "pk")
    )
    return budgets.concerning(member) if member else budgets


def get_budget(organisation: Organisation, public_id: str, *, member: User | None = None) -> Budget:
    """One budget, also an archived one. Raises NotFound when it is another tenant's, or does not
    concern ``member``."""
    budgets = Budget.objects.of(organisation).select_related("member", "organisation")
    if member:
        budgets = budgets.concerning(member)
    budget = budgets.filter(public_id=public_id).first()
    if budget is None:
        raise NotFound(_("There is no such budget here."))
    return budget


def sees_own_budgets_only(membership: Membership) -> bool:
    """Members see what concerns them; billing and owners all."""
    return not membership.includes(Role.BILLING)


def get_budget_states(budgets: Sequence[Budget], *, now: datetime) -> dict[int, BudgetState]:
    """By primary key; two queries however many there are."""
    caps = {budget.pk: (cap_of_budget(budget), budget.organisation.timezone) for budget in budgets}
    return _get_states(caps, now)


def get_key_states(keys: Sequence[ApiKey], *, now: datetime) -> dict[int, BudgetState]:
    """The same for the caps of those keys that have one."""
    caps = {
        key.pk: (
            Cap(f"key:{key.cap_subject}:{key.cap_period}", key.cap_period, key.cap_millitokens),
            key.organisation.timezone,
        )
        for key in keys
        if key.cap_millitokens is not None
    }
    return _get_states(caps, now)


def cap_of_budget(budget: Budget) -> Cap:
    """What the ledger is told of it."""
    return Cap(
        budget.subject,
        budget.period,
        budget.max_millitokens,
        budget.opening_millitokens,
        budget.opening_start,
    )


def was_refused_by(budget: Budget, *, since: datetime) -> bool:
    """Whether the budget stopped a call since then."""
    return Call.objects.filter(
        organisation=budget.organisation_id,
        status=CallStatus.REFUSED,
        started_at__gte=since,
        hold__decline_subject=budget.subject,
    ).exists()


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusingLimit:
    """What refused a call: ``whose`` is "key", "member" or "organisation".

    ``starts_anew_at`` is None for one in total.
    """

    whose: str
    period: str
    max_millitokens: int
    starts_anew_at: datetime | None


def describe_refusing_limit(
    subject: str, *, key: AuthenticatedKey, now: datetime
) -> RefusingLimit | None:
    """The cap or budget of this key's that the ledger calls so; None for another kind of limit."""
    kind, public_id, period = (*subject.split(":"), "", "")[:3]
    if kind == "key" and key.cap_millitokens is not None:
        whose, most = "key", key.cap_millitokens
    elif kind == "budget":
        budget = Budget.objects.filter(
            organisation=key.organisation_pk, public_id=public_id
        ).values_list("member_id", "max_millitokens")[:1]
        if not budget:
            return None
        [(member, most)] = budget
        whose = "member" if member else "organisation"
    else:
        return None
    zone, last = get_zone(key.organisation_timezone), ledger.get_last_periods({subject})
    start = running_period(period, zone, now, last=last.get(subject))
    return RefusingLimit(
        whose=whose,
        period=period,
        max_millitokens=most,
        starts_anew_at=next_period(period, zone, start),
    )


_UNCOUNTED = """
    SELECT (SELECT COALESCE(SUM(t.cost_millitokens), 0) FROM metering_usagetotal t
             WHERE t.organisation_id = %(organisation)s AND t.unit = %(unit)s
               AND t.bucket_start >= %(start)s {of_total})
         + (SELECT COALESCE(SUM(c.cost_millitokens), 0) FROM metering_call c
             WHERE c.organisation_id = %(organisation)s AND c.unit = %(unit)s
               AND c.started_at >= %(start)s AND NOT c.rolled_up AND c.status <> 'open' {of_call})
         + (SELECT COALESCE(SUM(h.amount_millitokens), 0) FROM metering_call c
              JOIN ledger_hold h ON h.id = c.hold_id AND h.state = 'pending'
             WHERE c.organisation_id = %(organisation)s AND c.unit = %(unit)s
               AND c.started_at >= %(start)s AND c.status = 'open' {of_call})
         - (SELECT COALESCE(SUM(l.spent_millitokens + l.held_millitokens), 0) FROM ledger_limit l
             WHERE l.subject = %(subject)s AND l.period_start = %(start)s)
"""


def sum_uncounted(budget: Budget) -> int:
    """What is spent and held in the period of ``opening_start`` and not counted by the ledger, in
    one look: the budget was made, or known to a process, after those calls. Never negative."""
    member = budget.member_id is not None
    statement = _UNCOUNTED.format(
        of_total="AND t.member_id = %(member)s" if member else "",
        of_call="AND c.member_id = %(member)s" if member else "",
    )
    with connection.cursor() as cursor:
        cursor.execute(
            statement,
            {
                "organisation": budget.organisation_id,
                "unit": budget.unit,
                "member": budget.member_id,
                "subject": budget.subject,
                "start": connection.ops.adapt_datetimefield_value(budget.opening_start),
            },
        )
        return max(int(cursor.fetchone()[0]), 0)


def _get_states(caps: dict[int, tuple[Cap, str]], now: datetime) -> dict[int, BudgetState]:
    if not caps:
        return {}
    last = ledger.get_last_periods({cap.subject for cap, _zone in caps.values()})
    starts = {
        pk: running_period(cap.period, get_zone(zone), now, last=last.get(cap.subject))
        for pk, (cap, zone) in caps.items()
    }
    counts = ledger.get_limit_counts({(caps[pk][0].subject, starts[pk]) for pk in caps})
    states = {}
    for pk, (cap, zone) in caps.items():
        start = starts[pk]
        held, spent = counts.get((cap.subject, start), (0, 0))
        states[pk] = BudgetState(
            starts_at=start,
            ends_at=next_period(cap.period, get_zone(zone), start),
            max_millitokens=cap.max_millitokens,
            spent_millitokens=spent
            + (cap.opening_millitokens if start == cap.opening_start else 0),
            held_millitokens=held,
        )
    return states
