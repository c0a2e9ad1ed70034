"""Indexes that nothing reads are gone: those of columns that another index begins with, of price
versions, and for LIKE on public ids. Each cost a call twice, when it began and when it ended.

Not atomic: on PostgreSQL they are dropped while calls are being written.
"""

import django.db.models.deletion
from django.db import migrations, models

from portal.kernel.online_indexes import RemoveColumnIndexesOnline

FOREIGN_KEYS = [
    ("call", "organisation", "accounts.organisation", "calls"),
    ("call", "api_key", "accounts.apikey", "calls"),
    ("call", "service", "catalog.service", "calls"),
    ("call", "price_version", "catalog.priceversion", None),
    ("usagecharge", "price_version", "catalog.priceversion", None),
]


def without_index(to, related_name):
    names = {"related_name": related_name} if related_name else {}
    return models.ForeignKey(
        to=to, on_delete=django.db.models.deletion.PROTECT, db_index=False, **names
    )


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("metering", "0008_organisations_have_budgets")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                *(RemoveColumnIndexesOnline(model, name) for model, name, *_to in FOREIGN_KEYS),
                RemoveColumnIndexesOnline("call", "public_id"),
            ],
            state_operations=[
                migrations.AlterField(model, name, without_index(to, related_name))
                for model, name, to, related_name in FOREIGN_KEYS
            ],
        )
    ]
