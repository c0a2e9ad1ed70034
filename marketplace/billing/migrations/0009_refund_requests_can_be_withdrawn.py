from django.db import migrations, models


def call_them_failed(apps, schema_editor):
    """Going back: the other end of a request that nobody of us decided."""
    requests = apps.get_model('billing', 'RefundRequest').objects
    requests.filter(state='withdrawn').update(state='failed', failure_code='withdrawn')


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0008_batches_are_made_once_a_form'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='refundrequest',
            name='refund_request_state_known',
        ),
        migrations.RemoveConstraint(
            model_name='refundrequest',
            name='refund_request_was_decided',
        ),
        migrations.AlterField(
            model_name='refundrequest',
            name='state',
            field=models.CharField(choices=[('requested', 'Waiting for our decision'), ('approved', 'Approved'), ('sent', 'On its way'), ('done', 'Refunded'), ('declined', 'Declined'), ('failed', 'Failed'), ('withdrawn', 'Withdrawn')], default='requested', max_length=10),
        ),
        migrations.AddConstraint(
            model_name='refundrequest',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['requested', 'approved', 'sent', 'done', 'declined', 'failed', 'withdrawn'])), name='refund_request_state_known'),
        ),
        migrations.AddConstraint(
            model_name='refundrequest',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['requested', 'failed', 'withdrawn']), ('decided_by__isnull', False), _connector='OR'), name='refund_request_was_decided'),
        ),
        migrations.RunPython(migrations.RunPython.noop, call_them_failed),
    ]
