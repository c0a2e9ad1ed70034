"""Budgets: what an organisation, or one of its members, may spend in a period."""

from typing import Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext

from accounts.models import CapPeriod, Organisation, User
from marketplace.ledger.models import Unit
from portal.kernel.clock import utc_now
from portal.kernel.public_ids import PublicIdField


class BudgetQuerySet(models.QuerySet["Budget"]):
    """The vocabulary of budgets."""

    def of(self, organisation: Organisation) -> Self:
        return self.filter(organisation=organisation)

    def in_force(self) -> Self:
        return self.filter(archived_at__isnull=True)

    def concerning(self, member: User) -> Self:
        """Those that this member's calls count in."""
        return self.filter(Q(member=None) | Q(member=member))


class Budget(models.Model):
    """At most so many millitokens per period, of all calls or of one member's.

    The period stays as it was made; the maximum and the alerts can be changed. What counts in it
    is the ledger's limit of ``subject`` (see ``metering.limits``), plus ``opening_millitokens`` in
    the period from ``opening_start``: what was spent in it before the budget began to count.
    """

    public_id = PublicIdField(prefix="bdg")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="budgets")
    # Whose calls count; null: everybody's.
    member = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    unit = models.CharField(max_length=4, choices=Unit, default=Unit.LIVE)
    period = models.CharField(max_length=5, choices=CapPeriod)
    max_millitokens = models.BigIntegerField()
    # Sorted percentages of the maximum, each told of once a period.
    alert_percentages = models.JSONField(default=list, blank=True)
    opening_millitokens = models.BigIntegerField(default=0)
    opening_start = models.DateTimeField()
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=utc_now)
    archived_at = models.DateTimeField(null=True, blank=True)
    # While surely every process knows it: calls of the seconds before count in the opening.
    counts_all_from = models.DateTimeField()
    counts_all_until = models.DateTimeField(null=True, blank=True)

    objects = BudgetQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "unit", "period"],
                condition=Q(archived_at__isnull=True, member__isnull=True),
                name="one_budget_per_organisation",
            ),
            models.UniqueConstraint(
                fields=["organisation", "member", "unit", "period"],
                condition=Q(archived_at__isnull=True, member__isnull=False),
                name="one_budget_per_member",
            ),
            models.CheckConstraint(
                condition=Q(max_millitokens__gt=0, opening_millitokens__gte=0),
                name="budget_positive",
            ),
            models.CheckConstraint(condition=Q(unit__in=Unit.values), name="budget_unit_known"),
            models.CheckConstraint(
                condition=Q(period__in=CapPeriod.values), name="budget_period_known"
            ),
        ]
        indexes = [models.Index(fields=["created_at"], name="budgets_newest")]

    def __str__(self) -> str:
        return f"{self.whose} {self.get_period_display()}"

    @property
    def whose(self) -> str:
        """Whose calls count, for people."""
        return str(self.member) if self.member_id else gettext("Whole organisation")

    @property
    def subject(self) -> str:
        """What the ledger counts it under."""
        return f"budget:{self.public_id}:{self.period}"
