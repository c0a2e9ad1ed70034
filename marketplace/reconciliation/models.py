"""Runs of the reconciliation and what they found."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from marketplace.ledger.models import Unit
from portal.kernel.public_ids import PublicIdField

# What began a run: the schedule, the command line, or staff in the console.
TRIGGERS = {"beat": _("schedule"), "command": _("command line"), "staff": _("staff")}


class Run(models.Model):
    """One pass over one consistent snapshot, with the equation that it proved."""

    public_id = PublicIdField(prefix="run")
    trigger = models.CharField(max_length=10)  # a key of TRIGGERS
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    # {"live": {"opening": …, "purchases": …, …, "closing": …}, "test": {…}} in millitokens
    equation = models.JSONField(default=dict)
    # [{"number": 1, "examined": 812, "differences": 0, "repaired": 0, "milliseconds": 12}, …]
    checks = models.JSONField(default=list)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [models.Index(fields=["-started_at"], name="runs_newest_first")]

    def __str__(self) -> str:
        return self.public_id

    @property
    def trigger_label(self) -> str:
        return str(TRIGGERS.get(self.trigger, self.trigger))

    @property
    def difference_count(self) -> int:
        return sum(row["differences"] for row in self.checks)

    @property
    def equation_rows(self) -> list[dict[str, int | str]]:
        """One row per unit, the rarer kinds of movement summed as ``other``."""
        shown = ("purchase", "grant", "capture", "expiry")
        rows = []
        for unit, terms in self.equation.items():
            numbers = {kind: int(amount) for kind, amount in terms.items()}
            other = numbers["movements"] - sum(numbers[kind] for kind in shown)
            label = str(Unit(unit).label)
            rows.append({"unit": unit, "label": label, **numbers, "other": other})
        return rows


class FindingState(models.TextChoices):
    """A difference counts when it is seen a second time."""

    SUSPECTED = "suspected", _("Seen once")
    OPEN = "open", _("Open")
    ACKNOWLEDGED = "acknowledged", _("Acknowledged")
    RESOLVED = "resolved", _("Resolved")


class Finding(models.Model):
    """A difference between two records of the same thing, and what became of it."""

    public_id = PublicIdField(prefix="fnd")
    check_number = models.PositiveSmallIntegerField()
    # What it is about: "wallet:org_…:live:", "hold:hld_…", "order:ord_…".
    subject = models.CharField(max_length=160)
    state = models.CharField(max_length=12, choices=FindingState, default=FindingState.SUSPECTED)
    detail = models.JSONField(default=dict)
    at_stake_millitokens = models.BigIntegerField(default=0)
    froze_wallet = models.BooleanField(default=False)
    first_run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="first_findings")
    last_run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="last_findings")
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True)
    note = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["check_number", "subject"],
                condition=~Q(state="resolved"),
                name="one_unresolved_finding_each",
            ),
            models.CheckConstraint(
                condition=Q(state="resolved", resolved_at__isnull=False)
                | (~Q(state="resolved") & Q(resolved_at__isnull=True)),
                name="resolved_finding_has_time",
            ),
        ]

    def __str__(self) -> str:
        return f"check {self.check_number}: {self.subject}"
