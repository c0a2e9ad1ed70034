from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("accounts", "0001_initial_tables"),
    ]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="cap_subject",
            field=models.CharField(default="", max_length=40),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="organisation",
            name="two_factor_required",
            field=models.BooleanField(default=False, verbose_name="two-factor sign-in required"),
        ),
        migrations.AddField(
            model_name="trialclaim",
            name="address_digest",
            field=models.CharField(max_length=64, null=True, unique=True),
        ),
    ]
