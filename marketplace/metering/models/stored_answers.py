"""Answers of calls that named an ``Idempotency-Key``, for who asks again."""

from django.db import models
from django.db.models import Q

from accounts.models import ApiKey


class StoredAnswer(models.Model):
    """One idempotency key of one API key: claimed before its call begins, and never used twice.

    ``key_line`` stays the same when the API key is rotated; ``name_digest`` and ``request_hash``
    are keyed, so that they tell nothing of what was sent. ``call`` is the public id that the first
    try of the request has, and then that of the call that was charged.
    """

    api_key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, db_index=False)
    key_line = models.CharField(max_length=40)
    name_digest = models.CharField(max_length=64)
    request_hash = models.CharField(max_length=64)
    call = models.CharField(max_length=40)
    claimed_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True)
    # Encrypted under a key that only its owner can derive; None before the answer is there, and
    # again once it is no longer kept.
    sealed = models.BinaryField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["key_line", "name_digest"], name="one_stored_answer_per_key"
            ),
        ]
        indexes = [
            models.Index(fields=["claimed_at"], name="stored_answers_by_age"),
            models.Index(
                fields=["answered_at"],
                condition=Q(sealed__isnull=False),
                name="stored_answers_still_kept",
            ),
        ]

    def __str__(self) -> str:
        return self.call
