"""The one row that roll-ups take turns by; data, apart from the schema."""

from datetime import UTC, datetime

from django.db import migrations

NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def add_row(apps, schema_editor):
    apps.get_model("metering", "RollUp").objects.get_or_create(
        pk=1, defaults={"finished_at": NEVER}
    )


def remove_row(apps, schema_editor):
    apps.get_model("metering", "RollUp").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [("metering", "0002_calls_carry_doubts_and_totals_add_up")]

    operations = [migrations.RunPython(add_row, remove_row)]
