"""Each call says which try of its request it is; earlier ones count as first tries.

Not atomic: on PostgreSQL the index is built while calls are being written.
"""

from django.db import migrations, models
from django.db.models import Q

from portal.kernel.online_indexes import AddIndexOnline


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("metering", "0005_calls_keep_their_commission")]

    operations = [
        migrations.AddField(
            "call", "attempt", models.PositiveSmallIntegerField(db_default=1)
        ),
        AddIndexOnline(
            "call",
            models.Index(
                fields=["organisation", "request_id"],
                condition=Q(status="failed") | Q(attempt__gt=1),
                name="calls_tried_again",
            ),
        ),
    ]
