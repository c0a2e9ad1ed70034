"""Indexes for what people look for: calls in trouble, a provider's list, what check 22 reads.

Not atomic: on PostgreSQL they are built while calls are being written.
"""

from django.db import migrations, models
from django.db.models import Q

from portal.kernel.online_indexes import AddIndexOnline, RemoveIndexOnline

IN_TROUBLE = Q(status__in=("failed", "client_disconnected", "refused", "lost"))


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("metering", "0003_roll_up_has_its_row")]

    operations = [
        AddIndexOnline(
            "call",
            models.Index(
                fields=["ended_at"],
                condition=Q(status="lost") | ~Q(usage_doubt="") | Q(uncovered_millitokens__gt=0),
                name="calls_to_look_at",
            ),
        ),
        RemoveIndexOnline("call", "calls_in_doubt"),
        AddIndexOnline(
            "call", models.Index(fields=["-started_at", "-id"], name="calls_by_time")
        ),
        AddIndexOnline(
            "call",
            models.Index(
                fields=["organisation", "status", "-started_at", "-id", "service"],
                condition=IN_TROUBLE,
                name="troubled_calls_by_tenant",
            ),
        ),
        AddIndexOnline(
            "call",
            models.Index(
                fields=["service", "status", "-started_at", "-id"],
                condition=IN_TROUBLE,
                name="troubled_calls_by_service",
            ),
        ),
    ]
