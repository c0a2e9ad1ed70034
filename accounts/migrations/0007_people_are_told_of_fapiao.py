from django.db import migrations, models


def forget_fapiao(apps, schema_editor):
    """Going back: a kind that is not known then."""
    for name in ('Notice', 'NoticeCause', 'NoticePreference'):
        apps.get_model('accounts', name).objects.filter(kind='fapiao_decided').delete()


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_people_are_told_of_purchase_requests'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='notice',
            name='notice_kind_known',
        ),
        migrations.RemoveConstraint(
            model_name='noticecause',
            name='cause_kind_known',
        ),
        migrations.RemoveConstraint(
            model_name='noticepreference',
            name='preference_kind_known',
        ),
        migrations.AlterField(
            model_name='notice',
            name='kind',
            field=models.CharField(choices=[('balance_low', 'Few tokens left'), ('days_left', 'Tokens soon used up'), ('lot_expires', 'Tokens expire soon'), ('top_up_paid', 'Automatic top-up'), ('top_up_failed', 'Automatic top-up failed'), ('order_paid', 'Order paid'), ('order_failed', 'Payment failed'), ('refund_decided', 'Refund decided'), ('purchase_asked', 'A colleague asks for tokens'), ('purchase_decided', 'Your purchase request decided'), ('fapiao_decided', 'Fapiao issued or declined')], max_length=20),
        ),
        migrations.AlterField(
            model_name='noticecause',
            name='kind',
            field=models.CharField(choices=[('balance_low', 'Few tokens left'), ('days_left', 'Tokens soon used up'), ('lot_expires', 'Tokens expire soon'), ('top_up_paid', 'Automatic top-up'), ('top_up_failed', 'Automatic top-up failed'), ('order_paid', 'Order paid'), ('order_failed', 'Payment failed'), ('refund_decided', 'Refund decided'), ('purchase_asked', 'A colleague asks for tokens'), ('purchase_decided', 'Your purchase request decided'), ('fapiao_decided', 'Fapiao issued or declined')], max_length=20),
        ),
        migrations.AlterField(
            model_name='noticepreference',
            name='kind',
            field=models.CharField(choices=[('balance_low', 'Few tokens left'), ('days_left', 'Tokens soon used up'), ('lot_expires', 'Tokens expire soon'), ('top_up_paid', 'Automatic top-up'), ('top_up_failed', 'Automatic top-up failed'), ('order_paid', 'Order paid'), ('order_failed', 'Payment failed'), ('refund_decided', 'Refund decided'), ('purchase_asked', 'A colleague asks for tokens'), ('purchase_decided', 'Your purchase request decided'), ('fapiao_decided', 'Fapiao issued or declined')], max_length=20),
        ),
        migrations.AddConstraint(
            model_name='notice',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['balance_low', 'days_left', 'lot_expires', 'top_up_paid', 'top_up_failed', 'order_paid', 'order_failed', 'refund_decided', 'purchase_asked', 'purchase_decided', 'fapiao_decided'])), name='notice_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='noticecause',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['balance_low', 'days_left', 'lot_expires', 'top_up_paid', 'top_up_failed', 'order_paid', 'order_failed', 'refund_decided', 'purchase_asked', 'purchase_decided', 'fapiao_decided'])), name='cause_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='noticepreference',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['balance_low', 'days_left', 'lot_expires', 'top_up_paid', 'top_up_failed', 'order_paid', 'order_failed', 'refund_decided', 'purchase_asked', 'purchase_decided', 'fapiao_decided'])), name='preference_kind_known'),
        ),
        migrations.RunPython(migrations.RunPython.noop, forget_fapiao),
    ]
