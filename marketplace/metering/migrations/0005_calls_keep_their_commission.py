"""Each call keeps the market's part of its time; those still open get their provider's of now."""

from django.db import migrations, models

OPEN_CALLS = """
    UPDATE metering_call SET commission_basis_points = (
        SELECT p.commission_basis_points FROM catalog_service s
        JOIN catalog_provider p ON p.id = s.provider_id WHERE s.id = metering_call.service_id)
    WHERE status IN ('open', 'lost')
"""


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0001_initial_tables"),
        ("metering", "0004_lists_of_calls_have_their_indexes"),
    ]

    operations = [
        migrations.AddField(
            "call",
            "commission_basis_points",
            models.PositiveIntegerField(db_default=0),
        ),
        migrations.RunSQL(OPEN_CALLS, migrations.RunSQL.noop),
    ]
