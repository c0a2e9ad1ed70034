"""Runs of the reconciliation, what they proved, and what they found."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from marketplace.ledger.models import TransactionKind, Unit, Wallet
from portal.kernel.public_ids import PublicIdField

# What began a run: the schedule, the command line, or staff in the console.
TRIGGERS = {"beat": _("schedule"), "command": _("command line"), "staff": _("staff")}


class RunKind(models.TextChoices):
    """A light run looks at what can have changed since the last full one."""

    LIGHT = "light", _("Light")
    FULL = "full", _("Full")


class Run(models.Model):
    """One pass over one consistent snapshot, with the equation that it proved."""

    public_id = PublicIdField(prefix="run")
    kind = models.CharField(max_length=5, choices=RunKind, default=RunKind.FULL)
    trigger = models.CharField(max_length=10)  # a key of TRIGGERS
    # From when on it looked; empty for the whole book.
    since = models.DateTimeField(null=True, blank=True)
    # {"ledger_transaction": 8112, …}: what light runs after this full one need not read again.
    floors = models.JSONField(default=dict)
    # The newest sealed checkpoint that it saw: later runs miss it when it has gone.
    head_number = models.BigIntegerField(null=True, blank=True)
    head_hash = models.CharField(max_length=64, blank=True)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    # {"live": {"opening": …, "purchase": …, …, "closing": …}, "test": {…}} in millitokens
    equation = models.JSONField(default=dict)
    # {"gateway": {"received": 812, "charged": 811, "quarantined": 0, "rejected": 1}, …}
    intake = models.JSONField(default=dict)
    # [{"number": 1, "examined": 812, "differences": 0, "milliseconds": 12}, …]
    checks = models.JSONField(default=list)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=RunKind.values), name="run_kind_known")
        ]
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
        """One row per unit; every term is an integer in millitokens."""
        labels = dict(Unit.choices)
        return [
            {"unit": unit, "label": str(labels.get(unit, unit))}
            | {term: int(amount) for term, amount in terms.items()}
            for unit, terms in self.equation.items()
        ]


class WalletProof(models.Model):
    """The equation of one wallet in one full run: opening + Σ terms = closing, but for ``gap``.

    Only wallets that moved since their last proof, or have a gap, get a row. ``opening`` is where
    the last proof ended by its entries (its closing less its gap), at ``opening_seq``; the terms
    sum the entries from there to ``closing_seq``, so no entry is counted twice and none left out.
    """

    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="proofs")
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="+", db_index=False)
    opening_seq = models.BigIntegerField()
    closing_seq = models.BigIntegerField()
    opening_millitokens = models.BigIntegerField()
    closing_millitokens = models.BigIntegerField()
    gap_millitokens = models.BigIntegerField()
    # {"purchase": "5000", "capture": "-1200"}: signed, in millitokens; kinds that did not occur
    # are left out.
    terms = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["wallet", "run"], name="one_proof_per_wallet_and_run")
        ]

    def __str__(self) -> str:
        return f"{self.wallet_id} in {self.run_id}"

    @property
    def labelled_terms(self) -> list[tuple[str, int]]:
        """What kind of transaction moved how much, in millitokens."""
        labels = dict(TransactionKind.choices)
        return [(str(labels.get(kind, kind)), int(total)) for kind, total in self.terms.items()]


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
    # The wallet it concerns, if one.
    wallet = models.ForeignKey(
        Wallet, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    froze_wallet = models.BooleanField(default=False)
    first_run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="first_findings")
    last_run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="last_findings")
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    opened_at = models.DateTimeField(null=True, blank=True)
    # Who tells staff of it holds a lease; see services.notices.
    notice_leased_until = models.DateTimeField(null=True, blank=True)
    mailed_at = models.DateTimeField(null=True, blank=True)
    webhook_sent_at = models.DateTimeField(null=True, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
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
