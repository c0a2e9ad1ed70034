from django.db import migrations, models
from django.db.models import OuterRef, Subquery


def copy_zones(apps, schema_editor):
    """What each consent before this went by: the zone of its organisation."""
    organisations = apps.get_model('accounts', 'Organisation').objects
    zone = organisations.filter(pk=OuterRef('organisation_id')).values('timezone')
    apps.get_model('billing', 'TopUpRule').objects.update(timezone=Subquery(zone[:1]))


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0005_people_are_told'),
        ('billing', '0014_bank_transfers'),
    ]

    operations = [
        # No default stays: a process of before this cannot agree to a month of the wrong zone.
        migrations.AddField(
            model_name='topuprule',
            name='timezone',
            field=models.CharField(default='UTC', max_length=64),
            preserve_default=False,
        ),
        migrations.RunPython(copy_zones, migrations.RunPython.noop),
    ]
