"""What people are told of their organisation: causes that last, notices, and who wants which."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models.people import Organisation, User
from portal.kernel.clock import utc_now
from portal.kernel.public_ids import PublicIdField


class NoticeKind(models.TextChoices):
    """What a notice tells of. Who may be told, and by which channel: ``accounts.notice_kinds``."""

    BALANCE_LOW = "balance_low", _("Few tokens left")
    DAYS_LEFT = "days_left", _("Tokens soon used up")
    LOT_EXPIRES = "lot_expires", _("Tokens expire soon")
    BUDGET_REACHED = "budget_reached", _("Budget nearly or wholly used")
    OWN_BUDGET_REACHED = "own_budget_reached", _("Your own budget nearly or wholly used")
    TOP_UP_PAID = "top_up_paid", _("Automatic top-up")
    TOP_UP_FAILED = "top_up_failed", _("Automatic top-up failed")
    ORDER_PAID = "order_paid", _("Order paid")
    ORDER_FAILED = "order_failed", _("Payment failed")
    REFUND_DECIDED = "refund_decided", _("Refund decided")
    PURCHASE_ASKED = "purchase_asked", _("A colleague asks for tokens")
    PURCHASE_DECIDED = "purchase_decided", _("Your purchase request decided")
    FAPIAO_DECIDED = "fapiao_decided", _("Fapiao issued or declined")
    WEBHOOK_STOPPED = "webhook_stopped", _("Webhook switched off")


class NoticeCause(models.Model):
    """Something that lasts, such as a low balance: told of when it begins and when it gets worse.

    While a row is open the same is not told again. Once it is over, it can begin anew.
    """

    public_id = PublicIdField(prefix="ncs")
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="notice_causes"
    )
    kind = models.CharField(max_length=20, choices=NoticeKind)
    subject = models.CharField(max_length=100)
    # How urgent: the lower the worse (days that are left); 0 where there is one stage only.
    stage = models.PositiveSmallIntegerField(default=0)
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "kind", "subject"],
                condition=Q(ended_at__isnull=True),
                name="one_open_cause_each",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=NoticeKind.values), name="cause_kind_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind}:{self.subject}:{self.stage}"


class Notice(models.Model):
    """One thing told to one person once. Its words are made from ``params`` when it is read."""

    public_id = PublicIdField(prefix="ntc")
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="notices")
    person = models.ForeignKey(User, on_delete=models.CASCADE, related_name="notices")
    kind = models.CharField(max_length=20, choices=NoticeKind)
    # What it is about, so that nobody is told twice: a cause at a stage, or an event's own name.
    subject = models.CharField(max_length=200)
    # Null for events, which are not undone by time.
    cause = models.ForeignKey(
        NoticeCause, on_delete=models.CASCADE, null=True, blank=True, related_name="notices"
    )
    # Figures and public ids; never a secret, never words.
    params = models.JSONField(default=dict)
    in_portal = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=utc_now)
    read_at = models.DateTimeField(null=True, blank=True)
    # True from the beginning until it is mailed or no longer worth it.
    mail_due = models.BooleanField(default=False)
    mail_leased_until = models.DateTimeField(null=True, blank=True)
    mailed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "person", "kind", "subject"], name="told_once"
            ),
            models.CheckConstraint(
                condition=Q(mail_due=False) | Q(mailed_at__isnull=True), name="mailed_is_not_due"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=NoticeKind.values), name="notice_kind_known"
            ),
        ]
        indexes = [
            models.Index(
                fields=["organisation", "person", "-created_at", "-id"],
                condition=Q(in_portal=True),
                name="inbox_newest_first",
            ),
            models.Index(
                fields=["organisation", "person"],
                condition=Q(in_portal=True, read_at__isnull=True),
                name="notices_unread",
            ),
            models.Index(fields=["id"], condition=Q(mail_due=True), name="notices_to_mail"),
            models.Index(fields=["created_at"], name="notices_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} → {self.person}"

    @property
    def is_over(self) -> bool:
        """Whether what it tells of has ended; events never do."""
        return self.cause is not None and self.cause.ended_at is not None


class NoticePreference(models.Model):
    """One person's own choice for one kind in one organisation; without a row the default holds."""

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+")
    person = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=20, choices=NoticeKind)
    in_portal = models.BooleanField()
    by_mail = models.BooleanField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "person", "kind"], name="one_choice_per_kind"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=NoticeKind.values), name="preference_kind_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.person}: {self.kind}"
