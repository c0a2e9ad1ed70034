"""Limits made and changed by those whose caps they are; holds make the ordinary ones."""

from datetime import datetime

from django.db.models import BigIntegerField, F, Value
from django.db.models.functions import Greatest

from marketplace.ledger.models import Limit


def open_limit(*, subject: str, period_start: datetime, max_millitokens: int) -> None:
    """A limit in which nothing counts yet, so that its period is known. Twice is once."""
    Limit.objects.bulk_create(
        [Limit(subject=subject, period_start=period_start, max_millitokens=max_millitokens)],
        ignore_conflicts=True,
    )


def change_limit(*, subject: str, period_start: datetime, max_millitokens: int | None) -> None:
    """What extensions of the holds in it must fit into; None is no maximum.

    Never less than what is held and spent: what is running goes on with what it has.
    """
    used = F("held_millitokens") + F("spent_millitokens")
    Limit.objects.filter(subject=subject, period_start=period_start).update(
        max_millitokens=None
        if max_millitokens is None
        else Greatest(Value(max_millitokens, output_field=BigIntegerField()), used)
    )
